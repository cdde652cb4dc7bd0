"""Rule 3: when an agent exits, with which code and reason."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import JOB_FAILED, Exit
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, is_active_member, no_action
from elasticjob.rendezvous.rules.run import is_alive
from elasticjob.rendezvous.state import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_TERMINATED,
    Me,
    Stage,
    setup_failure,
)
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.round import Phase, Round

LEFT = Exit(EXIT_TERMINATED, "received a termination signal", CauseKind.LEAVING.value)


def decide_exit(me: Me, now: Now) -> RuleResult:
    """Rule 3: exit if the job is over, the agent has left, its round contradicts its spec (S1), or
    it has missed a deadline (W11)."""
    if me.exit or me.stage is Stage.EXITED:
        return no_action(me)
    if me.lease is not None and me.lease.round.phase.is_terminal:
        return replace(me, exit=terminal_exit(me, me.lease.round)), ()
    if me.leaving and (has_left(me) or is_out_of_time(me, now)):
        return replace(me, exit=LEFT), ()
    why = (
        contradiction(me)  # clause 3-own-workers
        or missed_deadline(me, now)  # clause 3-own-deadline
    )
    return (replace(me, exit=setup_failure(why)), ()) if why else no_action(me)


def exit_agent(me: Me, now: Now) -> RuleResult:
    """Rule 3: return Exit once no worker is alive, or a worker has outlived SIGKILL."""
    if me.exit is None or me.stage is Stage.EXITED:
        return no_action(me)
    if is_alive(me) and not missed_stop(me, now):
        return no_action(me)
    return replace(me, stage=Stage.EXITED), (me.exit,)


def terminal_exit(me: Me, round_: Round) -> Exit:
    """The exit after the job's end: the pod of the first cause exits with its worker's code."""
    if round_.phase is Phase.SUCCEEDED:
        return Exit(EXIT_OK, "the job succeeded")
    cause = round_.cause
    kind, rank = (cause.kind.value, cause.rank) if cause else ("", -1)
    if cause is not None and cause.pod == me.who.name:
        code = 128 + cause.signal if cause.signal is not None else cause.code
        return Exit(code or EXIT_FAILED, JOB_FAILED + own_message(me, cause), kind, rank)
    if me.who.pod in round_.pods:
        return Exit(EXIT_FAILED, "the job failed in another pod", kind, rank)
    return Exit(EXIT_OK, "the job failed; this pod was not a member")


def own_message(me: Me, cause: Cause) -> str:
    """The message of the cause; this agent may know more of it than the round can contain."""
    own = me.cause
    is_same = own is not None and (own.kind, own.n, own.rank) == (cause.kind, cause.n, cause.rank)
    return own.message if own is not None and is_same else cause.message


def contradiction(me: Me) -> str:
    """Rule 3: why this agent must not run the newest round, or empty. The pod's spec sets its
    number of workers; a round takes it from a Lease, which can be forged (S1)."""
    if me.lease is None or me.leaving:
        return ""
    round_, own = me.lease.round, me.who.workers
    member = round_.member(me.who.pod) if is_active_member(me) else None
    if member is None or member.workers == own:
        return ""
    given = f"round {round_.n} gives this pod {member.workers} workers"
    return f"{given}; its spec has {own} (nprocPerNode)"


def missed_deadline(me: Me, now: Now) -> str:
    """Rule 3: the deadline that this agent has missed, or empty (W11)."""
    if missed_start(me, now):
        return f"the workers of round {me.highest_n} did not start in time"
    return "the workers did not end after SIGKILL" if missed_stop(me, now) else ""


def missed_start(me: Me, now: Now) -> bool:
    """Rule 3: whether a member has not started its workers by the start deadline (W11)."""
    if me.lease is None or me.frozen or me.leaving or me.stage is not Stage.JOINED:
        return False
    if not is_active_member(me):
        return False
    if me.run is not None and me.run.n == me.lease.round.n and (me.run.started or me.run.failure):
        return False
    deadline_s = timing.start_deadline_s(me.lease.desired, me.lease.round)
    return now.has_come(me.round_at + deadline_s)


def missed_stop(me: Me, now: Now) -> bool:
    """Whether a worker is still alive after the deadline for its end."""
    run = me.run
    if run is None or not run.alive or run.stop_by is None:
        return False
    return now.has_come(run.stop_by)


def has_left(me: Me) -> bool:
    """Whether no worker is alive, the Lease reports `leaving`, and the agent holds no more."""
    if is_alive(me):
        return False
    if me.stage is not Stage.JOINED or me.frozen:
        return True  # the agent can write nothing
    flagged = bool(me.written_state) and AgentState.from_json(me.written_state).leaving
    return flagged and me.hold is None


def is_out_of_time(me: Me, now: Now) -> bool:
    """Whether the grace is over, or a worker has outlived SIGKILL."""
    return now.has_come(me.leave_exit_at) or missed_stop(me, now)
