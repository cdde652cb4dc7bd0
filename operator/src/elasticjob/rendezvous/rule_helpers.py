"""The form of a rule, and the functions that several rules need."""

from __future__ import annotations

from typing import Callable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Action
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.round import Phase

RuleResult = tuple[Me, tuple[Action, ...]]  # the next state, and the actions to perform
Rule = Callable[[Me, Now], RuleResult]  # of the state and the time


def no_action(me: Me) -> RuleResult:
    """Return the state with no action."""
    return me, ()


def writable_round(me: Me) -> RoundLease | None:
    """Rule 1: the Round Lease if this agent may write it, else None.

    A second write against the same version would be a conflict, and a pulse is a write, too.
    """
    lease = me.lease
    if me.stage is not Stage.JOINED or me.frozen or me.exit or lease is None:
        return None
    if me.cas_version or (me.hold is not None and me.hold.pulsing):
        return None
    if lease.round.phase.is_terminal:  # clause 1-terminal
        return None
    return lease


def is_active_member(me: Me) -> bool:
    """Whether the newest round is Active and this agent is a member of it."""
    round_ = me.lease.round if me.lease else None
    if round_ is None or round_.phase is not Phase.ACTIVE:
        return False
    return round_.member(me.who.pod) is not None


def contact_since(me: Me, now: float) -> float:
    """Rule 7: since when the API server sends to this agent without a gap of 2T (F16).

    Nothing happens when an agent becomes blind, so no rule waits for it.
    """
    if me.lease is None or now - me.contact_at <= timing.blind_s(me.lease.desired.heartbeat_s):
        return me.contact_since
    return now


def stop_ms(me: Me, delivered_at: float) -> int:
    """The time from the delivery of a round until the last workers of this agent had ended, in ms;
    0 if they had ended before."""
    return timing.millis(me.reaped_at - delivered_at)
