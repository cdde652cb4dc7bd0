"""Which pods of a job run their agent, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.controller.observe.containers import ContainerState
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import missing
from elasticjob.controller.plan.actions import CreatePod
from elasticjob.rendezvous.now import Now
from elasticjob.wire.member import Pod


def running(snapshot: Snapshot) -> int:
    """The number of wanted indexes with a pod whose agent runs and is not lost."""
    return len({pod.index for pod in ready_pods(snapshot)})


def ready_pods(snapshot: Snapshot) -> frozenset[Pod]:
    """The pods of wanted indexes whose agent runs and is not lost."""
    wanted = snapshot.indexes
    in_place = missing.pods_in_place(snapshot, Now(snapshot.now))
    return frozenset(p for p in in_place if p.index in wanted and _runs(snapshot, p))


def absent_pods(snapshot: Snapshot) -> list[Pod]:
    """For each wanted index without such a pod: the pod that starts, or that is created next."""
    in_place = {p.index: p for p in missing.pods_in_place(snapshot, Now(snapshot.now))}
    without = [index for index in snapshot.indexes if index not in in_place]
    coming = {each.pod.index: each.pod for each in to_create(snapshot)} if without else {}
    starting = (in_place[index] for index in snapshot.indexes if index in in_place)
    absent = [pod for pod in starting if not _runs(snapshot, pod)]
    return absent + [coming.get(index) or snapshot.next_pod(index) for index in without]


def _runs(snapshot: Snapshot, pod: Pod) -> bool:
    return snapshot.living[pod].container.state is ContainerState.RUNNING


def to_create(snapshot: Snapshot) -> Iterable[CreatePod]:
    """The missing pods that the operator creates next."""
    return missing.missing_pods(snapshot, Now(snapshot.now)) if snapshot.lease else ()
