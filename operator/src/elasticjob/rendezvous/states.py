"""What an agent knows, what happens to it, and what it does: the vocabulary of agent_step.

Input comes in as events, a batch of actions goes out; the agent's shell performs them and feeds
the results back as events. Nothing here does I/O, reads a clock or draws a random number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Union

from elasticjob.wire.agent_state import Word
from elasticjob.wire.cause import Cause
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import DEFAULT_ROLE, Pod
from elasticjob.wire.report import Progress, Report
from elasticjob.wire.round import DEFAULT_PORT_BASE, Round

EXIT_OK = 0
EXIT_FAILED = 1  # of a failed job, and not the one that is blamed
EXIT_SETUP = 75  # our own set-up failed, or this incarnation must not run (EX_TEMPFAIL)
EXIT_TOLD = 143  # told to leave


@dataclass(frozen=True)
class Identity:
    """Who this agent is. name: of its pod and its Lease. nonce: of this incarnation.

    jitter: one random number in [0, 1), drawn once: it spreads what many agents do at once.
    """

    pod: Pod
    name: str
    nonce: str
    job_uid: str
    pod_uid: str = ""
    node: str = ""
    address: str = ""
    port_base: int = DEFAULT_PORT_BASE
    workers: int = 1
    role: str = DEFAULT_ROLE
    jitter: float = 0.0


class Stage(Enum):
    """Where the agent stands with its Lease. The diagram is in docs/protocol.md."""

    READING = "reading"  # waits for its first consistent read of the Round
    CHECKING = "checking"  # the Round names it: looks whether the Lease is its own
    CREATING = "creating"  # its Lease is being created
    JOINED = "joined"  # has its Lease
    EXITED = "exited"  # has said Exit; nothing more happens


@dataclass(frozen=True)
class Run:
    """The workers of round n, from Start until nothing of them is left.

    at: when the round was delivered. started: exec was done. failure: of a worker, or Dark.
    """

    n: int
    at: float
    started: bool = False
    done: bool = False
    failure: Cause | None = None
    failed_at: float = 0.0
    stopping: bool = False


@dataclass(frozen=True)
class Seen:
    """An agent Lease in the holder's view, and when it last changed there.

    lease None: absent. node: where it was last seen. changed_at: seconds; changed_pulse: the
    holder's count of returned pulses; order: of all changes in this view. confirmed: a GET since
    then returned just this.
    """

    lease: AgentLease | None
    changed_at: float
    changed_pulse: int
    order: int = 0
    node: str = ""
    confirmed: bool = False


@dataclass(frozen=True)
class View:
    """All agent Leases of the job by name, as the holder sees them.

    pulses: of mine that came back in this stream. round_at: when the present n was first seen.
    call_at: since when a round could begin that lacks somebody who is wanted. own: the holder's
    name, whose silence it never judges. top: the highest n that the holder knows.
    """

    seen: Mapping[str, Seen] = field(default_factory=dict)
    pulses: int = 0
    round_at: float = 0.0
    call_at: float | None = None
    own: str = ""
    top: int = 0
    jitter: float = 0.0
    order: int = 0


@dataclass(frozen=True)
class Hold:
    """What an agent has in addition while it is the holder.

    complete: the stream's initial set has arrived; nothing is decided before. pulsed: version of
    the last pulse that I wrote; returned: it came back in the stream. next_at: of the next pulse.
    replaced: the silent holder before me, silent until its Lease changes. getting: Leases that a
    GET is under way for.
    """

    view: View
    complete: bool = False
    pulsed: str = ""
    returned: bool = True
    next_at: float = 0.0
    writing: bool = False
    replaced: str = ""
    getting: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Me:
    """Everything that one agent knows and remembers."""

    who: Identity
    stage: Stage = Stage.READING
    asked: bool = False  # ReadRound, GetLease or CreateLease of the present stage is under way
    round: RoundLease | None = None  # the newest that was seen
    round_at: float = 0.0  # when its n was first seen
    top: int = 0  # highest n ever seen
    # my word, as the Lease shall say it
    word: Word = Word.READY
    n: int = 0
    cause: Cause | None = None
    start_ms: int | None = None
    stop_ms: int | None = None
    detect_ms: int | None = None
    progress: Progress | None = None
    # my workers
    run: Run | None = None
    last_run: int = -1
    fatal: Cause | None = None
    # my Lease
    version: str = ""
    written: str = ""  # the state that the API server has
    writing: str = ""  # the state of the renewal that is under way
    next_beat_at: float = 0.0
    # leaving
    leaving: bool = False
    leave_by: float = 0.0  # when the workers are stopped in any case
    # the Round's writes and pulses
    casing: str = ""  # version of the compare-and-swap that is under way
    cas_after: float = 0.0  # not before
    claim_at: float | None = None
    heard: str = ""  # the last pulse
    missed: int = 0  # renewals of mine since
    doubting: bool = False  # a consistent read is under way, to see whether the holder lives
    heard_at: float = 0.0  # when the API server last answered anything
    frozen: bool = False  # the Round is gone, or every right: keep the workers, step nothing
    hold: Hold | None = None
    without: frozenset[str] = frozenset()  # clauses left out: the mutation check; empty otherwise


# ---- events --------------------------------------------------------------------------------------


class Source(Enum):
    """How a version of the Round came."""

    READ = "read"  # a consistent read, or the initial set of a new watch
    WATCH = "watch"
    ANSWER = "answer"  # to a write of mine


@dataclass(frozen=True)
class RoundSeen:
    """A version of the Round."""

    lease: RoundLease
    source: Source


@dataclass(frozen=True)
class RoundGone:
    """The Round Lease was deleted, or every right is."""


@dataclass(frozen=True)
class LeaseSeen:
    """A version of an agent's Lease: in the holder's stream, by a GET, or created."""

    lease: AgentLease
    by_get: bool = False


@dataclass(frozen=True)
class LeaseGone:
    """An agent's Lease was deleted, or a GET did not find it."""

    name: str
    by_get: bool = False


