"""Jobs on a real cluster: create them, read their state, kill their parts and wait for changes.

Every pod meets the `restricted` pod security level. Workers use Python's standard library and idle,
so two cores are enough.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dev.kube_client import Json, RefusedError
from tests.support.kube import Kube, until

from elasticjob.wire import names
from elasticjob.wire.lease import RoundLease, parse_round
from elasticjob.wire.round import Phase, Round

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
RESOURCES = {"requests": {"cpu": "10m", "memory": "24Mi"}}

SAY = "import os, signal, sys; print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'])"
RUNS = f"{SAY}; signal.pause()"
"""Runs until SIGTERM."""
FAILS = f"{SAY}; sys.exit(3)"
ENDS = SAY

# Runs in the worker's container, by kubectl exec: the oldest process that the agent started.
KILL = """
import os, signal
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/environ", "rb").read().split(b"\\0")
    except OSError:
        continue
    if any(word.startswith(b"LOCAL_RANK=") for word in words):
        found.append(int(pid))
os.kill(min(found), signal.SIGKILL)
print(min(found))
"""


def restricted(pod: Json) -> Json:
    """A pod's specification that the `restricted` level admits."""
    pod = copy.deepcopy(pod)
    pod["securityContext"] = POD_SECURITY
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        container.setdefault("securityContext", CONTAINER_SECURITY)
        container.setdefault("resources", RESOURCES)
    return pod


def python(image: str, script: str, **fields: Any) -> Json:
    """A pod whose worker runs a script."""
    worker = {"name": "worker", "image": image, "command": ["python3", "-u", "-S", "-c", script]}
    return {"containers": [{**worker, **fields}]}


def selector(job: str, lease: str = "") -> str:
    """The selector of what belongs to a job."""
    return f"{names.LABEL_JOB}={job}" + (f",{names.LABEL_LEASE}={lease}" if lease else "")


def generation(pod: Json) -> int:
    return int(pod["metadata"]["labels"][names.LABEL_GENERATION])


def index(pod: Json) -> int:
    return int(pod["metadata"]["labels"][names.LABEL_INDEX])


def is_leaving(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def identities(pods: dict[int, Json]) -> set[tuple[str, str]]:
    """Names and UIDs."""
    return {(pod["metadata"]["name"], pod["metadata"]["uid"]) for pod in pods.values()}


@dataclass
class Namespace:
    """The namespace of one test."""

    kube: Kube
    name: str
    image: str
    """Has Python and nothing else."""
    tell: Callable[[str, Json], None]
    """Records what happened with the lastRecovery of a job."""

    def path(self, kind: str, group: str = "/api/v1") -> str:
        """Of a kind's collection: `pods`."""
        return f"{group}/namespaces/{self.name}/{kind}"

    @property
    def leases(self) -> str:
        return self.path("leases", "/apis/coordination.k8s.io/v1")

    @property
    def jobs(self) -> str:
        return self.path(names.PLURAL, f"/apis/{names.API_VERSION}")

    def start(
        self,
        name: str,
        script: str = RUNS,
        *,
        pod: Json | None = None,
        labels: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> ClusterJob:
        """Create a job; its workers run a script, or the given pod. labels: of the pods."""
        template = {
            "metadata": {"labels": dict(labels or {})},
            "spec": restricted(pod or python(self.image, script)),
        }
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"crashGraceSeconds": 1, "stopGraceSeconds": 2, "template": template, **spec},
        }
        self.kube.post(self.jobs, body)
        return ClusterJob(self, name)


