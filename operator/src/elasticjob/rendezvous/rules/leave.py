"""When an agent ends, and with which code."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.rule import Step, named, nothing
from elasticjob.rendezvous.rules.run import is_alive
from elasticjob.rendezvous.state import EXIT_FAILED, EXIT_OK, EXIT_SETUP, EXIT_TERMINATED, Me, Stage
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.round import Phase, Round


def settle(me: Me, now: float) -> Step:
    """Rule 3: exit when the job is over, I have left, the round cannot be mine (S1), or I can
    neither reap nor start (W11)."""
    if me.exit or me.stage is Stage.EXITED:
        return nothing(me)
    if me.lease is not None and me.lease.round.phase.is_terminal:
        return replace(me, exit=terminal_exit(me, me.lease.round)), ()
    if me.leaving and (has_left(me) or out_of_time(me, now)):
        return replace(me, exit=Exit(EXIT_TERMINATED, "told to leave")), ()
    missed_ = missed(me, now) if "3-own-deadline" not in me.without else ""
    why = refused(me) or missed_
    return (replace(me, exit=Exit(EXIT_SETUP, why)), ()) if why else nothing(me)


def leave(me: Me, now: float) -> Step:
    """Rule 3: say Exit once nothing of mine is alive; what cannot be killed does not hold me."""
    if me.exit is None or me.stage is Stage.EXITED:
        return nothing(me)
    if is_alive(me) and not missed_stop(me, now):
        return nothing(me)
    return replace(me, stage=Stage.EXITED), (me.exit,)


def terminal_exit(me: Me, round_: Round) -> Exit:
    """The blamed agent ends with its worker's code, other members of a failed job with 1."""
    if round_.phase is Phase.SUCCEEDED:
        return Exit(EXIT_OK, "the job succeeded")
    cause = round_.cause
    if cause is not None and cause.pod == me.who.name:
        code = 128 + cause.signal if cause.signal is not None else cause.code
        return Exit(code or EXIT_FAILED, f"the job failed: {cause.message}")
    if me.who.pod in round_.pods:
        return Exit(EXIT_FAILED, "the job failed elsewhere")
    return Exit(EXIT_OK, "the job failed, this pod was not a member")


def refused(me: Me) -> str:
    """Rule 3: why I must not run the newest round, or empty. The spec of my pod says how many
    workers it has: what a round says came from a Lease, and a Lease can be forged (S1)."""
    if me.lease is None or me.leaving or "3-own-workers" in me.without:
        return ""
    round_, own = me.lease.round, me.who.workers
    member = round_.member(me.who.pod) if named(me) else None
    if member is None or member.workers == own:
        return ""
    given = f"round {round_.n} gives this pod {member.workers} workers"
    return f"{given}; its spec has {own} (nprocPerNode)"


def missed(me: Me, now: float) -> str:
    """Rule 3: the deadline of my own that I missed, or empty (W11)."""
    if missed_start(me, now):
        return f"round {me.top} was not started in time"
    return "the workers could not be ended" if missed_stop(me, now) else ""


def missed_start(me: Me, now: float) -> bool:
    """Rule 3: a member that could neither reap nor start by its own deadline (W11)."""
    if me.lease is None or not named(me) or me.leaving or me.stage is not Stage.JOINED:
        return False
    if me.run is not None and me.run.n == me.lease.round.n and (me.run.started or me.run.failure):
        return False
    deadline_s = timing.start_deadline_s(me.lease.desired, me.lease.round)
    return now - me.round_at >= deadline_s and not me.frozen


def missed_stop(me: Me, now: float) -> bool:
    """My workers were to be gone by now: an unkillable one would keep me outside for ever."""
    run = me.run
    return run is not None and run.alive and run.stop_by is not None and now >= run.stop_by


def has_left(me: Me) -> bool:
    """Everything is stopped, the flag is out, and the holder is cleared if it was me."""
    if is_alive(me):
        return False
    if me.stage is not Stage.JOINED or me.frozen:
        return True  # there is nobody to tell
    flagged = bool(me.written) and AgentState.from_json(me.written).leaving
    return flagged and me.hold is None


def out_of_time(me: Me, now: float) -> bool:
    """The API does not answer or a worker cannot be killed; the pod is killed soon."""
    return now >= me.leave_until or missed_stop(me, now)
