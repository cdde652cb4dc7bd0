"""Rule 2: read the Round consistently, then create the Lease as `ready n`; a name is used once."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import CreateLease, GetLease, ReadRound
from elasticjob.rendezvous.rule import Step, nothing
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.dataclasses import replace


def join(me: Me, now: float) -> Step:
    """Rule 2: the request of the present stage, once."""
    if me.asked or me.exit or me.leaving or me.frozen or now < me.ask_at:
        return nothing(me)
    if me.stage is Stage.READING:
        return replace(me, asked=True), (ReadRound(),)
    if me.stage is Stage.CHECKING:
        return replace(me, asked=True), (GetLease(me.who.name),)
    if me.stage is Stage.CREATING:
        return _create(me, now)
    return nothing(me)


def _create(me: Me, now: float) -> Step:
    """Creations of a whole job are spread over N/400 s."""
    wanted = len(me.lease.desired.wanted) if me.lease else 0
    at = me.round_at + timing.herd_delay_s(wanted, me.who.jitter)
    if not me.version and me.last_run < 0 and now < at:
        return replace(me, ask_at=at), ()
    return replace(me, asked=True), (CreateLease(content(me).to_json()),)


def content(me: Me) -> AgentState:
    """My present state, as my Lease shall say it."""
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
        detect_ms=me.detect_ms if me.written_n == me.n else None,
        rendezvous_ms=me.rendezvous_ms if me.written_n == me.n else None,
        progress=me.progress,
    )
