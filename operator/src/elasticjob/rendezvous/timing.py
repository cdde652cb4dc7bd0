"""The durations and numbers of the protocol that are not in `desired`, as functions of seconds.

T is the heartbeat interval of the job (`desired.heartbeat_s`). `jitter` is the random number in
[0, 1) that an agent draws when it starts.
"""

from __future__ import annotations

from elasticjob.wire import codec
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

SILENT_PULSES = 3  # pulses of the holder, and as many T, after which a Lease is silent
SILENT_PULSES_NODES = 9  # the same if the silent agents are on more than one node (F6)
BLIND_HEARTBEATS = 2  # T without anything from the API server, after which an agent is blind (F16)
MISSED_PULSES = 3  # own renewals without a pulse, after which an agent checks the holder
START_ALLOWANCE_S = 15.0
CLAIM_STEP_S = 0.05
CLAIM_LONGEST_S = 2.0
LEAVE_DELAY_MS = 500  # agents that leave later change the round before its workers start
LONGEST_DELAY_S = 300.0
CREATIONS_PER_S = 400.0  # the requests that all agents of a job may send at once
RUNNING_PER_S = 40.0  # the same for `running`, which a small group writes before it is due
CRASH_SPREAD_S = 0.0004  # per member
CAUSE_ERROR_MS = 100  # of the order of two failures in different pods
CAUSE_ERROR_MS_PER_MEMBER = 1
TRAINED_MS = 60_000  # a worker that failed after this time had trained
UNPACED_LEASES = 100  # a view of at most this many Leases is judged at every change
JUDGED_PER_S = 20_000.0  # Leases of a larger view
REPORT_WAIT_S = 1.0  # between the begin of a wait of newcomers and the pulse that reports it
RETRY_S = 0.5  # after a failed request; at most T/2

_PLANNED = (CauseKind.LEAVING, CauseKind.SCALED, CauseKind.SUSPENDED)


def silence_s(heartbeat_s: float, pulses: int) -> float:
    """The time without a change after which a Lease is silent."""
    return pulses * heartbeat_s


def blind_s(heartbeat_s: float) -> float:
    """The time without anything from the API server after which an agent is blind."""
    return BLIND_HEARTBEATS * heartbeat_s


def stop_grace_s(desired: Desired, round_: Round) -> float:
    """The time from SIGTERM to SIGKILL for the workers that this round ends."""
    planned = round_.cause is not None and round_.cause.kind in _PLANNED
    return desired.stop_grace_s if planned else desired.crash_grace_s


def start_deadline_s(desired: Desired, round_: Round) -> float:
    """The time from the delivery of a round to `running n`: grace, delay, 2T and an allowance."""
    delay_s = round_.delay_ms / 1000
    return stop_grace_s(desired, round_) + delay_s + 2 * desired.heartbeat_s + START_ALLOWANCE_S


def last_call_s(desired: Desired, round_: Round) -> float:
    """The time that a round waits for missing wanted pods once enough are there."""
    return desired.startup_last_call_s if round_.starts == 0 else desired.last_call_s


def claim_delay_s(position: int, jitter: float) -> float:
    """The delay after which the agent at this position in the queue claims the vacant role."""
    return min(CLAIM_STEP_S * position + CLAIM_STEP_S * jitter, CLAIM_LONGEST_S)


def crash_delay_s(members: int, jitter: float) -> float:
    """The delay of a crash step: if all members fail at once, few of them write."""
    return CRASH_SPREAD_S * members * jitter if members > 1 else 0.0


def cause_error_ms(members: int) -> int:
    """The error of the order of two failures: the agents of a large group receive a round later."""
    return CAUSE_ERROR_MS + CAUSE_ERROR_MS_PER_MEMBER * members


def first_cause_delay_s(members: int, after_ms: int, published_ms: int) -> float:
    """The delay of a write that replaces a published cause: the first failure writes first, and the
    others then have nothing to write."""
    return CRASH_SPREAD_S * members * after_ms / published_ms


def herd_delay_s(members: int, jitter: float) -> float:
    """The delay of a creation, a `ready` write or a reconnection after an outage."""
    return members / CREATIONS_PER_S * jitter


def running_delay_s(members: int, jitter: float) -> float:
    """The delay of the write of `running`, unless the next renewal is due before.

    Only users wait for it: a small group writes it at once, and 1,000 agents do not add 1,000
    writes to a restart.
    """
    return members / RUNNING_PER_S * jitter


def judge_pause_s(leases: int) -> float:
    """The time between two decisions: 1,000 agents that join must not cause 1,000 of them."""
    return leases / JUDGED_PER_S if leases > UNPACED_LEASES else 0.0


def restart_delay_ms(charges: int, jitter: float) -> int:
    """The start delay of a round with this many charges, its own included.

    No delay for the first, then 1, 2, 4 ... 300 s, each shortened by up to a tenth.
    """
    if charges <= 1:
        return 0
    delay_s = min(2.0 ** min(charges - 2, 16), LONGEST_DELAY_S)
    return round(delay_s * (1.0 - 0.1 * jitter) * 1000)


def remaining_ms(delay_ms: int, waited_s: float) -> int:
    """What remains of a start delay after this time."""
    return max(0, delay_ms - round(waited_s * 1000))


def retry_s(heartbeat_s: float) -> float:
    """The time until a failed request is repeated: at least two attempts within T."""
    return min(RETRY_S, heartbeat_s / 2)


def leave_wait_s(desired: Desired) -> float:
    """The time that a leaving agent waits for the round without it; its workers get the rest."""
    return min(3 * desired.heartbeat_s, desired.stop_grace_s / 2)


def millis(seconds: float) -> int:
    """The seconds as whole milliseconds, from 0 to codec.LARGEST."""
    return round(min(max(0.0, seconds * 1000), codec.LARGEST))
