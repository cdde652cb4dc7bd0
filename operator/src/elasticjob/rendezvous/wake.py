"""When an agent must look again though nothing was told: what time alone brings about."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.rules.crash import crash_at
from elasticjob.rendezvous.rules.run import start_at
from elasticjob.rendezvous.state import Hold, Me, Run
from elasticjob.wire.lease import RoundLease


def next_wake(me: Me, now: float) -> float | None:
    """When the next Tick is due if nothing else happens; None: never."""
    instants = [me.ask_at, me.cas_at, me.beat_at, me.write_at]
    if me.claim_at is not None:
        instants.append(me.claim_at)
    if me.leaving:
        instants += [me.leave_by, me.leave_until]
    if me.lease is not None:
        instants += _of_round(me, me.lease)
        instants += _of_run(me.run, me, me.lease) if me.run else []
        instants += _of_holder(me.hold, me, me.lease) if me.hold else []
    return min((at for at in instants if at > now), default=None)


def _of_round(me: Me, lease: RoundLease) -> list[float]:
    """Start, start deadline, the end of the grace in the dark, the silence of the holder.

    Without a delay the start was due in the very step that learnt of the round.
    """
    desired = lease.desired
    return [
        *([start_at(me)] if lease.round.delay_ms else []),
        me.round_at + timing.start_deadline_s(desired, lease.round),
        me.heard_at + desired.api_grace_s,
        me.quiet_since + timing.silence_s(desired.heartbeat_s, timing.MISSED_PULSES),
    ]


def _of_run(run: Run, me: Me, lease: RoundLease) -> list[float]:
    """The step after a crash, and when the workers must be gone."""
    instants = [crash_at(me, lease, run)] if run.failure is not None else []
    return instants if run.stop_by is None else [*instants, run.stop_by]


def _of_holder(hold: Hold, me: Me, lease: RoundLease) -> list[float]:
    """Pulse, silence of a member, the next GET and judgement, end of cooldown and last call."""
    instants = [hold.pulse_at, hold.wake_at, hold.get_at]
    if hold.dirty:
        instants.append(hold.judge_at)
    instants.append(me.round_at + lease.desired.cooldown_s)
    if hold.view.call_at is not None:
        instants.append(hold.view.call_at + timing.last_call_s(lease.desired, lease.round))
    return instants
