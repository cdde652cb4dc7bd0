"""A supervisor in a separate process, which a test controls: it reaps and kills real processes.

As a program it reads orders from stdin and writes events to stdout, one JSON object a line; the
workers write where `streams` says. `Supervised` is the test's end.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dev.wait import wait_until
from tests.support.survivors import sweep

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).parent / "stub_worker.py"
PATIENCE_S = 20.0


@dataclass
class Supervised:
    """The test's end of one supervisor and the queue of its events."""

    process: subprocess.Popen[bytes]
    pod_uid: str
    directory: Path
    stdout: Path
    stderr: Path
    events: queue.Queue[dict[str, Any]]

    def order(self, **order: Any) -> None:
        """Send an order to the supervisor's process."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def order_start(self, n: int, workers: int = 1, members: int = 1) -> None:
        """Start round n, of which this pod is the first member."""
        self.order(do="start", n=n, workers=workers, members=members)

    def start(self, n: int, workers: int = 1, members: int = 1) -> dict[str, Any]:
        """Start round n, and wait for the event that its workers have started."""
        self.order_start(n, workers, members)
        return self.expect("WorkersStarted")

    def order_stop(self, n: int, grace_s: float = 0.3) -> None:
        """Stop round n."""
        self.order(do="stop", n=n, grace_s=grace_s)

    def stop(self, n: int, grace_s: float = 0.3) -> dict[str, Any]:
        """Stop round n, and wait for the event that its workers have ended."""
        self.order_stop(n, grace_s)
        return self.expect("WorkersReaped")

    def expect(self, kind: str) -> dict[str, Any]:
        """Wait for the next event, which must be of this kind."""
        event = self.events.get(timeout=PATIENCE_S)
        assert event["event"] == kind, event
        return event

    def expect_exit(self) -> dict[str, Any]:
        """Wait for the failure of an exit. It may come before all workers have started, and its
        error file may be noticed before."""
        event = self.events.get(timeout=PATIENCE_S)
        if event["event"] in ("WorkersStarted", "FailureNoticed"):
            return self.expect_exit()
        assert event["event"] == "WorkerExited", event
        return dict(event["failure"])

    def lines(self, count: int) -> list[list[str]]:
        """Wait for the first `count` lines that workers write to stdout; return their words."""
        read = lambda: self.stdout.read_text().splitlines()[:count]  # noqa: E731
        wait_until(lambda: len(read()) == count, what=f"{count} lines", every_s=0.005)
        return [line.split() for line in read()]

    def pids(self, words: int = 1) -> set[int]:
        """Return all pids in the first lines."""
        return {int(word) for line in self.lines(words) for word in line if word.isdigit()}


@contextmanager
def supervised(
    root: Path, *command: str, workers: int = 1, pod_uid: str = "", adopts: bool = True,
    stdout: Path | None = None, stderr: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Supervised]:  # fmt: skip
    """Run a supervisor whose workers run this command. environment: more of the container's."""
    root.mkdir(parents=True, exist_ok=True)
    pod_uid = pod_uid or f"pod-{os.getpid()}-{root.name}"
    out, err = stdout or root / "stdout", stderr or root / "stderr"
    settings = {
        "command": command, "workers": workers, "pod_uid": pod_uid, "directory": str(root),
        "stdout": str(out), "stderr": str(err), "adopts": adopts,
        "environment": dict(environment or {}),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator' / 'src'}:{ROOT}"},
    )
    found: queue.Queue[dict[str, Any]] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, found))
    reader.start()
    try:
        yield Supervised(process, pod_uid, root, out, err, found)
    finally:
        process.kill()
        process.wait()
        sweep(ELASTICJOB_POD_UID=pod_uid)
        reader.join()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def stub(*words: str) -> tuple[str, ...]:
    """Return the command line of a stub worker."""
    return (sys.executable, "-I", "-S", str(STUB), *words)


def _read(process: subprocess.Popen[bytes], found: queue.Queue[dict[str, Any]]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        found.put(json.loads(line))


# ---- the program ---------------------------------------------------------------------------------


def main(settings: dict[str, Any]) -> None:
    """Poll the supervisor and execute orders until stdin ends."""
    from elasticjob.agent.clock import SystemClock
    from elasticjob.agent.signals import Signals
    from elasticjob.agent.workers.output import Output
    from elasticjob.agent.workers.process_tree import ProcessTree, adopt_orphans
    from elasticjob.agent.workers.supervisor import Supervisor
    from elasticjob.wire.member import Pod

    events = os.dup(1)
    _redirect(settings["stdout"], 1)
    _redirect(settings["stderr"], 2)
    signals, clock = Signals(), SystemClock()
    adopts = settings["adopts"] and adopt_orphans()
    tree = ProcessTree(settings["pod_uid"], adopts)
    supervisor = Supervisor(_config(settings), Pod(0, 0), tree, Output(), clock)
    selector = selectors.DefaultSelector()
    selector.register(signals.fd, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    while True:
        wake_at = supervisor.wake_at()
        timeout_s = None if wake_at is None else max(0.0, wake_at - clock.now())
        for key, _ in selector.select(timeout_s):
            if key.fd != 0:
                os.read(key.fd, 4096)
            elif not _execute(supervisor, clock.now()):
                return
        for event in supervisor.poll():
            line = {"event": type(event).__name__, **asdict(event)}
            os.write(events, json.dumps(line, default=str).encode() + b"\n")


def _execute(supervisor: Any, now: float) -> bool:
    from elasticjob.wire.desired import Desired
    from elasticjob.wire.member import Member, Pod
    from elasticjob.wire.round import Endpoint, Phase, Round

    line = os.read(0, 65536)
    for order in map(json.loads, line.splitlines()):
        if order["do"] == "start":
            count = order["workers"]
            members = tuple(Member(Pod(i, 0), count) for i in range(order["members"]))
            master = Endpoint("127.0.0.1", 29500)
            round_ = Round(order["n"], Phase.ACTIVE, members, master, starts=order["n"])
            supervisor.start(round_, Desired(wanted=(Pod(0, 0),)), now)
        elif order["do"] == "stop":
            supervisor.stop(order["n"], order["grace_s"])
        elif order["do"] == "forward":
            supervisor.forward(order["signal"])
        elif order["do"] == "exit":
            supervisor.kill_everything()
            os._exit(0)
    return bool(line)


def _config(settings: dict[str, Any]) -> Any:
    from elasticjob.agent.config import Config

    environment = {"PATH": os.environ["PATH"], "ELASTICJOB_POD_UID": settings["pod_uid"]}
    environment.update(settings["environment"])
    return Config(
        namespace="team", job="demo", job_uid="job-uid", pod="demo-0-0",
        pod_uid=settings["pod_uid"], address="127.0.0.1", node="node",
        directory=settings["directory"], token_directory="", api_host="", api_port=1, index=0,
        generation=0, workers=settings["workers"], command=tuple(settings["command"]),
        shares_network=False, environment=environment,
        cgroup_directory=str(Path(settings["directory"]) / "cgroup"),
    )  # fmt: skip


def _redirect(path: str, fd: int) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(opened, fd)
    os.close(opened)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
