"""Rule 3: renew the agent Lease every T, and at once for `failed`, `done` and `leaving`."""

from __future__ import annotations

from elasticjob.rendezvous.actions import WriteState
from elasticjob.rendezvous.rule_helpers import RuleResult, no_action
from elasticjob.rendezvous.rules.join import own_state
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.dataclasses import replace


def renew(me: Me, now: float) -> RuleResult:
    """Rule 3: renew the agent Lease every T, or at once for a state that others wait for.

    The holder pulses instead, and writes its agent Lease only when its state changes.
    """
    if me.stage is not Stage.JOINED or me.writing_state or me.frozen or not me.own_version:
        return no_action(me)
    if me.lease is None or now < me.retry_renewal_at:
        return no_action(me)
    heartbeat_s = me.lease.desired.heartbeat_s
    me = replace(me, renew_at=min(me.renew_at, now + heartbeat_s))
    state = own_state(me)
    text = state.to_json()
    urgent = text != me.written_state and is_urgent(state, me.written_state)
    if now < me.renew_at and not urgent:
        return no_action(me)
    me = replace(me, renew_at=now + heartbeat_s)
    if me.hold is not None and text == me.written_state:
        return no_action(me)
    return replace(me, writing_state=text), (WriteState(text, me.own_version),)


def is_urgent(state: AgentState, written: str) -> bool:
    """Whether the state reports `failed`, `done` or `leaving`, and `written` does not yet."""
    if not written:
        return True
    old = AgentState.from_json(written)
    is_known = (old.phase, old.n, old.leaving) == (state.phase, state.n, state.leaving)
    return not is_known and (state.phase in (AgentPhase.FAILED, AgentPhase.DONE) or state.leaving)
