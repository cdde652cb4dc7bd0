"""Normalise the records of the protocol: relative and clipped times, and ranks instead of numbers.

The core compares round numbers, resourceVersions and renewTimes with each other and makes larger
ones, but never depends on their values. So a state of the search has their ranks (README.md, "Why
the reductions are sound"). kinds.py has the kind of every field of every record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tests.model import kinds
from tests.model.kinds import KINDS

from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.plan.lost import SILENT_READS
from elasticjob.rendezvous import timing
from elasticjob.rendezvous.state import Identity, Me
from elasticjob.rendezvous.view import NEVER, Seen, View
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.charges import NO_CHARGES
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.names import parse_pod_name

_ROUND_IN_TEXT = re.compile(r"round \d+")

Labels = tuple[tuple[tuple[str, Any], int], ...]  # (domain, pod or None), number
Domain = tuple[str, Any]
Number = Callable[[Domain, int], int]

ROUNDS: Domain = ("n", None)
VERSIONS: Domain = ("round version", None)
TIMES: Domain = ("pulse time", None)


def lease_versions(pod: Any) -> Domain:
    """The domain of the versions of a pod's Lease, in which a deleted Lease counts, too."""
    return ("lease version", pod)


def renewals(pod: Any) -> Domain:
    """The domain of the renewals of a pod's Lease."""
    return ("renewal", pod)


def lease_uids(pod: Any) -> Domain:
    """The domain of the UIDs of a pod's Leases."""
    return ("lease uid", pod)


def renumbered(record: Any, number: Number, pod: Any = None) -> Any:
    """The record with other numbers. pod: whose Lease the versions in an action are of."""
    cls = record.__class__
    if cls is AgentLease:
        pod = record.pod
    elif cls is Me:
        pod = record.who.pod
        record = _without_past(record)
    elif cls is AgentState:
        record = _without_old_cause(record)
    changes: dict[str, Any] = {}
    fields = record.__dict__
    for name, rewrite in _REWRITES[cls]:
        old = fields[name]
        if old is not None:
            new = rewrite(old, number, pod)
            if new is not old:
                changes[name] = new
    return replace(record, **changes) if changes else record


_parsed = lru_cache(10_000)(AgentState.from_json)


def _version(old: str, number: Number, domain: Domain) -> str:
    return str(number(domain, int(old))) if old else old


def _state(old: str, number: Number, pod: Any) -> str:
    if not old:
        return old
    return str(renumbered(_parsed(old), number, pod).to_json())


def _view(old: Any, number: Number, pod: Any) -> Any:
    if isinstance(old, View):
        seen = {p: renumbered(found, number, p) for p, found in sorted(old.seen.items())}
        return replace(old, seen=seen)
    return old


def _round_number(old: int, number: Number, pod: Any) -> int:
    return number(ROUNDS, old) if old > 0 else old


def _lease_uid(old: str, number: Number, pod: Any) -> str:
    """The UID of an agent Lease: that of its pod's name, and a number of each creation."""
    if not old:
        return old
    name, _, n = old.rpartition("-")
    return f"{name}-{number(lease_uids(Pod(*parse_pod_name(name))), int(n))}"


def _each(old: Any, number: Number, pod: Any) -> Any:
    """The values of a mapping by pod or index, of which each may be about the Lease of its pod."""
    return {key: renumbered(old[key], number, key) for key in sorted(old)}


def _since(old: Any, number: Number, pod: Any) -> Any:
    """Instants by condition. That of an orphan has the UID of a Lease."""
    made = {}
    for (condition, uid), at in old.items():
        is_lease = condition is Lasting.ORPHANED
        made[Since(condition, _lease_uid(uid, number, pod) if is_lease else uid)] = at
    return dict(sorted(made.items(), key=lambda each: (each[0].condition.value, each[0].uid)))


def _performed(old: Any, number: Number, pod: Any) -> Any:
    made = {renumbered(action, number): renumbered(each, number) for action, each in old.items()}
    return dict(sorted(made.items(), key=lambda each: each[0].pod))


def _nothing(old: Any, number: Number, pod: Any) -> Any:
    assert not old, f"{old} does not occur within the bounds"
    return old


