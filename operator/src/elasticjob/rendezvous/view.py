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


@dataclass(frozen=True)
class View:
    """All agent Leases of the job by pod."""

    job: str
    own: Pod  # the holder's pod: the holder never judges itself silent
    seen: Mapping[Pod, Seen] = MappingProxyType({})
    pulses: int = 0  # the holder's pulses that the wide watch has delivered
    order: int = 0  # of the last change
    last_call_since: float | None = None  # when the last call began; None: there is none


def with_lease(view: View, lease: AgentLease, now: float, by_get: bool) -> View:
    """The view after the holder received a Lease. A newer version ends the silence of its agent."""
    old = view.seen.get(lease.pod)
    if old is None or old.lease is None or is_newer(lease.version, old.lease.version):
        return _changed(view, lease.pod, lease, lease.state.node, now, by_get)
    is_same = lease.version == old.lease.version
    return _with(view, lease.pod, _confirmed(view, old, now)) if by_get and is_same else view


def without_lease(view: View, pod: Pod, now: float, by_get: bool) -> View:
    """The view after a Lease was deleted or not found: its agent is silent from now on (V7)."""
    old = view.seen.get(pod)
    if old is None or old.lease is not None:
        return _changed(view, pod, None, old.node if old else "", now, by_get)
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
        pod: _unchanged(view, pod, lease)
        or Seen(lease, now, view.pulses, order, _node(view, pod, lease))
        for pod, lease in {**found, **absent}.items()
    }
    return replace(view, seen=seen, order=order)


def _changed(
    view: View, pod: Pod, lease: AgentLease | None, node: str, now: float, by_get: bool
) -> View:
    seen = Seen(lease, now, view.pulses, view.order + 1, node)
    seen = _confirmed(view, seen, now) if by_get else seen
    return _with(replace(view, order=view.order + 1), pod, seen)


def _confirmed(view: View, seen: Seen, now: float) -> Seen:
    return replace(seen, got_at=now, got_pulse=view.pulses)


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
