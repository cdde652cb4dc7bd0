"""The agent's loop: it waits, and makes one step of the rendezvous for each event.

Requests and watches run on threads, which only put messages into the inbox. The loop polls the
workers and blocks nowhere but in its wait, so it reacts to the death of a worker, a new round and
SIGTERM within a few milliseconds, even while the API server does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from elasticjob.agent.api.calls import RequestAction
from elasticjob.agent.clock import Clock
from elasticjob.agent.inbox import Inbox, Message, SetupFailed, WatchEvent
from elasticjob.agent.log import Log
from elasticjob.agent.log_lines import step_lines
from elasticjob.agent.signals import LEAVE
from elasticjob.agent.workers.shutdown import EXIT_S
from elasticjob.agent.workers.torchelastic import RunResult, WorkerGroup
from elasticjob.rendezvous import agent_step, events
from elasticjob.rendezvous.actions import Action, Exit, ReadRound, ReopenStream, Start, Stop
from elasticjob.rendezvous.state import Me, setup_failure
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Progress
from elasticjob.wire.round import Round


class Api(Protocol):
    """The API server: results and events come as messages in the inbox."""

    def call(self, action: RequestAction, round_lease: RoundLease) -> None:
        """Perform one action on a thread."""

    def reopen(self, wide: bool) -> None:
        """Open a new watch, which then replaces the current one."""

    def is_current(self, message: WatchEvent) -> bool:
        """Whether the event is of the current watch."""

    def close(self) -> None:
        """Close the watch and the idle connections."""


class Workers(Protocol):
    """The worker processes: a Supervisor, or an object of a test."""

    group: WorkerGroup

    def start(self, round_: Round, desired: Desired, delivered_at: float) -> None:
        """Begin to start the workers of a round."""

    def stop(self, n: int, grace_s: float) -> None:
        """Begin to end all processes of the workers."""

    def forward(self, number: int) -> None:
        """Send a signal to each worker."""

    def poll(self) -> Iterable[events.Event]:
        """Continue what start and stop began, and return what has happened."""

    def wake_at(self) -> float | None:
        """The time at which poll is due next, unless a child ends first."""

    def new_progress(self) -> Progress | None:
        """Return the progress of the training, if it has changed."""

    def result(self) -> RunResult:
        """Return the result of the last group of workers."""


class Waiter(Protocol):
    """What wakes the loop."""

    def wait(self, timeout_s: float | None) -> None:
        """Return at a message or a signal, or after timeout_s seconds unless it is None."""

    def signals(self) -> tuple[int, ...]:
        """Return the signals that have arrived since the last call."""


class ElasticAgent:
    """The agent of one pod, with the methods of torchelastic's ElasticAgent."""

    def __init__(
        self, me: Me, api: Api, workers: Workers, inbox: Inbox, waiter: Waiter, clock: Clock,
        log: Log,
    ) -> None:  # fmt: skip
        self.me = me
        self.exit: Exit | None = None
        self._api = api
        self._workers = workers
        self._inbox = inbox
        self._waiter = waiter
        self._clock = clock
        self._log = log
        self._again_at: float | None = None  # when the next Tick is due

    def get_worker_group(self, role: str = "default") -> WorkerGroup:
        """Return the current workers."""
        return self._workers.group

    def run(self, role: str = "default") -> RunResult:
        """Join, run rounds, and return once `exit` is set."""
        self._step(events.Tick())
        while self.exit is None:
            self._waiter.wait(self._timeout_s())
            self._turn()
        self._api.close()
        return self._workers.result()

    # ---- one turn --------------------------------------------------------------------------------

    def _timeout_s(self) -> float | None:
        """Seconds until the loop has something to do. None: until a message or a signal."""
        due = [at for at in (self._again_at, self._workers.wake_at()) if at is not None]
        return max(0.0, min(due) - self._clock.now()) if due else None

    def _is_due(self) -> bool:
        return self._again_at is not None and self._again_at <= self._clock.now()

    def _turn(self) -> None:
        """Handle what has happened; workers first, because a restart waits for their end."""
        if self._is_due():
            self._report_progress()  # in the renewal that is due
        for event in self._workers.poll():
            if isinstance(event, events.WorkerExited):
                self._report_progress()  # the last one, in the same renewal as the exit
            self._step(event)
        for number in self._waiter.signals():
            self._handle_signal(number)
        while self.exit is None and (message := self._inbox.take()) is not None:
            self._receive(message)
        if self.exit is None and self._is_due():
            self._step(events.Tick())

    def _report_progress(self) -> None:
        progress = self._workers.new_progress()
        if progress is not None:
            self._step(events.Progressed(progress))

    def _handle_signal(self, number: int) -> None:
        if number in LEAVE:
            self._step(events.LeaveRequested())
        else:
            self._workers.forward(number)

    def _receive(self, message: Message) -> None:
        if isinstance(message, SetupFailed):
            self._fail(message.reason)
        elif isinstance(message, WatchEvent):
            if self._api.is_current(message):
                self._step(message.event)
        else:
            self._step(message)

    def _fail(self, reason: str) -> None:
        """Exit as after a failed set-up, once the workers had their grace period to end."""
        self._log.write("agent set-up failed", reason=reason)
        self.exit = setup_failure(reason)
        if self.me.lease is None or self.me.run is None or not self.me.run.alive:
            return
        grace_s = self.me.lease.desired.stop_grace_s
        end = self._clock.now() + grace_s + EXIT_S
        self._workers.stop(self.me.run.n, grace_s)
        while not self._has_reaped() and self._clock.now() < end:
            self._waiter.wait(max(0.0, (self._workers.wake_at() or end) - self._clock.now()))

    def _has_reaped(self) -> bool:
        return any(isinstance(event, events.WorkersReaped) for event in self._workers.poll())

    def _step(self, event: events.Event) -> None:
        """Make one step of the rendezvous, and perform its actions."""
        before = self.me
        self.me, actions, self._again_at = agent_step(before, event, self._clock.now())
        for message, fields in step_lines(before, self.me, event, actions):
            self._log.write(message, **fields)
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        round_lease = self.me.lease
        if isinstance(action, Exit):
            self.exit = action
        elif isinstance(action, ReadRound):
            self._api.reopen(wide=False)  # a watch begins with a consistent read
        elif isinstance(action, ReopenStream):
            self._api.reopen(action.wide)
        elif isinstance(action, Stop):
            self._workers.stop(action.n, action.grace_s)
        elif round_lease is None:
            raise AssertionError(f"{action} before the Round Lease was read")
        elif isinstance(action, Start):
            self._workers.start(action.round, round_lease.desired, self.me.round_at)
        else:
            self._api.call(action, round_lease)