_RENUMBER: dict[str, Callable[[Any, Number, Any], Any]] = {
    kinds.N: _round_number,
    kinds.NS: lambda old, number, pod: frozenset(number(ROUNDS, n) for n in old) if old else old,
    kinds.ROUND_VERSION: lambda old, number, pod: _version(old, number, VERSIONS),
    kinds.LEASE_VERSION: lambda old, number, pod: _version(old, number, lease_versions(pod)),
    kinds.LEASE_UID: _lease_uid,
    kinds.RENEWAL: lambda old, number, pod: _version(old, number, renewals(pod)),
    kinds.PULSE_TIME: lambda old, number, pod: _version(old, number, TIMES),
    kinds.UNREAD: lambda old, number, pod: old.__class__(),
    kinds.FORGOTTEN: lambda old, number, pod: None,
    kinds.NONE: _nothing,
    kinds.NO_CHARGE: lambda old, number, pod: NO_CHARGES,
    kinds.READS: lambda old, number, pod: min(old, SILENT_READS),
    kinds.MEASURED: lambda old, number, pod: 0,
    kinds.MEASURED_AT: lambda old, number, pod: 0.0,
    kinds.MEASURED_BY: lambda old, number, pod: None,
    kinds.STARTS: lambda old, number, pod: min(old, 4),
    kinds.STATE: _state,
    kinds.RECORD: lambda old, number, pod: renumbered(old, number, pod),
    kinds.RECORDS: lambda old, number, pod: tuple(renumbered(each, number, pod) for each in old),
    kinds.BY_KEY: _each,
    kinds.BY_ACTION: _performed,
    kinds.BY_CONDITION: _since,
    kinds.VIEW: _view,
    kinds.REASON: lambda old, number, pod: _ROUND_IN_TEXT.sub("a round", old),
}


_REWRITES = {
    cls: tuple((name, _RENUMBER[kind]) for name, kind in row.items() if kind in _RENUMBER)
    for cls, row in KINDS.items()
}


def _without_past(me: Me) -> Me:
    """Forget the numbers of rounds before the one that the agent reports: it compares none."""
    return _without_old_cause(me)


def _without_old_cause(state: Any) -> Any:
    """Forget the round of a failure that is older than the round that the agent reports."""
    cause = state.cause
    if cause is None or not cause.n or cause.n >= state.n:
        return state
    return replace(state, cause=replace(cause, n=0))


def labels_of(record: Any, pod: Any = None) -> tuple[Any, frozenset[tuple[Domain, int]]]:
    """The record in its normal form, and the numbers in it."""
    found: set[tuple[Domain, int]] = set()

    def note(domain: Domain, n: int) -> int:
        found.add((domain, n))
        return n

    return renumbered(record, note, pod), frozenset(found)


_PLAIN = frozenset({str, int, float, bool, type(None), Pod, Identity})


def key_of(value: Any) -> Any:
    """A hashable value that is equal for equal records."""
    cls = value.__class__
    if cls in _PLAIN:
        return value
    if cls in KINDS:
        fields = value.__dict__
        return (cls, *[key_of(fields[name]) for name in cls.__match_args__])
    if cls is tuple:
        return tuple([key_of(each) for each in value])
    if cls is dict:
        return tuple([(k, key_of(each)) for k, each in value.items()])
    return value


# ---- time ----------------------------------------------------------------------------------------


