"""One job: its Round Lease, its pods, and what the operator does for them (rule 9).

The operator's part is as small as possible: mark the Lease of a pod that has ended or is given up,
make the holder role vacant if this pod had it, then start the next generation. It sends its
requests without a proxy. `tests/sim` runs the shipped plan together with agents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dev.kube_client import Client
from tests.splitbrain import records
from tests.splitbrain.pods import Place, PodProcess
from tests.splitbrain.records import Start

from elasticjob.wire import lease as leases
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.names import round_lease_name
from elasticjob.wire.round import Round

HEARTBEAT_S = 0.5
LEASES = f"/apis/{leases.LEASE_API}/namespaces/default/leases"
MANY = 1_000_000  # restarts


class Job:
    """A job of some pods, of which all but one must be there."""

    def __init__(self, client: Client, place: Place, count: int) -> None:
        self.place = place
        self.pods: list[PodProcess] = []
        self.given_up: list[PodProcess] = []
        self.exits: Counter[str] = Counter()
        self._client = client
        self._started = 0
        self._left: list[PodProcess] = []  # pods whose Leases still exist
        place.records.mkdir(parents=True)
        (place.root / "agent.pyz").write_bytes(place.agent.data)
        self._identity = leases.JobIdentity("default", place.job, place.uid)
        manifest = leases.round_manifest(self._identity, desired(count), Round())
        del manifest["metadata"]["ownerReferences"]  # garbage collection would look for the owner
        client.post(LEASES, manifest).accepted()
        for index in range(count):
            self.pods.append(self._start(Pod(index, 0)))

    @property
    def lease(self) -> leases.RoundLease:
        """The current Round Lease."""
        return leases.parse_round(self._client.get(self._path(self._round_name)).accepted())

    def starts(self) -> list[Start]:
        """What the workers have recorded."""
        return records.read(self.place.records)

    def replace_ended(self) -> None:
        """Do what the operator does, for each pod that has ended."""
        for pod in [pod for pod in self.pods if pod.has_ended]:
            self.exits[pod.exit_text] += 1
            pod.sweep()
            self._replace(pod)
        for pod in [pod for pod in self.given_up if pod.has_ended]:
            self.exits[pod.exit_text] += 1
            pod.sweep()
            self.given_up.remove(pod)
        self._delete_leases()

    def give_up(self, pod: PodProcess) -> None:
        """Replace a pod that may be alive: its node could be cut off."""
        self.given_up.append(pod)
        self._replace(pod)

    def start_again(self, pod: PodProcess) -> None:
        """Start another incarnation in a pod that was killed, as a kubelet could do."""
        self.pods[self.pods.index(pod)] = self._start(pod.pod)

    def end(self) -> None:
        """Kill all pods, and delete the Leases."""
        for pod in [*self.pods, *self.given_up]:
            pod.kill()
        self._client.delete(self._path(self._round_name))
        for pod in [*self.pods, *self._left]:
            self._client.delete(self._path(pod.name))

    # ---- the operator ----------------------------------------------------------------------------

    def _replace(self, pod: PodProcess) -> None:
        self._mark(pod)
        self._vacate(pod)
        self._left.append(pod)
        index = self.pods.index(pod)
        self.pods[index] = self._start(Pod(pod.pod.index, pod.pod.generation + 1))

    def _start(self, pod: Pod) -> PodProcess:
        self._started += 1
        return PodProcess(self.place, pod, self._started)

    def _mark(self, pod: PodProcess) -> None:
        """Mark the Lease of a pod; create a marked one if it has none, as it might join later."""
        mark = leases.EndedMark("ended")
        while True:
            found, lease = self._client.get(self._path(pod.name)), self.lease
            if found.code == 404:
                reply = self._client.post(LEASES, self._marked(pod, lease, mark))
            else:
                patch = leases.ended_patch(self._identity, lease.uid, mark, found.version)
                reply = self._client.patch(self._path(pod.name), patch)
            if reply.code in (200, 201):
                return
            assert reply.code == 409, reply.body

    def _marked(
        self, pod: PodProcess, lease: leases.RoundLease, mark: leases.EndedMark
    ) -> dict[str, object]:
        found = leases.ended_manifest(self._identity, lease.uid, pod.pod, mark, lease.round.n)
        return dict(found)

    def _vacate(self, pod: PodProcess) -> None:
        """Make the holder role vacant if this pod has it."""
        while (lease := self.lease).holder == pod.name:
            patch = leases.holder_patch("", "", lease.version)
            if self._client.patch(self._path(self._round_name), patch).code == 200:
                return

    def _delete_leases(self) -> None:
        """Delete the Leases of pods that have ended, once the round does not depend on them."""
        if self._left:
            lease = self.lease
            for pod in list(self._free(lease)):
                self._client.delete(self._path(pod.name))
                self._left.remove(pod)

    def _free(self, lease: leases.RoundLease) -> Iterator[PodProcess]:
        for pod in self._left:
            if pod.has_ended and pod.pod not in lease.round.pods and pod.name != lease.holder:
                yield pod

    @property
    def _round_name(self) -> str:
        return round_lease_name(self.place.job)

    def _path(self, name: str) -> str:
        return f"{LEASES}/{name}"


def desired(count: int) -> Desired:
    """A job without pauses: each crash counts as the first, and no cooldown delays a join."""
    return Desired(
        wanted=tuple(Pod(index, 0) for index in range(count)), min_members=max(1, count - 1),
        max_restarts=MANY, heartbeat_s=HEARTBEAT_S, stop_grace_s=1.0, crash_grace_s=0.3,
        cooldown_s=0.1, last_call_s=0.3, startup_last_call_s=5.0, reset_after_s=0.0,
    )  # fmt: skip
