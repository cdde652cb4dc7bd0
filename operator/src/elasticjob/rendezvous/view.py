"""The agent Leases of a job as the holder sees them, and when each of them last changed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


@dataclass(frozen=True)
class Seen:
    """An agent Lease in the holder's view, and when it last changed there.

    lease None: absent. node: where it was last seen. changed_at: seconds; changed_pulse: the
    holder's count of returned pulses; order: of all changes in this view. confirmed: a GET since
    then returned just this.
    """

    lease: AgentLease | None
    changed_at: float
    changed_pulse: int
    order: int = 0
    node: str = ""
    confirmed: bool = False


@dataclass(frozen=True)
class View:
    """All agent Leases of the job by pod, as the holder sees them.

    own: the holder's pod, whose silence it never judges. pulses: of the holder's that came back in
    this stream. order: of the last change. call_at: since when a round could begin that lacks
    somebody who is wanted.
    """

    job: str
    own: Pod
    seen: Mapping[Pod, Seen] = field(default_factory=dict)
    pulses: int = 0
    order: int = 0
    call_at: float | None = None


def with_lease(view: View, lease: AgentLease, now: float, by_get: bool) -> View:
    """The view after a Lease was seen: a change starts its silence anew; a GET confirms."""
    old = view.seen.get(lease.pod)
    if old is not None and old.lease is not None:
        if old.lease.version == lease.version:
            return _with(view, lease.pod, replace(old, confirmed=old.confirmed or by_get))
        if not is_newer(lease.version, old.lease.version):
            return view
    seen = Seen(lease, now, view.pulses, view.order + 1, lease.state.node)
    return _with(replace(view, order=view.order + 1), lease.pod, seen)


def without_lease(view: View, pod: Pod, now: float, by_get: bool) -> View:
    """The view after a Lease was deleted or not found: absent counts as silent from now on (V7)."""
    old = view.seen.get(pod)
    if old is not None and old.lease is None:
        return _with(view, pod, replace(old, confirmed=old.confirmed or by_get))
    node = old.node if old else ""
    seen = Seen(None, now, view.pulses, view.order + 1, node)
    return _with(replace(view, order=view.order + 1), pod, seen)


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
