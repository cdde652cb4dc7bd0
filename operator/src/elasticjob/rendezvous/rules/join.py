"""Rule 2: read the Round Lease consistently, then create the agent Lease as `ready n`."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import CreateLease, GetLease, ReadRound
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, no_action
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.dataclasses import replace


def join(me: Me, now: Now) -> RuleResult:
    """Rule 2: send the request of the current stage, once."""
    if me.request_pending or me.exit or me.leaving or me.frozen:
        return no_action(me)
    if me.stage is Stage.JOINED or not now.has_come(me.request_at):
        return no_action(me)
    if me.stage is Stage.READING:
        return replace(me, request_pending=True), (ReadRound(),)
    if me.stage is Stage.CHECKING:
        return replace(me, request_pending=True), (GetLease(me.who.name),)
    return _create(me, now)


def _create(me: Me, now: Now) -> RuleResult:
    """Create the Lease after a delay: the creations of N agents are spread over N/400 s."""
    wanted = len(me.lease.desired.wanted) if me.lease else 0
    at = me.round_at + timing.herd_delay_s(wanted, me.who.jitter)
    if not me.own_version and me.last_run_n < 0 and not now.has_come(at):
        return no_action(me)
    return replace(me, request_pending=True), (CreateLease(own_state(me).to_json()),)


def own_state(me: Me) -> AgentState:
    """The state that this agent's Lease reports."""
    who = me.who
    return AgentState(
        phase=me.phase,
        n=me.n,
        leaving=me.leaving,
        pod_uid=who.pod_uid,
        node=who.node,
        address=who.address,
        port_base=who.port_base,
        workers=who.workers,
        role=who.role,
        cause=me.cause,
        start_ms=me.start_ms,
        stop_ms=me.stop_ms,
        progress=me.progress,
        trained=me.trained,
    )
