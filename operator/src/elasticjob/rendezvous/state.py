"""The state of an agent, which agent_step takes and returns."""

from __future__ import annotations

import math
from enum import Enum

from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.members.decide import JoinTime
from elasticjob.rendezvous.view import FormerHolder, View
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import DEFAULT_ROLE, Pod
from elasticjob.wire.report import Progress
from elasticjob.wire.round import DEFAULT_PORT_BASE

EXIT_OK = 0
EXIT_FAILED = 1  # the job failed, and the first cause is in another pod
EXIT_SETUP = 75  # the agent's set-up failed, or this incarnation must not run (EX_TEMPFAIL)
EXIT_TERMINATED = 143  # the agent left after a termination signal
SETUP_FAILED = "SetupFailed"


def setup_failure(reason: str) -> Exit:
    """The exit of an agent that cannot work in this pod. A worker may exit with the same code."""
    return Exit(EXIT_SETUP, reason, SETUP_FAILED)


@dataclass(frozen=True)
class Identity:
    """The identity of an agent, and what it reports of its pod."""

    pod: Pod
    name: str  # of the pod and of its agent Lease
    nonce: str  # identifies this incarnation
    job_uid: str
    pod_uid: str = ""
    node: str = ""
    address: str = ""
    port_base: int = DEFAULT_PORT_BASE
    workers: int = 1
    role: str = DEFAULT_ROLE
    jitter: float = 0.0  # random in [0, 1), drawn once: spreads what many agents do at once


class Stage(Enum):
    """The stages of an agent's membership. docs/protocol.md has their diagram."""

    READING = "reading"  # waits for its first consistent read of the Round Lease
    CHECKING = "checking"  # the round names this pod: reads whether it has a Lease, and whose
    CREATING = "creating"  # creates its Lease
    JOINED = "joined"  # has its Lease
    EXITED = "exited"  # has returned Exit; every later event is ignored


@dataclass(frozen=True)
class Run:
    """The workers that this agent started last."""

    n: int  # their round
    delivered_at: float  # when this agent received the round
    started: bool = False  # all of them have started
    done: bool = False  # all of them have exited with code 0
    failure: Cause | None = None  # of a worker, or the API server was away for too long
    failed_at: float = 0.0  # when this agent learnt it
    noticed: Cause | None = None  # the first failure that no exit has reported
    exit_by: float = 0.0  # when it counts as a failure without an exit
    alive: bool = True  # a process of them may be alive
    stop_by: float | None = None  # deadline for their end; None: Stop was not returned


@dataclass(frozen=True)
class Hold:
    """The part of an agent's state that exists while the agent is the holder."""

    view: View
    # The wide watch.
    opening: bool = False  # it is being opened
    complete: bool = False  # its initial set has arrived; no decision is made before
    streamed_version: str = ""  # resourceVersion of the Round Lease that it delivered last
    # The pulse.
    pulse_at: float = 0.0  # when the next one is due
    pulsing: bool = False  # a write of it is in progress
    sent_version: str = ""  # resourceVersion that this write expects
    refused_version: str = ""  # the same of the last pulse, if it met a conflict
    pulse_version: str = ""  # resourceVersion that the last pulse made
    pulse_returned: bool = True  # the wide watch has delivered the last pulse
    # GETs that confirm a suspicion.
    pending_gets: frozenset[Pod] = frozenset()  # whose answers are still to come
    get_at: float = 0.0  # no GET before this instant
    # Decisions.
    dirty: bool = True  # something has changed since the last decision
    judge_at: float = 0.0  # no decision before this instant
    waiting: bool = False  # the last decision was to wait for renewals of the members
    judge_again_at: float = math.inf  # when the last decision may change, if nothing else does
    # The holder before this one, taken as silent until its Lease changes.
    replaced_holder: Pod | None = None
    silent_outside: frozenset[Pod] = frozenset()  # for the next report: silent pods outside
    join_wait: JoinTime | None = None  # for the next report: what newcomers wait for
    left_at: float = -math.inf  # when the last pod that had left was marked: its workers have ended


@dataclass(frozen=True)
class Me:
    """The whole state of one agent. Instants are seconds of the clock of agent_step."""

    who: Identity
    stage: Stage = Stage.READING
    request_pending: bool = False  # the request of the current stage is in progress
    request_at: float = 0.0  # no such request before this instant
    leaving: bool = False  # the agent has received a termination signal
    leave_stop_at: float = 0.0  # when a leaving agent stops its workers at the latest
    leave_exit_at: float = 0.0  # when a leaving agent exits at the latest
    exit: Exit | None = None  # the action to return once no worker process is alive
    # The Round Lease.
    lease: RoundLease | None = None  # the newest version that this agent received
    round_at: float = 0.0  # when this agent first received a version with its n
    delay_since: float = 0.0  # when its start delay began, which may be before round_at
    began_at: float = 0.0  # when it began, of a round without members; else round_at
    ran_n: int = -1  # the last round of which a report listed all members as running
    highest_n: int = 0  # of all rounds that this agent received
    cas_version: str = ""  # resourceVersion that the CAS in progress expects; empty: no CAS
    cas_at: float = 0.0  # no CAS before this instant
    frozen: bool = False  # the Round Lease or the agent's rights are gone: keep the workers as is
    contact_at: float = 0.0  # when the API server last sent anything
    contact_since: float = -math.inf  # the end of the last time that this agent was blind
    # The state that this agent's Lease reports.
    phase: AgentPhase = AgentPhase.READY
    n: int = 0  # round of the phase
    cause: Cause | None = None
    start_ms: int | None = None
    stop_ms: int | None = None
    progress: Progress | None = None
    trained: bool = False  # a worker has reported progress, in any round
    # The workers.
    run: Run | None = None
    last_run_n: int = -1  # the last round whose workers this agent started
    reaped_at: float = 0.0  # when the last workers had ended
    fatal_cause: Cause | None = None  # a failure that no restart can cure
    # This agent's Lease.
    own_version: str = ""  # its resourceVersion; empty: the agent has no Lease
    written_state: str = ""  # annotation `agent` as the API server has it
    writing_state: str = ""  # annotation `agent` of the renewal in progress; empty: none is
    renew_at: float = 0.0  # when the next renewal is due
    retry_renewal_at: float = 0.0  # no renewal, not even an urgent one, before this instant
    # The holder, if it is another agent.
    last_pulse: str = ""  # renewTime of its last pulse
    last_pulse_at: float = 0.0  # when this agent received that pulse, or another holder's name
    former_holder: FormerHolder | None = None
    renewals_since_pulse: int = 0  # of this agent, in a row
    doubted_pulse: str | None = None  # last_pulse when this agent began to check the holder
    holder_silent: bool = False  # a consistent read has shown no newer pulse
    claim_at: float | None = None  # when this agent claims the vacant role
    narrow: bool = True  # the watch delivers the Round Lease alone
    hold: Hold | None = None  # set while this agent is the holder
