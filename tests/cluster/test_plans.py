"""Planned changes are not counted: suspension, scaling, drains, a new template."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.cluster_jobs import Namespace, generation
from tests.support.kube import until

from elasticjob.wire.cause import CauseKind
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase


def test_suspended_and_resumed(team: Namespace) -> None:
    job = team.start("pause", replicas=2)
    first = job.runs(2)
    job.change(suspend=True)
    until("Suspended", lambda: job.is_("Suspended"))
    assert job.phase == "Suspended"
    until("the pods to go", lambda: not job.all_pods)
    assert job.round.phase is Phase.FORMING
    job.change(suspend=False)
    again = job.runs(2, first.n)
    assert again.pods == {Pod(0, 1), Pod(1, 1)}
    assert job.charged == set()


def test_scaled_up_and_down_while_it_runs(team: Namespace) -> None:
    job = team.start("breathe", replicas=2, minReplicas=1, maxReplicas=4)
    first = job.runs(2)
    team.kube.kubectl("scale", "elasticjob/breathe", "--replicas=3", "-n", team.name)
    up = job.recovered("scaled from 2 to 3", 3, first.n)
    assert up.n == first.n + 1
    before = {of: pod["metadata"]["uid"] for of, pod in job.pods.items()}
    team.kube.kubectl("scale", "elasticjob/breathe", "--replicas=1", "-n", team.name)
    down = job.recovered("scaled from 3 to 1", 1, up.n)
    assert down.n == up.n + 1
    assert down.cause is not None
    assert down.cause.kind is CauseKind.SCALED
    until("two pods to go", lambda: len(job.all_pods) == 1)
    assert {of: pod["metadata"]["uid"] for of, pod in job.pods.items()} == {0: before[0]}
    assert job.charged == set()


def test_a_pod_that_is_evicted_is_not_counted(team: Namespace) -> None:
    job = team.start("evict", replicas=2, maxRestarts=0)
    first = job.runs(2)
    name = job.pods[1]["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": team.name},
    }
    team.kube.post(f"{team.path('pods')}/{name}/eviction", eviction)
    whole = job.recovered("a pod evicted", 2, first.n)
    assert whole.pods == {Pod(0, 0), Pod(1, 1)}
    assert job.charged == set()
    assert job.status.get("counted", 0) == 0


def test_a_pod_that_is_deleted_by_force_is_not_counted(team: Namespace) -> None:
    """It is not counted, whether or not its agent can still write `leaving`."""
    job = team.start("force", replicas=2, maxRestarts=0)
    before = job.runs(2)
    for of in (1, 0):
        name = job.pods[of]["metadata"]["name"]
        team.kube.kubectl("delete", "pod", name, "-n", team.name, "--force", "--grace-period=0")
        before = job.recovered("a pod deleted by force", 2, before.n)
    assert job.charged == set()
    assert "lastFailure" not in job.status


def test_a_new_template_makes_new_pods_once(team: Namespace) -> None:
    job = team.start("change", replicas=2)
    first = job.runs(2)
    template = job.body["spec"]["template"]
    template["metadata"] = {"labels": {"version": "two"}}
    job.change(template=template)
    again = job.runs(2, first.n)
    assert again.pods == {Pod(0, 1), Pod(1, 1)}
    assert {pod["metadata"]["labels"]["version"] for pod in job.pods.values()} == {"two"}
    assert {generation(pod) for pod in job.pods.values()} == {1}
    assert job.charged == set()


def test_status_states_when_a_newcomer_joins(team: Namespace) -> None:
    job = team.start("cool", replicas=2, minReplicas=1)
    first = job.runs(2)
    job.delete_pod(1)
    job.says("Running: 1/2 pods in the round; cooldown until ")
    found = job.condition("Degraded")
    assert (found["status"], found["reason"]) == ("True", "CoolingDown")
    end = datetime.fromisoformat(found["message"].partition(" at ")[2].partition(",")[0])
    assert f"until {end:%H:%M:%SZ}" in job.phase or f"until {end:%Y-%m-%d %H:%M:%SZ}" in job.phase
    begin = datetime.fromisoformat(found["lastTransitionTime"])
    assert end <= begin + timedelta(seconds=60 + 3)
    job.runs(2, after=first.n + 1)
    until("no condition to be wrong", lambda: job.condition("Degraded")["status"] == "False")