@dataclass(frozen=True)
class GetFailed:
    """A GET got no answer."""

    name: str


@dataclass(frozen=True)
class ViewComplete:
    """The initial set of the holder's stream is there: it replaces the view."""

    leases: tuple[AgentLease, ...]


@dataclass(frozen=True)
class RenewalReturned:
    """The answer to WriteState; lease None: it failed (a conflict is followed by LeaseSeen)."""

    lease: AgentLease | None


@dataclass(frozen=True)
class CasFailed:
    """CasRound or Pulse did not land. conflict: another version was there."""

    conflict: bool


@dataclass(frozen=True)
class WorkersStarted:
    """All workers of round n were exec'd; durations in ms since the round was delivered."""

    n: int
    start_ms: int
    stop_ms: int = 0


@dataclass(frozen=True)
class WorkerExited:
    """failure None: the last worker of n ended, all with 0. fatal: no restart can help."""

    n: int
    failure: Cause | None = None
    fatal: bool = False


@dataclass(frozen=True)
class WorkersReaped:
    """Nothing of round n or an older one is alive."""

    n: int


@dataclass(frozen=True)
class ToldToLeave:
    """SIGTERM."""


@dataclass(frozen=True)
class Progressed:
    """A worker says how far it is."""

    progress: Progress


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Union[
    RoundSeen, RoundGone, LeaseSeen, LeaseGone, GetFailed, ViewComplete, RenewalReturned, CasFailed,
    WorkersStarted, WorkerExited, WorkersReaped, ToldToLeave, Progressed, Tick,
]  # fmt: skip


# ---- actions -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadRound:
    """Read the Round consistently: ends in RoundSeen(READ)."""


@dataclass(frozen=True)
class CreateLease:
    """Create my Lease: ends in LeaseSeen of it, created or found."""

    state: str


@dataclass(frozen=True)
class WriteState:
    """Renew my Lease with this state, against this version: ends in RenewalReturned."""

    state: str
    version: str


@dataclass(frozen=True)
class CasRound:
    """Write the next round, or the holder, against this version: RoundSeen(ANSWER) or CasFailed.

    round None: unchanged. holder None: unchanged; empty: cleared.
    """

    version: str
    round: Round | None = None
    holder: str | None = None


@dataclass(frozen=True)
class Pulse:
    """Write my pulse with the report against this version: RoundSeen(ANSWER) or CasFailed."""

    version: str
    report: Report


@dataclass(frozen=True)
class GetLease:
    """Read one agent's Lease: ends in LeaseSeen, LeaseGone (both by_get) or GetFailed."""

    name: str


@dataclass(frozen=True)
class ReopenStream:
    """Open a new watch, then close the old one: ends in RoundSeen(READ), and ViewComplete if wide.

    wide: all Leases of the job, the Round included; else the Round alone.
    """

    wide: bool


@dataclass(frozen=True)
class Start:
    """Start the workers of this round: ends in WorkersStarted or WorkerExited."""

    round: Round


@dataclass(frozen=True)
class Stop:
    """End all workers: SIGTERM, SIGKILL after grace_s; ends in WorkersReaped."""

    n: int
    grace_s: float


@dataclass(frozen=True)
class Exit:
    """End the agent, which ends the pod."""

    code: int
    reason: str


Action = Union[
    ReadRound, CreateLease, WriteState, CasRound, Pulse, GetLease, ReopenStream, Start, Stop, Exit
]
