"""The costs of a crashed worker and of a deleted pod."""

from __future__ import annotations

from tests.support.cluster_jobs import FAILS, Namespace, generation, identities
from tests.support.kube import until

from elasticjob.wire.cause import CauseKind
from elasticjob.wire.member import Pod


def test_a_killed_worker_costs_one_round_one_charge_and_no_pod(team: Namespace) -> None:
    job = team.start("crash", replicas=3)
    first = job.runs(3)
    before = job.pods
    job.kill_worker(1)
    second = job.recovered("kill -9 of a worker", 3, first.n)
    assert second.n == first.n + 1
    assert job.charged == {second.n}
    assert identities(job.pods) == identities(before)
    assert second.cause is not None
    assert (second.cause.kind, second.cause.pod) == (CauseKind.WORKER_SIGNALED, "crash-1-0")


def test_a_deleted_pod_is_replaced_by_the_next_generation(team: Namespace) -> None:
    job = team.start("drain", replicas=3, minReplicas=2)
    first = job.runs(3)
    name = job.delete_pod(1)
    without = job.recovered("a pod deleted: two continue", 2, first.n)
    assert without.n == first.n + 1
    assert without.cause is not None
    assert (without.cause.kind, without.cause.pod) == (CauseKind.LEAVING, name)
    whole = job.recovered("a pod deleted: replaced", 3, without.n)
    assert whole.n == without.n + 1
    assert whole.pods == {Pod(0, 0), Pod(1, 1), Pod(2, 0)}
    assert job.charged == set()
    assert generation(job.pods[1]) == 1


def test_a_job_waits_for_the_replacement_of_a_needed_pod(team: Namespace) -> None:
    job = team.start("wait", replicas=3)
    first = job.runs(3)
    job.delete_pod(0)
    whole = job.recovered("rank 0's pod deleted, all needed", 3, first.n)
    assert whole.pods == {Pod(0, 1), Pod(1, 0), Pod(2, 0)}
    assert job.charged == set()


def test_a_worker_that_always_fails_fails_the_job_at_max_restarts(team: Namespace) -> None:
    job = team.start("hopeless", FAILS, replicas=2, maxRestarts=2)
    condition = job.ends("Failed")
    assert "exceeded maxRestarts (2)" in condition["message"]
    assert len(job.charged) == job.status["counted"] == 3  # with the failure that ended the job
    assert job.status["restarts"] == 2
    assert job.status["lastFailure"]["exitCode"] == 3


# Rank 0 reports an exception and exits three seconds later; rank 1 exits before.
CULPRIT_EXITS_LAST = """
import json, os, sys, time
if os.environ["RANK"] == "0":
    message = {"message": "E: the first", "extraInfo": {"py_callstack": "E: the first"}}
    with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
        json.dump({"message": message}, file)
time.sleep(3 if os.environ["RANK"] == "0" else 1)
sys.exit(1)
"""


def test_the_first_cause_is_found_across_nodes(team: Namespace) -> None:
    job = team.start(
        "first", CULPRIT_EXITS_LAST, replicas=2, maxRestarts=1, cleanPodPolicy="KeepFailed"
    )
    job.ends("Failed")
    failure = job.status["lastFailure"]
    assert (failure["pod"], failure["rank"]) == ("first-0-0", 0)
    assert failure["message"] == "E: the first"
    until("one pod", lambda: len(job.pods) == 1)
    assert job.pods[0]["metadata"]["name"] == "first-0-0"
