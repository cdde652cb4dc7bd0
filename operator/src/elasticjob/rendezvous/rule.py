"""The form of a rule: what I know and the time in; what I know then and what I do, out."""

from __future__ import annotations

from typing import Callable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Action
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.round import Phase

Step = tuple[Me, tuple[Action, ...]]
Rule = Callable[[Me, float], Step]


def nothing(me: Me) -> Step:
    """No action."""
    return me, ()


def steppable(me: Me) -> RoundLease | None:
    """Rule 1: the Round, if I may write it: joined, not frozen, not terminal, no write under way.

    Of two writes against one version the second is a conflict for sure; a pulse is a write too.
    """
    lease = me.lease
    if me.stage is not Stage.JOINED or me.frozen or me.exit or lease is None:
        return None
    if me.casing or (me.hold is not None and me.hold.pulsing):
        return None
    if lease.round.phase.is_terminal and "1-terminal" not in me.without:
        return None
    return lease


def named(me: Me) -> bool:
    """Whether I am a member of the newest round, and it is Active."""
    round_ = me.lease.round if me.lease else None
    if round_ is None or round_.phase is not Phase.ACTIVE:
        return False
    return round_.member(me.who.pod) is not None


def sees_since(me: Me, now: float) -> float:
    """Rule 7: since when I hear the API server without a gap; now, if I am blind (F16)."""
    if me.lease is None or now - me.heard_at <= timing.blind_s(me.lease.desired.heartbeat_s):
        return me.sees_since
    return now
