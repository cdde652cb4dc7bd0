"""A hostile neighbour attacks while a job trains, and changes nothing for that job.

`make neighbour` lets it attack for ten minutes, or for NEIGHBOUR_S seconds. SEED=... repeats a run.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from dev.kube_client import Client, Json
from tests.attacks.by_author import VANDAL
from tests.attacks.neighbour import CONFIG, EVIL, NO_AGENT, TOY, Place, config_map, end_orphans
from tests.attacks.proof import (
    MEMBERS,
    PODS,
    SCRIPT,
    VICTIM,
    Outcome,
    Proof,
    Sample,
    Samples,
    attacked,
    environment,
    printed,
    sample,
    tallies,
)
from tests.support.cluster_jobs import (
    ENDS,
    ClusterJob,
    Namespace,
    is_leaving,
    python,
    restricted,
)
from tests.support.kube import Kube, until
from tests.support.release import NAMESPACE, Release

from elasticjob.wire import names

STEP_S = 0.1
STEPS = int(os.environ.get("NEIGHBOUR_S", "60")) * 10
SEED = int(os.environ.get("SEED") or secrets.randbelow(10**6))
SAMPLE_EVERY_S = 5.0
READ = """
import urllib.request
print(open("/proc/1/status").read())
print(urllib.request.urlopen("http://127.0.0.1:8080/metrics").read().decode())
"""
RIGHTS = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]


@pytest.fixture
def shipped(release: Release) -> Iterator[Release]:
    """The release with the times of the chart, which a busy machine does not miss."""
    release.install(heartbeat_s=5.0, election_s=15)
    release.is_ready()
    yield release
    release.install()


def test_a_hostile_neighbour_changes_nothing(
    team: Namespace, shipped: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": str(PODS)}}}
    team.kube.post(team.path("resourcequotas"), quota)
    alone, beside = Samples(), Samples()
    job = train(team, step_s=0.0)
    undisturbed = outcome(job, lambda: alone.taken.append(look(shipped)))
    job.delete()
    until("the end of its pods", lambda: not job.all_pods)
    job = train(team, step_s=STEP_S)
    job.runs(MEMBERS, within_s=180)
    with place_of(team) as place:
        with attacked(place, SEED) as neighbours:
            bystander = team.start("bystander", ENDS, replicas=2)
            after = outcome(job, lambda: beside.taken.append(look(shipped)))
            bystander.ends("Complete")
            vandals_run = run_again(team)
        end_orphans(place, team.kube.client)
    counts = tallies(neighbours)
    proof = Proof(SEED, True, undisturbed, after, alone, beside, counts, vandals_run)
    with capsys.disabled():
        print("\n" + "\n".join(proof.lines()))
        print(earlier_log(shipped))
    proof.check()
    leaves_nothing(team)


def train(team: Namespace, step_s: float) -> ClusterJob:
    """Start the training."""
    worker = {
        "env": environment(STEPS, step_s),
        "command": ["python3", "-u", "-c", SCRIPT],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}},
    }
    pod = python(os.environ["E2E_TORCH_IMAGE"], "", **worker)
    pod["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    return team.start(VICTIM, pod=pod, replicas=MEMBERS)


def outcome(job: ClusterJob, note: Callable[[], None]) -> Outcome:
    """Wait for the end of a training, and note the operator's state from time to time."""
    is_over = lambda: job.condition("Complete") or job.condition("Failed")  # noqa: E731
    note()
    while not is_over():
        with suppress(TimeoutError):
            until("the end of the training", lambda: job.is_("Complete"), SAMPLE_EVERY_S)
        note()
    status, round_ = job.status, job.round
    pods = sorted(pod["metadata"]["name"] for pod in job.all_pods)
    return Outcome(
        phase=status["phase"],
        n=round_.n,
        starts=round_.starts,
        restarts=status.get("restarts", 0),
        counted=status.get("counted", 0),
        pods=tuple(pods),
        printed={pod: printed(job.log(pod)) for pod in pods},
    )


def look(release: Release) -> Sample:
    """The state of the operator that leads."""
    return until("the metrics of the operator that leads", lambda: read_leader(release))


