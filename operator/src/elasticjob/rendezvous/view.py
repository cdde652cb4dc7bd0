"""The agent Leases of a job as the holder sees them, and when each of them last changed there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod

NEVER = -(1 << 62)  # pulses


@dataclass(frozen=True)
class Seen:
    """An agent Lease in the holder's view, and when it last changed there.

    lease None: absent. node: where it was last seen. changed_at: seconds; changed_pulse: the
    holder's count of returned pulses; order: of all changes in this view. got_at, got_pulse: the
    same of the last GET, if it returned just this.
    """

    lease: AgentLease | None
    changed_at: float
    changed_pulse: int
    order: int = 0
    node: str = ""
    got_at: float = -math.inf
    got_pulse: int = NEVER


@dataclass(frozen=True)
class View:
    """All agent Leases of the job by pod, as the holder sees them.

    own: the holder's pod, whose silence it never judges. pulses: of the holder's that came back in
    this stream. order: of the last change. call_at: since when a round could begin that lacks
    somebody who is wanted.
    """

    job: str
    own: Pod
    seen: Mapping[Pod, Seen] = MappingProxyType({})
    pulses: int = 0
    order: int = 0
    call_at: float | None = None


def with_lease(view: View, lease: AgentLease, now: float, by_get: bool) -> View:
    """The view after a Lease was seen: a change starts its silence anew."""
    old = view.seen.get(lease.pod)
    if old is None or old.lease is None or is_newer(lease.version, old.lease.version):
        return _changed(view, lease.pod, lease, lease.state.node, now, by_get)
    is_same = lease.version == old.lease.version
    return _with(view, lease.pod, _got(view, old, now)) if by_get and is_same else view


def without_lease(view: View, pod: Pod, now: float, by_get: bool) -> View:
    """The view after a Lease was deleted or not found: absent counts as silent from now on (V7)."""
    old = view.seen.get(pod)
    if old is None or old.lease is not None:
        return _changed(view, pod, None, old.node if old else "", now, by_get)
    return _with(view, pod, _got(view, old, now)) if by_get else view


def replaced(
    view: View, leases: tuple[AgentLease, ...], members: frozenset[Pod], now: float
) -> View:
    """The view after an initial set: it replaces the old one, as no deletion is told in a gap (F3).

    Who is unchanged stays as silent as it was; a member without a Lease gets an absent entry. All
    that is new has one place in the order: none of it was said after another.
    """
    order = view.order + 1
    found = {lease.pod: lease for lease in leases}
    absent = {pod: None for pod in members - frozenset(found)}
    seen = {
        pod: _kept(view, pod, lease)
        or Seen(lease, now, view.pulses, order, _node(view, pod, lease))
        for pod, lease in {**found, **absent}.items()
    }
    return replace(view, seen=seen, order=order)


def _changed(
    view: View, pod: Pod, lease: AgentLease | None, node: str, now: float, by_get: bool
) -> View:
    seen = Seen(lease, now, view.pulses, view.order + 1, node)
    seen = _got(view, seen, now) if by_get else seen
    return _with(replace(view, order=view.order + 1), pod, seen)


def _got(view: View, seen: Seen, now: float) -> Seen:
    return replace(seen, got_at=now, got_pulse=view.pulses)


def _kept(view: View, pod: Pod, lease: AgentLease | None) -> Seen | None:
    old = view.seen.get(pod)
    if old is None:
        return None
    versions = [x.version if x else "" for x in (old.lease, lease)]
    return old if versions[0] == versions[1] else None


def _node(view: View, pod: Pod, lease: AgentLease | None) -> str:
    old = view.seen.get(pod)
    return lease.state.node if lease else (old.node if old else "")


def is_newer(version: str, than: str) -> bool:
    """Whether a resourceVersion is later: they are comparable decimal numbers (KEP-5504)."""
    return int(version) > int(than)


def _with(view: View, pod: Pod, seen: Seen) -> View:
    return replace(view, seen={**view.seen, pod: seen})
