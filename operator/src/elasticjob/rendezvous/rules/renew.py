"""Rule 3: renew the agent Lease every T, and at once for `failed`, `done` and `leaving`."""

from __future__ import annotations

from elasticjob.rendezvous.actions import WriteState
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, no_action
from elasticjob.rendezvous.rules.join import own_state
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.dataclasses import replace


def renew(me: Me, now: Now) -> RuleResult:
    """Rule 3: renew the agent Lease every T, or at once for a state that others wait for.

    The holder pulses instead, and writes its agent Lease only when its state changes.
    """
    if me.stage is not Stage.JOINED or me.writing_state or me.frozen or not me.own_version:
        return no_action(me)
    if me.lease is None or not now.has_come(me.retry_renewal_at):
        return no_action(me)
    heartbeat_s = me.lease.desired.heartbeat_s
    renew_at = min(me.renew_at, now.at + heartbeat_s)
    me = replace(me, renew_at=renew_at) if me.renew_at != renew_at else me
    if not is_urgent(me) and not now.has_come(me.renew_at):
        return no_action(me)
    me, text = replace(me, renew_at=now.at + heartbeat_s), own_state(me).to_json()
    if me.hold is not None and text == me.written_state:
        return no_action(me)
    return replace(me, writing_state=text), (WriteState(text, me.own_version),)


def is_urgent(me: Me) -> bool:
    """Whether the agent is `failed`, `done` or `leaving`, and its Lease does not report it yet."""
    if not me.written_state:
        return True
    if me.phase not in (AgentPhase.FAILED, AgentPhase.DONE) and not me.leaving:
        return False
    old = AgentState.from_json(me.written_state)
    return (old.phase, old.n, old.leaving) != (me.phase, me.n, me.leaving)