@dataclass
class ClusterJob:
    """A job in the cluster; every property reads its current state."""

    namespace: Namespace
    name: str

    @property
    def kube(self) -> Kube:
        return self.namespace.kube

    @property
    def path(self) -> str:
        return f"{self.namespace.jobs}/{self.name}"

    # ---- looks

    @property
    def body(self) -> Json:
        return self.kube.get(self.path)

    @property
    def status(self) -> Json:
        return self.body.get("status") or {}

    @property
    def phase(self) -> str:
        """STATUS."""
        return str(self.status.get("phase") or "")

    @property
    def lease(self) -> RoundLease | None:
        try:
            found = self.kube.get(f"{self.namespace.leases}/{names.round_lease_name(self.name)}")
        except RefusedError as refused:
            if refused.code != 404:
                raise
            return None
        return parse_round(found)

    @property
    def round(self) -> Round:
        lease = self.lease
        assert lease is not None
        return lease.round

    @property
    def charged(self) -> set[int]:
        return set(self.round.charged.numbers)

    @property
    def all_pods(self) -> list[Json]:
        return self.kube.items(self.namespace.path("pods"), labelSelector=selector(self.name))

    @property
    def pods(self) -> dict[int, Json]:
        """The newest pod of each index, unless it is being deleted."""
        staying = [pod for pod in self.all_pods if not is_leaving(pod)]
        return {index(pod): pod for pod in sorted(staying, key=generation)}

    def condition(self, kind: str) -> Json:
        """A condition; empty if there is none."""
        conditions = self.status.get("conditions") or []
        return next((c for c in conditions if c["type"] == kind), {})

    def is_(self, kind: str) -> bool:
        return self.condition(kind).get("status") == "True"

    def log(self, pod: str) -> str:
        return self.kube.kubectl("logs", "-n", self.namespace.name, pod, check=False)

    # ---- waits

    def runs(self, members: int, after: int = 0, within_s: float = 90) -> Round:
        """Wait until the holder reports a later round with this number of running members."""

        def look() -> Round | None:
            lease = self.lease
            if lease is None or lease.report is None or lease.round.phase is not Phase.ACTIVE:
                return None
            round_, report = lease.round, lease.report
            is_new = round_.n > after and len(round_.pods) == members
            all_run = report.n == round_.n and frozenset(report.running) >= round_.pods
            return round_ if is_new and all_run else None

        return until(f"{members} members in a round after {after}", look, within_s)

    def recovered(self, what: str, members: int, after: int, within_s: float = 90) -> Round:
        """Wait as `runs` does, and until status.lastRecovery reports the round; record it."""
        round_ = self.runs(members, after, within_s)

        def told() -> Json | None:
            found = self.status.get("lastRecovery") or {}
            return found if found.get("round", -1) >= round_.n else None

        self.namespace.tell(what, until("its lastRecovery", told))
        return round_

    def ends(self, kind: str, within_s: float = 90) -> Json:
        """Wait for the condition Complete or Failed; the other one must not come first."""
        other = {"Complete": "Failed", "Failed": "Complete"}[kind]

        def look() -> Json | None:
            assert not self.is_(other), self.condition(other)
            return self.condition(kind) if self.is_(kind) else None

        return until(f"{self.name} to be {kind}", look, within_s)

    def says(self, *words: str, within_s: float = 90) -> str:
        """Wait until STATUS contains all of these words; return it."""
        phases: list[str] = []

        def look() -> str:
            phases.append(self.phase)
            return phases[-1] if all(word in phases[-1] for word in words) else ""

        try:
            return until(f"STATUS with {words}", look, within_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it was {phases[-1] if phases else ''!r}") from None

    # ---- disturbances

    def kill_worker(self, of: int) -> None:
        """kill -9 of the worker of an index."""
        self.exec(of, "python3", "-c", KILL)

    def exec(self, of: int, *command: str) -> str:
        """kubectl exec in the pod of an index."""
        pod = self.pods[of]["metadata"]["name"]
        words = ("exec", "-n", self.namespace.name, pod, "-c", "worker", "--", *command)
        return self.kube.kubectl(*words)

    def delete_pod(self, of: int) -> str:
        """kubectl delete pod; its name."""
        name: str = self.pods[of]["metadata"]["name"]
        self.kube.delete(f"{self.namespace.path('pods')}/{name}")
        return name

    def change(self, **spec: Any) -> None:
        """Patch the specification."""
        self.kube.patch(self.path, {"spec": spec})

    def delete(self) -> None:
        self.kube.delete(self.path)
