"""What an agent knows, what happens to it, and what it does: the vocabulary of agent_step.

Input comes in as events, a batch of actions goes out; the agent's shell performs them and feeds
the results back as events. Nothing here does I/O, reads a clock or draws a random number.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Union

from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import Word
from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import dataclass
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
    CHECKING = "checking"  # the Round names it: looks whether there is a Lease, and its own
    CREATING = "creating"  # its Lease is being created
    JOINED = "joined"  # has its Lease
    EXITED = "exited"  # has said Exit; nothing more happens


@dataclass(frozen=True)
class Run:
    """The last workers that I started: of round n.

    at: when the round was delivered. started: exec was done. alive: something of them may be left.
    failure: of a worker, or because the API was dark. stop_by: Stop was said, and by then they must
    be gone.
    """

    n: int
    at: float
    started: bool = False
    done: bool = False
    failure: Cause | None = None
    failed_at: float = 0.0
    alive: bool = True
    stop_by: float | None = None


@dataclass(frozen=True)
class Hold:
    """What an agent has in addition while it is the holder.

    opening: the wide stream was asked for. complete: its initial set has arrived; nothing is
    decided before. pulsed: version of the last pulse that I wrote; streamed: of the Round that the
    stream brought last; returned: the pulse came back in the stream. pulsing: the write is under
    way. sent: the version that it carries; met: the one that the last pulse carried, if another
    was there. pulse_at: of the next one. replaced: the silent holder before me, silent until its
    Lease changes. getting: Leases that a GET is under way for; get_at: the next one not before.
    dirty: something has changed since the last decision; judge_at: the next one not before.
    waiting: the last decision was to wait for the members' word. wake_at: when the next agent
    would be silent. silent: pods outside of the round that were found silent, as the next pulse
    reports them.
    """

    view: View
    opening: bool = False
    complete: bool = False
    pulsed: str = ""
    streamed: str = ""
    returned: bool = True
    pulsing: bool = False
    sent: str = ""
    met: str = ""
    pulse_at: float = 0.0
    replaced: Pod | None = None
    getting: frozenset[Pod] = frozenset()
    get_at: float = 0.0
    dirty: bool = True
    judge_at: float = 0.0
    waiting: bool = False
    wake_at: float = 0.0
    silent: frozenset[Pod] = frozenset()


@dataclass(frozen=True)
class Me:
    """Everything that one agent knows and remembers."""

    who: Identity
    stage: Stage = Stage.READING
    asked: bool = False  # the request of the present stage is under way
    ask_at: float = 0.0  # not before
    leaving: bool = False
    leave_by: float = 0.0  # when the workers are stopped in any case
    leave_until: float = 0.0  # when the grace ends, which began when I was told
    exit: Exit | None = None  # to be said as soon as nothing of ours is alive
    without: frozenset[str] = frozenset()  # clauses left out: the mutation check; empty otherwise
    # The Round.
    round: RoundLease | None = None  # the newest that was seen
    round_at: float = 0.0  # when its n was first seen
    delay_since: float = 0.0  # since when its start delay runs: before that, if a report said so
    top: int = 0  # the highest n ever seen
    casing: str = ""  # version that the compare-and-swap under way carries; empty: there is none
    cas_at: float = 0.0  # the next one not before
    frozen: bool = False  # the Round or every right is gone: keep the workers, step nothing
    heard_at: float = 0.0  # when the API server last said anything
    sees_since: float = -math.inf  # when it did so again after I had been blind
    # My word, as my Lease shall say it, and what goes with it.
    word: Word = Word.READY
    n: int = 0
    cause: Cause | None = None
    start_ms: int | None = None
    stop_ms: int | None = None
    written_n: int = -1  # the round that I wrote, and how long it took me
    detect_ms: int | None = None
    rendezvous_ms: int | None = None
    progress: Progress | None = None
    # My workers.
    run: Run | None = None
    last_run: int = -1
    fatal: Cause | None = None
    # My Lease.
    version: str = ""  # empty: there is none
    written: str = ""  # the state that the API server has
    writing: str = ""  # the state of the renewal that is under way
    beat_at: float = 0.0
    write_at: float = 0.0  # not before, however urgent: the last one failed
    # The holder.
    heard: str = ""  # its last pulse
    quiet_since: float = 0.0  # when it was heard, or the holder changed
    missed: int = 0  # renewals of mine since
    doubted: str | None = None  # its last pulse when I began to look whether it lives
    silent: bool = False  # I looked, and it does not
    claim_at: float | None = None
    narrow: bool = True  # my stream is the Round alone
    hold: Hold | None = None


# ---- events --------------------------------------------------------------------------------------


class Source(Enum):
    """How a version of the Round came."""

    READ = "read"  # a consistent read, or the initial set of a new watch
    WATCH = "watch"
    ANSWER = "answer"  # to my CasRound
    PULSE = "pulse"  # to my Pulse


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
    """CasRound did not land. conflict: another version was there."""

    conflict: bool


@dataclass(frozen=True)
class PulseFailed:
    """Pulse did not land. conflict: another version was there."""

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
    PulseFailed, WorkersStarted, WorkerExited, WorkersReaped, ToldToLeave, Progressed, Tick,
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

    round None: unchanged. holder None: unchanged; empty: cleared. report: the last one, with the
    job's end; None: unchanged.
    """

    version: str
    round: Round | None = None
    holder: str | None = None
    report: Report | None = None


@dataclass(frozen=True)
class Pulse:
    """Write my pulse with the report against this version: RoundSeen(PULSE) or PulseFailed."""

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
