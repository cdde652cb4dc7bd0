"""Starts, watches and stops the workers of one agent, without blocking the agent's loop.

start() and stop() only begin; poll() continues them and returns what has happened. Each call of
poll() starts at most one process: an exec takes about a millisecond, and 32 in a row would delay
the loop.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Iterator

from elasticjob import files
from elasticjob.agent.clock import Clock
from elasticjob.agent.config import Config
from elasticjob.agent.workers import environment, exits
from elasticjob.agent.workers.file_timer import FileTimer
from elasticjob.agent.workers.oom_kills import OomKills
from elasticjob.agent.workers.output import Copy, Output
from elasticjob.agent.workers.process_tree import (
    ProcessTree,
    age_s,
    ancestors,
    read_processes,
    reap,
    send_signal,
)
from elasticjob.agent.workers.progress import ProgressFile
from elasticjob.agent.workers.shutdown import Shutdown, kill_all
from elasticjob.agent.workers.torchelastic import (
    ProcessFailure,
    RunResult,
    WorkerSpec,
    WorkerState,
    new_group,
    with_pid,
    with_ranks,
)
from elasticjob.rendezvous.events import (
    Event,
    FailureNoticed,
    WorkerExited,
    WorkersReaped,
    WorkersStarted,
)
from elasticjob.rendezvous.members.ranks import Ranks, ranks_of
from elasticjob.wire.cause import LONGEST_MESSAGE, Cause, clip
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Progress
from elasticjob.wire.round import Round

LOOK_S = 1.0  # the longest time between two looks at error files and timers of workers that run
LOOK_PAUSE_S = 0.05  # the shortest


class _Running:
    """The workers of round n in this pod."""

    def __init__(
        self, n: int, delivered_at: float, ranks: Ranks, group_env: dict[str, str]
    ) -> None:
        self.n = n
        self.delivered_at = delivered_at  # monotonic
        self.ranks = ranks
        self.group_env = group_env
        self.launched: list[subprocess.Popen[bytes]] = []  # by local rank
        self.stderr: list[Copy] = []  # by local rank
        self.ended: dict[int, exits.WorkerOutcome] = {}  # by local rank
        self.fifo_path: str | None = None  # where the FIFO for timers could not be created
        self.is_started = False  # WorkersStarted was returned
        self.is_over = False  # WorkerExited was returned, or a stop has begun
        self.checked_at = -math.inf  # when the error files were read last; monotonic
        self.noticed_at = math.inf  # when the failure that was noticed happened; wall clock


class Supervisor:
    """The workers of one agent, and their processes."""

    def __init__(
        self, config: Config, pod: Pod, tree: ProcessTree, output: Output, clock: Clock
    ) -> None:
        self._config = config
        self._pod = pod
        self._tree = tree
        self._output = output
        self._clock = clock
        entrypoint, *arguments = config.command
        self.group = new_group(WorkerSpec("default", config.workers, entrypoint, tuple(arguments)))
        self._oom_kills = OomKills(config.cgroup_directory)
        self._running: _Running | None = None
        self._shutdown: Shutdown | None = None
        self._stopped: list[Event] = []  # what poll returns next: found when a stop began
        path = environment.timer_file(config.environment, config.directory)
        self._file_timer = FileTimer(path, clock)
        self._progress = ProgressFile(environment.progress_file(config.directory, 0))

    # ---- calls of the loop -----------------------------------------------------------------------

    def start(self, round_: Round, desired: Desired, delivered_at: float) -> None:
        """Begin to start the workers of a round in which this pod is a member.

        Their number is that of the pod's spec: the rendezvous refuses a round with another number.
        """
        config = self._config
        ranks = replace(ranks_of(round_, self._pod), workers=config.workers)
        env = environment.group_env(round_, desired, ranks, config.job_uid, config.pod_uid)
        files.clear(config.directory, environment.file_names(ranks.workers))
        self._oom_kills.begin()
        self._running = _Running(round_.n, delivered_at, ranks, env)
        self._running.fifo_path = self._file_timer.begin()
        self.group = with_ranks(self.group, ranks, env["MASTER_ADDR"], int(env["MASTER_PORT"]))

    def stop(self, n: int, grace_s: float) -> None:
        """Begin to end all processes of the workers."""
        self._notice_before_stop()
        now = self._clock.now()
        if self._shutdown is None:
            self._shutdown = Shutdown(n, self._tree, self._alive(), now)
        self._shutdown.set_grace(grace_s, now)
        if self._running is not None:
            self._running.is_over = True
        if WorkerState.is_running(self.group.state):
            self.group = replace(self.group, state=WorkerState.STOPPED)

    def forward(self, number: int) -> None:
        """Send a signal to each worker, but not to its children, which may have no handler."""
        send_signal(self._alive(), number)

    def poll(self) -> Iterator[Event]:
        """Continue what start and stop began, and yield what has happened."""
        for pid, code in reap():
            self._record_exit(pid, code)
        while self._stopped:
            yield self._stopped.pop(0)
        if self._shutdown is not None:
            yield from self._poll_shutdown()  # its event may make the loop start the next round
        if self._shutdown is None and self._running is not None and not self._running.is_over:
            yield from self._poll_workers(self._running)

    def wake_at(self) -> float | None:
        """The time at which poll is due next, unless a child ends first."""
        if self._stopped:
            return self._clock.now()
        if self._shutdown is not None:
            return self._shutdown.wake_at
        running = self._running
        if running is None or running.is_over:
            return None
        if not running.is_started:
            return self._clock.now()
        timer_at = max(self._file_timer.timers.next_at(), running.checked_at + LOOK_PAUSE_S)
        return min(timer_at, running.checked_at + LOOK_S)

    def new_progress(self) -> Progress | None:
        """Return the progress of the training, if it has changed."""
        return self._progress.read_if_changed()

    def kill_everything(self) -> bool:
        """Send SIGKILL to all processes, when the agent ends; whether all ended."""

        def left() -> list[int]:
            for pid, code in reap():
                self._record_exit(pid, code)
            return [process.pid for process in self._tree.alive()]

        return kill_all(left, self._clock.pause)

    def result(self) -> RunResult:
        """Return the result of the last group, by global rank."""
        running = self._running
        if running is None:
            return RunResult(self.group.state)
        first = running.ranks.first_rank
        ended = running.ended
        return RunResult(
            self.group.state,
            {first + rank: None for rank, end in ended.items() if end.code == 0},
            {first + rank: self._failure(running, end) for rank, end in ended.items() if end.code},
        )

    # ---- a running group -------------------------------------------------------------------------

    def _poll_workers(self, running: _Running) -> Iterator[Event]:
        if any(end.code for end in running.ended.values()):
            failure = exits.first_failure(self._outcomes(running))
            assert failure is not None
            yield self._failed(running, failure)
        elif len(running.launched) < running.ranks.workers:
            yield from self._launch(running)
        elif len(running.ended) == running.ranks.workers:
            running.is_over = True
            self.group = replace(self.group, state=WorkerState.SUCCEEDED)
            yield WorkerExited(running.n)
        elif self._clock.now() >= running.checked_at + LOOK_PAUSE_S:
            yield from self._look(running)

    def _look(self, running: _Running) -> Iterator[Event]:
        """Yield the failure of a worker whose timer has expired, unless an exception came before;
        or else the exceptions that workers have reported and not exited of."""
        hung = self._hung(running)
        if hung is None:
            yield from self._notice(running, None)
        else:
            reported = exits.first_failure(self._outcomes(running))
            yield self._failed(running, exits.earliest(reported, hung) or hung)

    def _hung(self, running: _Running) -> exits.Failure | None:
        """Return the failure of the worker whose timer has expired first, or None.

        A timer counts if the process that has set it still exists and descends from a worker.
        """
        now = self._clock.now()
        expired = self._file_timer.timers.take_expired(now)
        processes = read_processes() if expired else {}
        workers = self._alive()
        for timer in expired:
            process = processes.get(timer.pid)
            if process is None or age_s(process) < now - timer.set_at:
                continue  # the process has ended, and another one may have its pid
            found = [pid for pid in ancestors(processes, timer.pid) if pid in workers]
            if found and not process.has_ended:
                at = self._clock.wall_at() - (now - timer.expires_at)
                return exits.timer_failure(workers[found[0]], timer, at)
        return None

    def _notice(self, running: _Running, hung: exits.Failure | None) -> Iterator[Event]:
        """Yield the first failure that no exit has reported if it is new, or that there is none any
        more: its worker has exited with 0."""
        running.checked_at = self._clock.now()
        failure = exits.earliest(exits.first_failure(self._outcomes(running)), hung)
        if failure is None and running.noticed_at < math.inf:
            running.noticed_at = math.inf
            yield FailureNoticed(running.n, None)
        elif failure is not None and failure.at < running.noticed_at:
            running.noticed_at = failure.at
            yield FailureNoticed(running.n, self._cause(running, failure))

    def _notice_before_stop(self) -> None:
        """Notice a failure before SIGTERM makes workers fail."""
        if self._running is not None and not self._running.is_over:
            for pid, code in reap():
                self._record_exit(pid, code)
            self._stopped.extend(self._notice(self._running, self._hung(self._running)))

    def _launch(self, running: _Running) -> Iterator[Event]:
        """Start the next worker; after the last one, report that the workers have started."""
        local_rank = len(running.launched)
        if running.fifo_path is not None:
            failure = exits.timer_file_failure(running.fifo_path, self._clock.wall_at())
            yield self._failed(running, failure)
            return
        try:
            process = self._exec(running, local_rank)
        except OSError as error:
            failure, is_fatal = exits.start_failure(
                local_rank, self._config.command[0], error, self._clock.wall_at()
            )
            yield self._failed(running, failure, is_fatal)
            return
        running.launched.append(process)
        self.group = with_pid(self.group, local_rank, process.pid)
        if len(running.launched) == running.ranks.workers:
            running.is_started = True
            self.group = replace(self.group, state=WorkerState.HEALTHY)
            yield WorkersStarted(running.n, _ms(self._clock.now() - running.delivered_at))

    def _exec(self, running: _Running, local_rank: int) -> subprocess.Popen[bytes]:
        """Start one worker in a new session. Raises OSError."""
        config, ranks = self._config, running.ranks
        base = config.environment
        env = environment.worker_env(base, running.group_env, ranks, local_rank, config.directory)
        prefix = f"[{ranks.role}{local_rank}]:" if ranks.workers > 1 else None
        streams = self._output.streams(prefix)
        running.stderr.append(streams.copy)
        try:
            return subprocess.Popen(
                config.command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=streams.stdout,
                stderr=streams.stderr,
                start_new_session=True,
            )
        finally:
            for end in (streams.stdout, streams.stderr):
                if end is not None:
                    os.close(end)

    def _failed(self, running: _Running, failure: exits.Failure, is_fatal: bool = False) -> Event:
        running.is_over = True
        self.group = replace(self.group, state=WorkerState.FAILED)
        return WorkerExited(running.n, self._cause(running, failure), is_fatal)

    def _cause(self, running: _Running, failure: exits.Failure) -> Cause:
        now, wall = self._clock.now(), self._clock.wall_at()
        age_s = max(0.0, wall - failure.at)
        return Cause(
            kind=failure.kind,
            pod=self._config.pod,
            node=self._config.node,
            rank=running.ranks.first_rank + failure.local_rank,
            code=failure.code,
            signal=failure.signal,
            message=clip(self._oom_kills.explain(failure.message), LONGEST_MESSAGE),
            n=running.n,
            after_ms=_ms(now - age_s - running.delivered_at),
        )

    def _outcomes(self, running: _Running) -> list[exits.WorkerOutcome]:
        """Return the outcome of each worker that was launched, with what it has reported."""
        now_at = self._clock.wall_at()
        return [
            self._reported(
                running, running.ended.get(rank, exits.WorkerOutcome(rank, None, now_at))
            )
            for rank in range(len(running.launched))
        ]

    def _reported(self, running: _Running, end: exits.WorkerOutcome) -> exits.WorkerOutcome:
        """Return an outcome with the worker's error file and, after an exit, its stderr."""
        path = environment.error_file(self._config.directory, end.local_rank)
        stderr = running.stderr[end.local_rank].end() if end.code else ""
        return replace(end, file=exits.read_error_file(path), stderr=stderr)

    def _failure(self, running: _Running, end: exits.WorkerOutcome) -> ProcessFailure:
        path = environment.error_file(self._config.directory, end.local_rank)
        end = self._reported(running, end)
        return ProcessFailure(
            local_rank=end.local_rank,
            pid=self.group.workers[end.local_rank].id or 0,
            exitcode=end.code or 0,
            error_file=path if end.file else "<N/A>",
            message=end.message,
            timestamp=int(end.file.at if end.file else end.at),
        )

    # ---- the end of workers ----------------------------------------------------------------------

    def _poll_shutdown(self) -> Iterator[Event]:
        shutdown = self._shutdown
        if shutdown is not None and shutdown.has_ended(self._clock.now()):
            self._shutdown = None
            yield WorkersReaped(shutdown.n)

    def _record_exit(self, pid: int, code: int) -> None:
        """Record the exit of a worker; the pid may also be that of an adopted orphan."""
        running = self._running
        if running is None:
            return
        for local_rank, process in enumerate(running.launched):
            if process.pid == pid and local_rank not in running.ended:
                process.returncode = code  # else Popen would wait for it by itself
                running.ended[local_rank] = exits.WorkerOutcome(
                    local_rank, code, self._clock.wall_at()
                )

    def _alive(self) -> dict[int, int]:
        """Return the local ranks of workers that were not reaped, by pid: no other process has this
        pid."""
        if self._running is None:
            return {}
        launched = enumerate(self._running.launched)
        return {process.pid: rank for rank, process in launched if rank not in self._running.ended}


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
