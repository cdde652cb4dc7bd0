"""The loop with a fake API server, fake workers and a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.support.clocks import VirtualClock
from tests.support.protocol import DESIRED, active, identity, parsed_agent, parsed_round

from elasticjob.agent.api.calls import RequestAction
from elasticjob.agent.inbox import Inbox, Message, SetupFailed, WatchEvent
from elasticjob.agent.log import Log
from elasticjob.agent.loop import ElasticAgent
from elasticjob.agent.workers.torchelastic import (
    RunResult,
    WorkerGroup,
    WorkerSpec,
    WorkerState,
    new_group,
)
from elasticjob.rendezvous import new_agent
from elasticjob.rendezvous.actions import CasRound, CreateLease, Exit, WriteState
from elasticjob.rendezvous.events import (
    Event,
    GetFailed,
    LeaseSeen,
    RoundGone,
    RoundSeen,
    Source,
    WorkerExited,
    WorkersReaped,
    WorkersStarted,
)
from elasticjob.rendezvous.state import EXIT_OK, setup_failure
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Progress
from elasticjob.wire.round import Phase, Round


class FakeApi:
    """Records the calls of the loop."""

    def __init__(self) -> None:
        self.calls: list[RequestAction] = []
        self.opened: list[bool] = []
        self.is_closed = False

    def call(self, action: RequestAction, round_lease: RoundLease) -> None:
        self.calls.append(action)

    def reopen(self, wide: bool) -> None:
        self.opened.append(wide)

    def is_current(self, message: WatchEvent) -> bool:
        return message.number == len(self.opened)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeWorkers:
    """Records the calls of the loop, and returns the events that a test adds."""

    group: WorkerGroup = field(default_factory=lambda: new_group(WorkerSpec("default", 1, "true")))
    events: list[Event] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    due: float | None = None
    changed: Progress | None = None

    def start(self, round_: Round, desired: Desired, delivered_at: float) -> None:
        self.calls.append(("start", round_.n, desired.max_restarts, delivered_at))

    def stop(self, n: int, grace_s: float) -> None:
        self.calls.append(("stop", n, grace_s))
        self.events.append(WorkersReaped(n))

    def forward(self, number: int) -> None:
        self.calls.append(("forward", number))

    def poll(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def wake_at(self) -> float | None:
        return self.due

    def new_progress(self) -> Progress | None:
        changed, self.changed = self.changed, None
        return changed

    def result(self) -> RunResult:
        return RunResult(WorkerState.SUCCEEDED)


class Script:
    """A Waiter: each wait runs the next step of the test, or advances the clock."""

    def __init__(self, clock: VirtualClock, steps: list[Callable[[], object]]) -> None:
        self.waits: list[float | None] = []
        self.pending: tuple[int, ...] = ()
        self._clock = clock
        self._steps = steps

    def wait(self, timeout_s: float | None) -> None:
        self.waits.append(timeout_s)
        if self._steps:
            self._steps.pop(0)()
        elif timeout_s is not None:
            self._clock.time += timeout_s
        else:
            raise AssertionError("the loop would wait for ever")

    def signals(self) -> tuple[int, ...]:
        pending, self.pending = self.pending, ()
        return pending


class Scene:
    """One agent; `play` runs it through some steps until it exits."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.api = FakeApi()
        self.workers = FakeWorkers()
        self.inbox = Inbox()
        self.lines: list[str] = []
        self.script = Script(self.clock, [])
        self.agent = ElasticAgent(
            new_agent(identity(), self.clock.now()), self.api, self.workers, self.inbox,
            self.script, self.clock, Log(self.lines.append),
        )  # fmt: skip

    def play(self, *steps: Callable[[], object]) -> RunResult:
        """Run the steps, then end with a failed set-up."""
        self.script._steps += [*steps, lambda: self.put(SetupFailed("the script is over"))]
        try:
            return self.agent.run()
        finally:
            self.inbox.close()

    def put(self, *messages: Message) -> None:
        for message in messages:
            self.inbox.put(message)

    def joined(self, round_: Round = Round()) -> None:  # noqa: B008
        """Deliver the Round Lease and this agent's Lease."""
        lease = parsed_round(3, round_=round_, holder="B")
        self.put(WatchEvent(1, RoundSeen(lease, Source.READ)), LeaseSeen(parsed_agent(4)))

    def see(self, round_: Round, version: int = 5) -> None:
        lease = parsed_round(version, round_=round_, holder="B")
        self.put(WatchEvent(1, RoundSeen(lease, Source.WATCH)))

    def happen(self, *events: Event) -> None:
        self.workers.events += events

    def signal(self, number: int) -> None:
        self.script.pending = (number,)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_begins_with_a_narrow_watch_which_reads_the_round(scene: Scene) -> None:
    scene.play()
    assert scene.api.opened == [False]
    assert scene.api.calls == []


def test_it_joins_and_starts_its_round(scene: Scene) -> None:
    scene.play(scene.joined, lambda: scene.see(active(1)))
    assert isinstance(scene.api.calls[0], CreateLease)
    assert scene.workers.calls[0] == ("start", 1, DESIRED.max_restarts, 1000.0)


