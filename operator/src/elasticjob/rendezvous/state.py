"""What an agent knows: the state that agent_step takes and returns."""

from __future__ import annotations

import math
from enum import Enum

from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import DEFAULT_ROLE, Pod
from elasticjob.wire.report import Progress
from elasticjob.wire.round import DEFAULT_PORT_BASE

EXIT_OK = 0
EXIT_FAILED = 1  # of a failed job, and not the one that is blamed
EXIT_SETUP = 75  # our own set-up failed, or this incarnation must not run (EX_TEMPFAIL)
EXIT_TERMINATED = 143  # told to leave


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
    lease: RoundLease | None = None  # the newest that was seen
    round_at: float = 0.0  # when its n was first seen
    delay_since: float = 0.0  # since when its start delay runs: before that, if a report said so
    top: int = 0  # the highest n ever seen
    casing: str = ""  # version that the compare-and-swap under way carries; empty: there is none
    cas_at: float = 0.0  # the next one not before
    frozen: bool = False  # the Round or every right is gone: keep the workers, step nothing
    heard_at: float = 0.0  # when the API server last said anything
    sees_since: float = -math.inf  # when it did so again after I had been blind
    # My word, as my Lease shall say it, and what goes with it.
    phase: AgentPhase = AgentPhase.READY
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
