"""Conditions that only time resolves: for which objects each of them holds now.

A snapshot measures how long each has lasted (`Snapshot.since`), and the operator remembers the same
mapping. So a policy reads no duration that is not remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from elasticjob.controller.observe.containers import ContainerState
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.rendezvous import timing
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod

if TYPE_CHECKING:
    from elasticjob.controller.observe.snapshot import Snapshot

# The kubelet's reasons while it mounts volumes, sets up the network, and pulls an image.
_CREATING = ("", "ContainerCreating", "PodInitializing")


def conditions(snapshot: Snapshot) -> Iterator[Since]:
    """Every condition that holds now."""
    if snapshot.lease is not None:
        yield same_pulse(snapshot.lease.renew_time)
    for pod in deleting(snapshot):
        yield Since(Lasting.DELETING, pod.uid)
    for pod in unaccepted(snapshot):
        yield Since(Lasting.UNACCEPTED, pod.uid)
    for pod in not_starting(snapshot):
        yield Since(Lasting.NOT_STARTING, pod.uid)
    for pod in unlisted(snapshot):
        yield Since(Lasting.UNLISTED, pod.uid)
    for pod in judged(snapshot):
        yield Since(Lasting.JUDGED, pod.uid)
    for orphan in orphaned(snapshot):
        yield Since(Lasting.ORPHANED, orphan.uid)


def same_pulse(renew_time: str) -> Since:
    """The condition that the holder has sent no other pulse."""
    return Since(Lasting.SAME_PULSE, renew_time)


def deleting(snapshot: Snapshot) -> Iterator[ObservedPod]:
    """Pods that are being deleted."""
    return (pod for pod in snapshot.pods if pod.deleting)


def unaccepted(snapshot: Snapshot) -> Iterator[ObservedPod]:
    """Pods that no kubelet has accepted, though they are bound to a node."""
    for pod in snapshot.living.values():
        if (
            pod.node  # clause 9-unbound-pod-waits
            and not pod.accepted
            and not pod.deleting  # clause 9-deleted-pod-needs-no-kubelet
        ):
            yield pod


def not_starting(snapshot: Snapshot) -> Iterator[ObservedPod]:
    """Pods on a node that has not created their next container."""
    return (pod for pod in snapshot.living.values() if is_not_starting(pod))


def is_not_starting(pod: ObservedPod) -> bool:
    """Whether a pod waits on its node, and its status does not contain the reason."""
    following = pod.init or pod.container
    waits = following.state is ContainerState.WAITING and following.reason in _CREATING
    return waits and bool(pod.node) and not pod.deleting and pod.living


def unlisted(snapshot: Snapshot) -> Iterator[ObservedPod]:
    """Living pods that `desired` in the Round Lease does not list."""
    for pod in snapshot.living.values():
        if snapshot.lease is not None and not pod.deleting and not snapshot.is_listed(pod.pod):
            yield pod


def judged(snapshot: Snapshot) -> Iterator[ObservedPod]:
    """Pods whose agents no holder can judge, so that the operator judges them.

    While the holder sends pulses, these are the agents without a Lease. Without pulses these are
    all agents: if all are silent at once, or the only one is, no agent is left to judge. While the
    holder sends pulses its agent Lease does not count, as it renews the Round Lease instead.
    """
    for pod in snapshot.living.values():
        runs = pod.container.state is ContainerState.RUNNING and not pod.deleting
        if (
            runs
            and snapshot.is_listed(pod.pod)  # clause 9-judge-wanted-pods
            and pod.pod not in snapshot.memory.marked  # clause 9-judge-unmarked-pods
            and not _is_judged_by_agents(snapshot, pod.pod)  # clause 9-one-judge
        ):
            yield pod


def orphaned(snapshot: Snapshot) -> Iterator[AgentLease]:
    """Agent Leases without a living pod."""
    return (orphan for pod, orphan in snapshot.memory.orphans.items() if pod not in snapshot.living)


def has_no_pulse(snapshot: Snapshot) -> bool:
    """Whether no agent is the holder or claims its role: the last pulse is too old."""
    return snapshot.now >= no_pulse_at(snapshot)


def does_holder_run(snapshot: Snapshot) -> bool:
    """Whether the container of the holder's agent runs: then this agent sends pulses."""
    holder = snapshot.by_name.get(snapshot.lease.holder) if snapshot.lease else None
    return holder is not None and holder.container.state is ContainerState.RUNNING


def no_pulse_at(snapshot: Snapshot) -> float:
    """When no agent claims the holder role any more, if no pulse comes before."""
    silence_s = timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES_NODES)
    return snapshot.same_pulse_at + silence_s


def _is_judged_by_agents(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether an agent judges this one: the holder, or the members if it is the holder itself."""
    if (
        snapshot.lease is None or has_no_pulse(snapshot)  # clause 9-judge-without-pulse
    ):
        return False
    if (
        snapshot.is_member(pod)  # clause 9-agents-judge-members
        or snapshot.is_holder(pod)  # clause 9-agents-judge-the-holder
    ):
        return True
    renewal, report = snapshot.memory.renewals.get(pod), snapshot.lease.report
    has_outside = report is None or report.outside  # agents of older releases judge members only
    return has_outside and bool(renewal and renewal.renew_time)