def read_leader(release: Release) -> Sample | None:
    """The state of the operator that the election names; None while it does not lead."""
    pod: Json | None = release.leader
    if pod is None:
        return None
    name, status = pod["metadata"]["name"], pod["status"]["containerStatuses"][0]
    words = ("exec", "-n", NAMESPACE, name, "--", "python3", "-c", READ)
    text = release.kube.kubectl(*words, check=False)
    if "elasticjob_leader 1.0" not in text:
        return None
    return sample(f"{name} {status['restartCount']}", text, text)


def earlier_log(release: Release) -> str:
    """The last lines of the operators that have ended."""
    ended = [pod for pod in release.pods if pod["status"]["containerStatuses"][0]["restartCount"]]
    words = ("logs", "--previous", "--tail=40", "-n", NAMESPACE)
    names_ = [pod["metadata"]["name"] for pod in ended]
    return "".join(release.kube.kubectl(*words, name, check=False) for name in names_)


# ---- the neighbour -------------------------------------------------------------------------------


@contextmanager
def place_of(team: Namespace) -> Iterator[Place]:
    """The namespace as the neighbour sees it, with an account for the author of its jobs."""
    here = ("-n", team.name)
    team.kube.kubectl("create", "serviceaccount", "author", *here)
    account = f"--serviceaccount={team.name}:author"
    editor = ("create", "rolebinding", "author", "--clusterrole=elasticjob-editor", account)
    team.kube.kubectl(*editor, *here)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    roles = team.path("roles", "/apis/rbac.authorization.k8s.io/v1")
    team.kube.post(roles, {**role, "metadata": {"name": "configures"}, "rules": RIGHTS})
    binding = ("create", "rolebinding", "configures", "--role=configures", account)
    team.kube.kubectl(*binding, *here)
    token = team.kube.kubectl("create", "token", "author", "--duration=2h", *here).strip()
    team.kube.post(team.path("configmaps"), config_map(CONFIG, data={"python3": NO_AGENT}))
    admin = Client.from_kubeconfig(team.kube.kubeconfig)

    def enter(job_uid: str) -> tuple[str, str] | None:
        """Read the token in the container of a running pod."""
        of_job = f"{names.LABEL_JOB_UID}={job_uid}"
        found = admin.get(team.path("pods"), labelSelector=of_job).body
        running = [p for p in found["items"] if not is_leaving(p) and is_running(p)]
        for pod in running:
            name = str(pod["metadata"]["name"])
            words = ("exec", name, *here, "-c", "worker", "--", "/bin/cat")
            path = "/var/run/secrets/elasticjob/token"
            text = team.kube.kubectl(*words, path, check=False).strip()
            if text.count(".") == 2 and " " not in text:
                return name, text
        return None

    def body(name: str, command: list[str], **spec: object) -> Json:
        pod = restricted({"containers": [{**worker(team.image), "command": command}]})
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": team.name},
            "spec": {"stopGraceSeconds": 1, "template": {"spec": pod}, **spec},
        }

    try:
        yield Place(team.name, admin.as_user(token), enter, body, is_protected=True)
    finally:
        admin.close()


def worker(image: str) -> Json:
    """The worker container of a hostile job."""
    return {"name": "worker", "image": image}


def is_running(pod: Json) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")


def run_again(team: Namespace) -> bool:
    """Whether the vandals start another round: no damaged file has blocked an agent."""
    vandal = ClusterJob(team, VANDAL)
    current = lambda: (lease := vandal.lease) and (lease.uid, lease.round.n)  # noqa: E731
    before = current()
    with suppress(TimeoutError):
        return until("another round", lambda: current() != before)
    return False


def leaves_nothing(team: Namespace) -> None:
    """Delete all jobs; wait until no object of them exists."""
    team.kube.delete(team.jobs)
    for kind in (team.leases, team.path("pods"), team.jobs):
        until(f"no {kind}", lambda kind=kind: not rest(team.kube, kind))


def rest(kube: Kube, kind: str) -> list[str]:
    """The names of the objects of the jobs, and of the neighbour's."""
    marks = (VICTIM, EVIL, TOY, VANDAL, "huge", "forged")
    found = [item["metadata"]["name"] for item in kube.items(kind)]
    return [name for name in found if name.startswith(marks)]
