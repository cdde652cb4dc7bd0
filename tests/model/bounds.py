"""What a search covers: the job, the faults and the times; and what none covers."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.machine import Bounds
from tests.model.records import NEVER_S

from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod

T = 15.0  # with this heartbeat the allowance for starts is one heartbeat
KINDS = (
    "crash", "report", "fatal", "die", "end", "leave", "restart", "delete-lease", "lose", "drop",
    "delay", "paused", "cut", "slow", "dark", "away", "finishing", "scale", "suspend",
)  # fmt: skip


def bounds(
    pods: int, min_members: int, faults: int, kinds: tuple[str, ...] = KINDS, longest: int = 4,
    start: int = 0,
) -> Bounds:  # fmt: skip
    """The bounds of a search with this number of pods and faults, each for at most `longest` T. The
    agent of a new pod starts after `start` T."""
    desired = Desired(
        wanted=tuple(Pod(index, 0) for index in range(pods)),
        min_members=min_members,
        max_restarts=3,
        heartbeat_s=T,
        stop_grace_s=5.0,
        crash_grace_s=3.0,
        last_call_s=T,
        startup_last_call_s=T,
        cooldown_s=0.0,
        reset_after_s=10 * NEVER_S,
        api_grace_s=10 * NEVER_S,
    )
    return Bounds(desired, faults, kinds, longest, start_s=start * T)


def lines(bounds: Bounds) -> Iterator[str]:
    """The bounds as text."""
    desired = bounds.desired
    yield (
        f"bounds       {len(desired.wanted)} pods, min {desired.min_members},"
        f" maxRestarts {desired.max_restarts}, at most {bounds.faults} faults"
    )
    yield f"faults       {', '.join(bounds.kinds) or 'none'}"
    yield f"times        T = {T:g} s; a fault that ends lasts at most {bounds.longest} T"
    yield f"             the agent of a new pod starts after {bounds.start_s / T:g} T"
    yield "order        all that is not delayed by a fault happens before time passes, in any order"
    for missing in NOT_COVERED:
        yield f"not covered  {missing}"


NOT_COVERED = (
    "the operator: the creation and end of a job, the resync, refused requests, other templates",
    "pods that wait for a node or an image; a pod that is blamed for three failures",
    "SIGTERM of a deletion that overtakes what its agent has yet to receive (that of `leave` may)",
    "more than three generations of an index, a second restart in one pod",
    "healthy times that forgive charges (resetAfterSeconds), apiGraceSeconds, progress",
    "answers other than success, conflict, not found and none",
    "requests that the API server performs after their sender has given them up",
)
