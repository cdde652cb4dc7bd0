"""What my Lease says: a state goes out with the next renewal; failed, done and leaving at once."""

from __future__ import annotations

from elasticjob.rendezvous.actions import WriteState
from elasticjob.rendezvous.rule import Step, nothing
from elasticjob.rendezvous.rules.join import content
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.dataclasses import replace


def beat(me: Me, now: float) -> Step:
    """Rule 3: renew every T, or at once for a word that others wait for.

    The holder pulses instead, and writes its own Lease only when its state changes.
    """
    if me.stage is not Stage.JOINED or me.writing or me.frozen or not me.version:
        return nothing(me)
    if me.lease is None or now < me.write_at:
        return nothing(me)
    heartbeat_s = me.lease.desired.heartbeat_s
    me = replace(me, beat_at=min(me.beat_at, now + heartbeat_s))
    state = content(me)
    text = state.to_json()
    urgent = text != me.written and is_urgent(state, me.written)
    if now < me.beat_at and not urgent:
        return nothing(me)
    me = replace(me, beat_at=now + heartbeat_s)
    if me.hold is not None and text == me.written:
        return nothing(me)
    return replace(me, writing=text), (WriteState(text, me.version),)


def is_urgent(state: AgentState, written: str) -> bool:
    """Whether it says `failed`, `done` or `leaving` for the first time."""
    if not written:
        return True
    old = AgentState.from_json(written)
    said = (old.phase, old.n, old.leaving) == (state.phase, state.n, state.leaving)
    return not said and (state.phase in (AgentPhase.FAILED, AgentPhase.DONE) or state.leaving)