def test_a_crash_is_one_write_and_one_stop(scene: Scene) -> None:
    failure = WorkerExited(1, Cause(CauseKind.WORKER_FAILED, "demo-0-0", code=3, n=1))
    scene.play(
        scene.joined,
        lambda: scene.see(active(1)),
        lambda: scene.happen(WorkersStarted(1, 2)),
        lambda: scene.happen(failure),
    )
    stops = [call for call in scene.workers.calls if call[0] == "stop"]
    writes = [call for call in scene.api.calls if isinstance(call, CasRound)]
    assert stops == [("stop", 1, DESIRED.crash_grace_s)]
    assert [write.round.n for write in writes if write.round] == [2]


@pytest.mark.parametrize("number", [15, 2, 3, 1])
def test_a_signal_to_leave(scene: Scene, number: int) -> None:
    scene.play(scene.joined, lambda: scene.signal(number))
    assert scene.agent.me.leaving


@pytest.mark.parametrize("number", [10, 12])
def test_a_signal_for_the_workers(scene: Scene, number: int) -> None:
    scene.play(scene.joined, lambda: scene.signal(number))
    assert not scene.agent.me.leaving
    assert scene.workers.calls == [("forward", number)]


def test_messages_of_a_closed_watch_are_dropped(scene: Scene) -> None:
    old = WatchEvent(7, RoundGone())
    scene.play(scene.joined, lambda: scene.put(old))
    assert not scene.agent.me.frozen


def test_it_waits_until_the_next_renewal(scene: Scene) -> None:
    def until_beat() -> None:
        scene.clock.time += scene.script.waits[-1] or 0.0

    scene.play(scene.joined, lambda: None, until_beat, lambda: None)
    assert any(isinstance(call, WriteState) for call in scene.api.calls)


def test_an_event_at_the_time_of_the_renewal_makes_it_with_the_progress(scene: Scene) -> None:
    def late() -> None:
        scene.clock.time += (scene.script.waits[-1] or 0.0) + 0.001
        scene.workers.changed = Progress(7)
        scene.put(GetFailed("demo-1-0"))

    scene.play(scene.joined, lambda: None, late)
    renewals = [call for call in scene.api.calls if isinstance(call, WriteState)]
    assert ['"step":7' in renewal.state for renewal in renewals] == [True]


def test_the_last_progress_is_in_the_renewal_of_the_exit(scene: Scene) -> None:
    def ends() -> None:
        scene.workers.changed = Progress(400, 400)
        scene.happen(WorkerExited(1))

    scene.play(scene.joined, lambda: scene.see(active(1)), ends)
    last = [call for call in scene.api.calls if isinstance(call, WriteState)][-1]
    assert '"step":400' in last.state


def test_progress_is_in_the_renewal(scene: Scene) -> None:
    def until_beat() -> None:
        scene.workers.changed = Progress(120, 400)
        scene.clock.time += scene.script.waits[-1] or 0.0

    scene.play(scene.joined, lambda: None, until_beat, lambda: None)
    beats = [call for call in scene.api.calls if isinstance(call, WriteState)]
    assert '"step":120' in beats[0].state


def test_a_due_poll_of_workers_shortens_the_wait(scene: Scene) -> None:
    def due() -> None:
        scene.workers.due = scene.clock.now()

    scene.play(scene.joined, due, lambda: None)
    assert scene.script.waits[-1] == 0.0


def test_it_ends_when_the_job_does(scene: Scene) -> None:
    result = scene.play(scene.joined, lambda: scene.see(Round(1, Phase.SUCCEEDED)))
    assert scene.agent.exit == Exit(EXIT_OK, "the job succeeded")
    assert result.state is WorkerState.SUCCEEDED
    assert scene.api.is_closed


def test_it_exits_when_its_setup_has_failed(scene: Scene) -> None:
    scene.play()
    assert scene.agent.exit == setup_failure("the script is over")
    assert scene.lines[-1] == "[elasticjob] agent set-up failed  reason='the script is over'"


def test_workers_have_their_grace_period_when_the_setup_has_failed(scene: Scene) -> None:
    scene.play(
        scene.joined, lambda: scene.see(active(1)), lambda: scene.happen(WorkersStarted(1, 2))
    )
    assert scene.workers.calls[-1] == ("stop", 1, DESIRED.stop_grace_s)
    assert scene.agent.exit == setup_failure("the script is over")


def test_an_unkillable_worker_does_not_keep_the_agent(scene: Scene) -> None:
    began = scene.clock.now()
    scene.workers.stop = lambda n, grace_s: None  # type: ignore[method-assign]
    scene.play(scene.joined, lambda: scene.see(active(1)))
    assert DESIRED.stop_grace_s <= scene.clock.now() - began < DESIRED.stop_grace_s + 3


def test_torchelastics_names(scene: Scene) -> None:
    assert scene.agent.get_worker_group().state is WorkerState.INIT
    assert scene.agent.get_worker_group("default") is scene.workers.group
