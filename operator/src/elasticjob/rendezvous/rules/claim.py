"""Rule 5: somebody must judge. An empty holder is claimed; a silent one after a second look."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import CasRound, ReopenStream
from elasticjob.rendezvous.rule import Step, nothing, steppable
from elasticjob.rendezvous.state import Me
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease


def claim(me: Me, now: float) -> Step:
    """Rule 5: claim what is empty or proven silent (F5). Not when leaving."""
    lease = steppable(me)
    if lease is None or me.leaving or lease.holder == me.who.name:
        return nothing(me)
    if not lease.holder:
        me, looks = _doubt(me, lease, now)
        me, claims = _claim_empty(me, lease, now)
        return me, (*looks, *claims)
    me = replace(me, claim_at=None)
    if me.silent and now >= me.cas_at and "5-silent" not in me.without:
        return replace(me, casing=lease.version), (CasRound(lease.version, holder=me.who.name),)
    return _doubt(me, lease, now)


def _claim_empty(me: Me, lease: RoundLease, now: float) -> Step:
    """Staggered, members first: so one write is enough."""
    if me.claim_at is None:
        delay_s = timing.claim_delay_s(position(me, lease), me.who.jitter)
        me = replace(me, claim_at=now + delay_s)
    if me.claim_at is None or now < max(me.claim_at, me.cas_at):
        return nothing(me)
    return replace(me, casing=lease.version), (CasRound(lease.version, holder=me.who.name),)


def position(me: Me, lease: RoundLease) -> int:
    """My place in the queue of claimants: members in order, then the others by their index."""
    members = sorted(lease.round.pods)
    if me.who.pod in members:
        return members.index(me.who.pod)
    return len(members) + me.who.pod.index


def _doubt(me: Me, lease: RoundLease, now: float) -> Step:
    """Rule 5: my renewals land, and no pulse: is it the holder, or my own watch (F10)?

    It may be the watch, too, where it showed no holder, and nobody claims for so long (F19).
    """
    if me.missed < timing.MISSED_PULSES or me.doubted is not None or me.silent:
        return nothing(me)
    if now - me.quiet_since < timing.silence_s(lease.desired.heartbeat_s, timing.MISSED_PULSES):
        return nothing(me)
    if "5-reopens" in me.without:
        return replace(me, silent=True), ()
    return replace(me, doubted=me.heard, narrow=True), (ReopenStream(wide=False),)
