"""When an agent needs the next Tick: the earliest instant at which a rule may act."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.rules.crash import crash_at
from elasticjob.rendezvous.rules.run import start_at
from elasticjob.rendezvous.state import Hold, Me, Run
from elasticjob.wire.lease import RoundLease


def next_wake(me: Me, now: float) -> float | None:
    """The instant at which the next Tick is due; None: the agent waits for other events only."""
    instants = [me.request_at, me.cas_at, me.renew_at, me.retry_renewal_at]
    if me.claim_at is not None:
        instants.append(me.claim_at)
    if me.leaving:
        instants += [me.leave_stop_at, me.leave_exit_at]
    if me.lease is not None:
        instants += _of_round(me, me.lease)
        instants += _of_run(me.run, me, me.lease) if me.run else []
        instants += _of_holder(me.hold, me, me.lease) if me.hold else []
    return min((at for at in instants if at > now), default=None)


def _of_round(me: Me, lease: RoundLease) -> list[float]:
    """Start, start deadline, end of the grace without an API server, silence of the holder.

    Without a start delay the workers started in the step that received the round.
    """
    desired = lease.desired
    return [
        *([start_at(me)] if lease.round.delay_ms else []),
        me.round_at + timing.start_deadline_s(desired, lease.round),
        me.contact_at + desired.api_grace_s,
        me.last_pulse_at + timing.silence_s(desired.heartbeat_s, timing.MISSED_PULSES),
    ]


def _of_run(run: Run, me: Me, lease: RoundLease) -> list[float]:
    """The step after a crash, and the deadline for the end of the workers."""
    instants = [crash_at(me, lease, run)] if run.failure is not None else []
    return instants if run.stop_by is None else [*instants, run.stop_by]


def _of_holder(hold: Hold, me: Me, lease: RoundLease) -> list[float]:
    """Pulse, silence of a member, next GET and decision, end of the cooldown and the last call."""
    instants = [hold.pulse_at, hold.next_silence_at, hold.get_at]
    if hold.dirty:
        instants.append(hold.judge_at)
    instants.append(me.round_at + lease.desired.cooldown_s)
    if hold.view.last_call_since is not None:
        instants.append(hold.view.last_call_since + timing.last_call_s(lease.desired, lease.round))
    return instants
