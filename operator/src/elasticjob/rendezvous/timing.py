"""Every timing rule of the protocol, as pure functions of seconds. No other module has a number.

T is the heartbeat of the job (`desired.heartbeat_s`). `jitter` is one random number in [0, 1) that
an agent draws when it starts.
"""

from __future__ import annotations

from elasticjob.wire.cause import CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

SILENT_PULSES = 3  # a silent member is lost after so many pulses of the holder, and as many T
SILENT_PULSES_NODES = 9  # ... where the silent members sit on more than one node (F6)
BLIND_BEATS = 2  # in which I heard nothing of the API server: then I accuse nobody at once (F16)
MISSED_PULSES = 3  # renewals of mine in a row without a pulse of the holder: I look, then I claim
START_ALLOWANCE_S = 15.0
CLAIM_STEP_S = 0.05
CLAIM_LONGEST_S = 2.0
LEAVE_DELAY_MS = 500  # later leavers change the round before anything starts
LONGEST_DELAY_S = 300.0
CREATIONS_PER_S = 400.0  # what one job may ask of the API server at once
RUNNING_PER_S = 40.0  # `running` of a small group need not wait for the beat
CRASH_SPREAD_S = 0.0004  # per member
UNPACED_LEASES = 100  # a view of so many is judged at every change
JUDGED_PER_S = 20_000.0  # Leases; a larger view is judged less often, not all the time
RETRY_S = 0.5  # after a request that failed; at most half a beat

_PLANNED = (CauseKind.LEAVING, CauseKind.SCALED, CauseKind.SUSPENDED)


def silence_s(heartbeat_s: float, pulses: int) -> float:
    """How long a Lease is unchanged before its agent is silent: so many T."""
    return pulses * heartbeat_s


def blind_s(heartbeat_s: float) -> float:
    """How long nothing is heard of the API server before one is blind."""
    return BLIND_BEATS * heartbeat_s


def stop_grace_s(desired: Desired, round_: Round) -> float:
    """SIGTERM to SIGKILL for workers that this round ends: long for planned stops."""
    planned = round_.cause is not None and round_.cause.kind in _PLANNED
    return desired.stop_grace_s if planned else desired.crash_grace_s


def start_deadline_s(desired: Desired, round_: Round) -> float:
    """From the delivery of a round to `running n`: grace, delay, two beats and an allowance."""
    delay_s = round_.delay_ms / 1000
    return stop_grace_s(desired, round_) + delay_s + 2 * desired.heartbeat_s + START_ALLOWANCE_S


def last_call_s(desired: Desired, round_: Round) -> float:
    """How long a round waits for pods that are wanted and not there, once it could begin."""
    return desired.startup_last_call_s if round_.starts == 0 else desired.last_call_s


def claim_delay_s(position: int, jitter: float) -> float:
    """When the agent at this position (members first) claims an empty holder."""
    return min(CLAIM_STEP_S * position + CLAIM_STEP_S * jitter, CLAIM_LONGEST_S)


def crash_delay_s(members: int, jitter: float) -> float:
    """Spread of crash steps: when all members fail at once, few of them write."""
    return CRASH_SPREAD_S * members * jitter if members > 1 else 0.0


def herd_delay_s(members: int, jitter: float) -> float:
    """Spread of creations, `ready` writes and returns after an outage."""
    return members / CREATIONS_PER_S * jitter


def running_delay_s(members: int, jitter: float) -> float:
    """When `running` is said, if the next beat is not sooner.

    Nobody waits for it but people: of a small group it is told at once, while 1,000 agents do not
    follow a restart by 1,000 writes.
    """
    return members / RUNNING_PER_S * jitter


def judge_pause_s(leases: int) -> float:
    """Between two judgements: 1,000 agents that join one after the other need not 1,000 of them."""
    return leases / JUDGED_PER_S if leases > UNPACED_LEASES else 0.0


def restart_delay_ms(charges: int, jitter: float) -> int:
    """Delay of a round by the charges since the last reset, its own among them.

    None for the first, then 1, 2, 4 ... 300 s, shortened by up to a tenth.
    """
    if charges <= 1:
        return 0
    delay_s = min(2.0 ** min(charges - 2, 16), LONGEST_DELAY_S)
    return round(delay_s * (1.0 - 0.1 * jitter) * 1000)


def remaining_ms(delay_ms: int, waited_s: float) -> int:
    """What is left of a start delay after so long."""
    return max(0, delay_ms - round(waited_s * 1000))


def retry_s(heartbeat_s: float) -> float:
    """Until a request that failed is made again: at least two tries within T."""
    return min(RETRY_S, heartbeat_s / 2)


def leave_wait_s(desired: Desired) -> float:
    """How long a leaver keeps its workers for the round without it; half its grace is theirs."""
    return min(3 * desired.heartbeat_s, desired.stop_grace_s / 2)
