"""The agent Leases of a job as the holder has received them, and when each changed last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod

NEVER = -(1 << 62)  # a count of pulses before every other


@dataclass(frozen=True)
class Seen:
    """One entry of the view."""

    lease: AgentLease | None  # None: absent
    changed_at: float  # when this entry changed last
    changed_pulse: int  # View.pulses at that time
    order: int = 0  # of that change, among all changes of the view
    node: str = ""  # where the pod was when it last had a Lease
    got_at: float = -math.inf  # when a GET last returned exactly this version
    got_pulse: int = NEVER  # View.pulses at that time
    alive_at: float = 0.0  # the last sign of life of the agent; a leaving one gave it by leaving


@dataclass(frozen=True)
class View:
    """All agent Leases of the job by pod."""

    job: str
    own: Pod  # the holder's pod: the holder never judges itself silent
    seen: Mapping[Pod, Seen] = MappingProxyType({})
    pulses: int = 0  # the holder's pulses that the wide watch has delivered
    order: int = 0  # of the last change
    last_call_since: float | None = None  # when the last call began; None: there is none

    @property
    def has_trained(self) -> bool:
        """Whether an agent says that a worker has reported progress."""
        return any(seen.lease.state.trained for seen in self.seen.values() if seen.lease)


@dataclass(frozen=True)
class FormerHolder:
    """The holder before the current one, as an agent received it."""

    pod: Pod
    pulse_at: float  # its last pulse
    given_up_at: float  # when it did not have the role any more


def with_lease(view: View, lease: AgentLease, now: float, by_get: bool) -> View:
    """The view after the holder received a Lease. A newer version ends the silence of its agent."""
    old = view.seen.get(lease.pod)
    if old is None or old.lease is None or is_newer(lease.version, old.lease.version):
        return _changed(view, lease.pod, lease, now, by_get)
    is_same = lease.version == old.lease.version
    return _with(view, lease.pod, _confirmed(view, old, now)) if by_get and is_same else view


def without_lease(view: View, pod: Pod, now: float, by_get: bool) -> View:
    """The view after a Lease was deleted or not found: its agent is silent from now on (V7)."""
    old = view.seen.get(pod)
    if old is None or old.lease is not None:
        return _changed(view, pod, None, now, by_get)
    return _with(view, pod, _confirmed(view, old, now)) if by_get else view


def with_initial_set(
    view: View, leases: tuple[AgentLease, ...], members: frozenset[Pod], now: float
) -> View:
    """The view after an initial set, which replaces it: a gap hides deletions (F3).

    An unchanged agent stays as silent as it was. A member without a Lease gets an absent entry. All
    new entries have the same order number, as none of them is known to be later than another.
    """
    order = view.order + 1
    found = {lease.pod: lease for lease in leases}
    absent = {pod: None for pod in members - frozenset(found)}
    seen = {
        pod: _unchanged(view, pod, lease) or _new_entry(view, pod, lease, order, now)
        for pod, lease in {**found, **absent}.items()
    }
    return replace(view, seen=seen, order=order)


def with_former_holder(view: View, former: FormerHolder) -> View:
    """The first view of a new holder, with the last sign of life of the holder before it: its last
    pulse or, if it is leaving, that it gave up the role."""
    seen = view.seen.get(former.pod)
    if seen is None:
        return view
    is_leaving = seen.lease is not None and seen.lease.state.leaving
    alive_at = former.given_up_at if is_leaving else former.pulse_at
    return _with(view, former.pod, replace(seen, alive_at=alive_at))


def with_silent_agent(view: View, pod: Pod) -> View:
    """Rule 6: the view in which the agent of this pod is silent until its Lease changes."""
    seen = replace(view.seen[pod], changed_at=-math.inf, changed_pulse=NEVER)
    return _with(view, pod, seen)


def _changed(view: View, pod: Pod, lease: AgentLease | None, now: float, by_get: bool) -> View:
    seen = _new_entry(view, pod, lease, view.order + 1, now)
    seen = _confirmed(view, seen, now) if by_get else seen
    return _with(replace(view, order=view.order + 1), pod, seen)


def _alive_at(old: Seen | None, new: AgentLease | None, now: float) -> float:
    """When an agent gave its last sign of life, after its Lease has changed.

    The operator's mark and a deletion are none. A leaving agent renews its Lease until it ends, but
    what counts is when it began to leave.
    """
    if old is None:
        return now
    was_leaving = old.lease is not None and old.lease.state.leaving
    if new is None or new.ended or (was_leaving and new.state.leaving):
        return old.alive_at
    return now


def _confirmed(view: View, seen: Seen, now: float) -> Seen:
    return replace(seen, got_at=now, got_pulse=view.pulses)


def _new_entry(view: View, pod: Pod, lease: AgentLease | None, order: int, now: float) -> Seen:
    node, alive_at = _node(view, pod, lease), _alive_at(view.seen.get(pod), lease, now)
    return Seen(lease, now, view.pulses, order, node, alive_at=alive_at)


def _unchanged(view: View, pod: Pod, lease: AgentLease | None) -> Seen | None:
    old = view.seen.get(pod)
    if old is None:
        return None
    versions = [x.version if x else "" for x in (old.lease, lease)]
    return old if versions[0] == versions[1] else None


def _node(view: View, pod: Pod, lease: AgentLease | None) -> str:
    old = view.seen.get(pod)
    return lease.state.node if lease else (old.node if old else "")


def is_newer(version: str, than: str) -> bool:
    """Whether a resourceVersion is later. They are comparable decimal numbers (KEP-5504)."""
    return int(version) > int(than)


def _with(view: View, pod: Pod, seen: Seen) -> View:
    return replace(view, seen={**view.seen, pod: seen})