class Clock:
    """The bounds up to which it matters how long ago an instant was, by the job's settings."""

    def __init__(self, desired: Desired, longest_delay_s: float) -> None:
        heartbeat_s = desired.heartbeat_s
        grace_s = max(desired.stop_grace_s, desired.crash_grace_s)
        deadline_s = grace_s + longest_delay_s + 2 * heartbeat_s + timing.START_ALLOWANCE_S
        silence_s = timing.silence_s(heartbeat_s, timing.SILENT_PULSES)
        nodes_s = timing.silence_s(heartbeat_s, timing.SILENT_PULSES_NODES)
        blind_s = timing.blind_s(heartbeat_s) + 1.0  # later than the bound itself
        call_s = max(desired.last_call_s, desired.startup_last_call_s)
        api_s = desired.api_grace_s if desired.api_grace_s < NEVER_S else 0.0
        self.heartbeat_s = heartbeat_s
        self.bounds = {
            "due": 0.0,
            "since round": max(deadline_s, desired.cooldown_s, call_s),
            "since delay": longest_delay_s,
            "since contact": max(blind_s, api_s),
            "since blind": silence_s,
            "since pulse": silence_s,
            "since change": max(nodes_s, deadline_s),
            "since call": call_s,
        }
        self.deadline_s = deadline_s

    def aged(self, me: Me, by_s: float) -> Me:
        """The agent's state after a time in which it made no step. Its clock shows 0."""
        before, me = me, self._aged(me, by_s)
        if me.run is not None:
            me = replace(me, run=self._aged(me.run, by_s))
        if me.hold is not None:
            hold = self._aged(me.hold, by_s)
            me = replace(me, hold=replace(hold, view=self._view(before, me, hold.view, by_s)))
        return me

    def _aged(self, record: Any, by_s: float) -> Any:
        changes: dict[str, Any] = {}
        for name, bound_s in self._instants(type(record)):
            old = getattr(record, name)
            if old is None or old == -math.inf:
                continue
            new = round(old - by_s, 6)
            if new <= -bound_s:
                new = -math.inf if name == "contact_since" else -bound_s + 0.0
            if new != old:
                changes[name] = new
        if isinstance(record, Me) and record.renewals_since_pulse > timing.MISSED_PULSES:
            changes["renewals_since_pulse"] = timing.MISSED_PULSES
        return replace(record, **changes) if changes else record

    def _instants(self, cls: type) -> list[tuple[str, float]]:
        return [(name, self.bounds[k]) for name, k in KINDS[cls].items() if k in self.bounds]

    def _view(self, before: Me, me: Me, view: View, by_s: float) -> View:
        """The view with relative counts of pulses, ranks of changes, and GETs by their effect."""
        view = self._aged(view, by_s)
        orders = {order: k for k, order in enumerate(sorted({s.order for s in view.seen.values()}))}
        seen = {
            pod: self._seen(before, me, view, found, by_s, orders[found.order])
            for pod, found in sorted(view.seen.items())
        }
        return replace(view, seen=seen, pulses=0, order=max(orders.values(), default=0))

    def _seen(self, before: Me, me: Me, view: View, old: Seen, by_s: float, order: int) -> Seen:
        most = timing.SILENT_PULSES_NODES
        changed = -min(view.pulses - old.changed_pulse, most)
        if old.lease is not None and old.lease.pod == view.own:  # no holder judges itself
            return replace(
                old, changed_at=-self.bounds["since change"], changed_pulse=-most, order=order,
                got_at=-math.inf, got_pulse=NEVER,
            )  # fmt: skip
        got_pulse = old.got_pulse
        if got_pulse != NEVER:
            got_pulse = changed + min(got_pulse - old.changed_pulse, most)
        changed_at = max(-self.bounds["since change"], round(old.changed_at - by_s, 6))
        got_at = self._got_at(before, me, old)
        return replace(
            old, changed_pulse=changed, changed_at=changed_at + 0.0, order=order, got_at=got_at,
            got_pulse=NEVER if got_at == -math.inf else got_pulse,
        )  # fmt: skip

    def _got_at(self, before: Me, me: Me, seen: Seen) -> float:
        """A GET confirms nothing, that an agent is silent, or also that it is late.

        before: the agent when its clock showed what the view has.
        """
        silence_s = timing.silence_s(self.heartbeat_s, timing.SILENT_PULSES)
        if seen.got_at == -math.inf or seen.got_at < before.contact_since + silence_s:
            return -math.inf
        is_absent = seen.lease is None
        began_at = max(before.round_at, seen.changed_at) if is_absent else before.round_at
        desired, round_ = me.lease.desired, me.lease.round  # type: ignore[union-attr]
        if round(seen.got_at - began_at, 6) >= timing.start_deadline_s(desired, round_):
            return 0.0
        return max(-NEVER_S, me.contact_since + silence_s)


NEVER_S = 1e8  # a duration that the search does not reach
