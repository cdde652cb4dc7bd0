"""Rule 5: claim the vacant holder role, or the role of a silent holder."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import CasRound, ReopenStream
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, no_action, writable_round
from elasticjob.rendezvous.state import Me
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease


def claim(me: Me, now: Now) -> RuleResult:
    """Rule 5: claim the holder role if it is vacant or a consistent read has shown that the
    holder is silent (F5). A leaving agent does not claim."""
    lease = writable_round(me)
    if lease is None or me.leaving or lease.holder == me.who.name:
        return no_action(me)
    if not lease.holder:
        me, checks = _check_holder(me, lease, now)
        me, claims = _claim_vacant(me, lease, now)
        return me, (*checks, *claims)
    me = replace(me, claim_at=None) if me.claim_at is not None else me
    if me.holder_silent and now.has_come(me.cas_at):  # clause 5-silent
        return _claim(me, lease)
    return _check_holder(me, lease, now)


def _claim_vacant(me: Me, lease: RoundLease, now: Now) -> RuleResult:
    """Claim after a delay that differs between agents, so that one of them writes."""
    if me.claim_at is None:
        delay_s = timing.claim_delay_s(position(me, lease), me.who.jitter)
        me = replace(me, claim_at=now.at + delay_s)
    if me.claim_at is None or not now.has_come(max(me.claim_at, me.cas_at)):
        return no_action(me)
    return _claim(me, lease)


def _claim(me: Me, lease: RoundLease) -> RuleResult:
    return replace(me, cas_version=lease.version), (CasRound(lease.version, holder=me.who.name),)


def position(me: Me, lease: RoundLease) -> int:
    """The agent's place in the queue of claimants: members in order, then others by index."""
    members = sorted(lease.round.pods)
    if me.who.pod in members:
        return members.index(me.who.pod)
    return len(members) + me.who.pod.index


def _check_holder(me: Me, lease: RoundLease, now: Now) -> RuleResult:
    """Rule 5: if this agent's renewals succeed but no pulse arrives, read the Round Lease with a
    new watch (F10).

    The old watch may be dead instead of the holder, also if it showed a vacant role (F19).
    """
    if me.doubted_pulse is not None or me.holder_silent:
        return no_action(me)
    if me.renewals_since_pulse < timing.MISSED_PULSES:
        return no_action(me)
    silence_s = timing.silence_s(lease.desired.heartbeat_s, timing.MISSED_PULSES)
    if not now.has_come(me.last_pulse_at + silence_s):
        return no_action(me)
    me = replace(me, doubted_pulse=me.last_pulse, narrow=True)
    return me, (ReopenStream(wide=False),)  # clause 5-reopens
