"""The supervisor with real processes: starts, events, and stops that no process outlives."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from dev.wait import wait_until
from tests.support.supervised import Supervised, stub, supervised
from tests.support.survivors import alive, is_dead

from elasticjob.agent.workers.failure_message import exit_text
from elasticjob.agent.workers.oom_kills import OUT_OF_MEMORY

pytestmark = pytest.mark.process


def of_round(one: Supervised, n: int = 1, count: int = 0) -> set[int]:
    """The live processes of a round, at least `count`: during exec a process has no environment."""
    found = lambda: alive(ELASTICJOB_POD_UID=one.pod_uid, ELASTICJOB_ROUND=str(n))  # noqa: E731
    wait_until(lambda: len(found()) >= count, what=f"{count} processes", every_s=0)
    return found()


# ---- starting ------------------------------------------------------------------------------------


def test_a_round_is_started_and_stopped(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("runs")) as one:
        assert one.start(1)["n"] == 1
        (pid,) = one.pids()
        assert of_round(one) == {pid}
        assert os.getsid(pid) == pid
        assert one.stop(1)["n"] == 1
        assert is_dead(pid)


def test_workers_get_torchelastics_environment(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("environment"), workers=2) as one:
        one.start(3, workers=2, members=2)
        found = [json.loads(" ".join(line).split(":", 1)[1]) for line in one.lines(2)]
        found.sort(key=lambda environment: environment["RANK"])
        assert [e["RANK"] for e in found] == ["0", "1"]
        assert [e["LOCAL_RANK"] for e in found] == ["0", "1"]
        assert {e["WORLD_SIZE"] for e in found} == {"4"}
        assert {e["MASTER_PORT"] for e in found} == {"29503"}
        assert {e["TORCHELASTIC_RESTART_COUNT"] for e in found} == {"2"}
        assert {e["ELASTICJOB_ROUND"] for e in found} == {"3"}
        one.stop(3)


def test_the_number_of_workers_is_that_of_the_pods_spec(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("environment"), workers=2) as one:
        one.start(1, workers=5)
        found = [json.loads(" ".join(line).split(":", 1)[1]) for line in one.lines(2)]
        assert {e["LOCAL_WORLD_SIZE"] for e in found} == {"2"}
        assert len(of_round(one)) == 2
        one.stop(1)


def test_thirty_two_workers(tmp_path: Path) -> None:
    with supervised(tmp_path, "sleep", "1000", workers=32) as one:
        one.start(1, workers=32)
        assert len(of_round(one, count=32)) == 32
        one.stop(1)
        assert of_round(one) == set()


def test_a_stop_in_the_middle_of_a_start(tmp_path: Path) -> None:
    with supervised(tmp_path, "sleep", "1000", workers=200) as one:
        one.order_start(1, workers=200)
        one.order_stop(1)
        event = one.events.get(timeout=10)
        if event["event"] == "WorkersStarted":  # the start was faster
            event = one.events.get(timeout=10)
        assert event["event"] == "WorkersReaped"
        assert of_round(one) == set()


# ---- exits of workers --------------------------------------------------------------------------


def test_all_workers_succeed(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("ends", "0"), workers=3) as one:
        one.start(1, workers=3)
        exited = one.expect("WorkerExited")
        assert (exited["failure"], exited["fatal"]) == (None, False)


def test_one_success_is_not_the_end_of_the_round(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("first_ends", "0"), workers=2) as one:
        one.start(1, workers=2)
        (tmp_path / "go").write_text("go")
        one.lines(2)
        one.stop(1)


@pytest.mark.parametrize(
    ("way", "kind", "code", "number", "message"),
    [
        (("ends", "3"), "WorkerFailed", 3, None, "exit code 3"),
        (("ends", "126"), "WorkerFailed", 126, None, "exit code 126"),
        (("dies", "9"), "WorkerSignaled", None, 9, "ended by SIGKILL"),
        (("dies", "11"), "WorkerSignaled", None, 11, "ended by SIGSEGV"),
        (("dies", "15"), "WorkerSignaled", None, 15, "ended by SIGTERM"),
    ],
)
def test_a_failure_is_reported_with_its_cause(
    tmp_path: Path, way: tuple[str, ...], kind: str, code: int | None, number: int | None,
    message: str,
) -> None:  # fmt: skip
    with supervised(tmp_path, *stub(*way)) as one:
        one.start(2)
        exited = one.expect("WorkerExited")
        failure = exited["failure"]
        assert exited["fatal"] is False
        assert failure["kind"] == f"CauseKind.{_constant(kind)}"
        assert (failure["code"], failure["signal"]) == (code, number)
        assert failure["message"] == message
        assert (failure["pod"], failure["node"], failure["rank"]) == ("demo-0-0", "node", 0)
        assert failure["n"] == 2
        assert failure["after_ms"] >= 0


RAISES = "import sys; print(f'step {sys.argv}', file=sys.stderr); {}['step']"


@pytest.mark.parametrize("workers", [1, 2])
def test_without_an_error_file_the_message_is_the_end_of_stderr(
    tmp_path: Path, workers: int
) -> None:
    python = (sys.executable, "-I", "-S", "-c", RAISES)
    with supervised(tmp_path, *python, workers=workers) as one:
        one.order_start(1, workers=workers)
        message = one.expect_exit()["message"].split("\n")
        assert message[:2] == ["KeyError: 'step'", "the end of stderr:"]
        assert message[-2:] == ['  File "<string>", line 1, in <module>', "KeyError: 'step'"]
        one.stop(1)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no data >&2; exit 4", "no data"),
        ("sh -c 'kill -9 $$'; exit $?", "exit code 137: SIGKILL of a child, as shells report it"),
        ("sleep 1000 & echo no data >&2; exit 4", "no data"),  # the child keeps the pipe open
        ("printf 'a\\000\\033[1mb\\377' >&2; exit 4", "a\ufffdb\ufffd"),
        ("printf '\\r10%%\\r20%%' >&2; exit 4", "20%"),
    ],
)
def test_what_a_shell_wrote_last_is_the_message(tmp_path: Path, script: str, message: str) -> None:
    with supervised(tmp_path, "sh", "-c", script) as one:
        one.order_start(1)
        assert one.expect_exit()["message"].split("\n")[0] == message
        one.stop(1)


@pytest.mark.parametrize("file", ["memory.events", "memory/memory.oom_control"])
def test_a_process_that_the_kernel_killed_for_memory_is_named(tmp_path: Path, file: str) -> None:
    """Behind a shell its end is only an exit code. A kill of an earlier round explains nothing."""
    counter = tmp_path / "cgroup" / file
    counter.parent.mkdir(parents=True)
    counter.write_text("oom 9\noom_kill 1\n")
    kill = f"sh -c 'echo oom_kill 2 > {counter}; kill -9 $$'; exit $?"
    with supervised(tmp_path, "sh", "-c", kill) as one:
        for n, first in ((1, OUT_OF_MEMORY), (2, exit_text(137))):
            one.order_start(n)
            message = one.expect_exit()["message"].split("\n")
            assert message[0] == first
            assert exit_text(137) in message
            one.stop(n)


def test_the_stderr_of_an_earlier_round_is_not_reported(tmp_path: Path) -> None:
    script = '[ "$ELASTICJOB_ROUND" = 1 ] && echo old >&2; exit 4'
    with supervised(tmp_path, "sh", "-c", script) as one:
        for n, message in ((1, "old"), (2, "exit code 4")):
            one.order_start(n)
            assert one.expect_exit()["message"] == message
            one.stop(n)


def test_the_first_failure_is_reported_while_other_workers_run(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("first_ends", "7"), workers=3) as one:
        one.start(1, workers=3)
        (tmp_path / "go").write_text("go")
        assert one.expect("WorkerExited")["failure"]["code"] == 7
        one.lines(3)
        assert len(of_round(one)) == 2
        one.stop(1)
        assert of_round(one) == set()


def test_the_error_file_determines_the_first_failure(tmp_path: Path) -> None:
    """Rank 0 exits first, because it lost its peer; rank 1 has written its error file, and runs."""
    with supervised(tmp_path, *stub("reports"), workers=2) as one:
        one.start(1, workers=2)
        failure = one.expect_exit()
        assert (failure["rank"], failure["code"]) == (1, None)
        assert failure["message"].startswith("ValueError: loss is nan\n")
        one.stop(1)


def test_an_error_file_is_noticed_while_its_worker_runs(tmp_path: Path) -> None:
    """Its time is that of the file, which is older than the agent's look."""
    with supervised(tmp_path, *stub("reports_and_runs")) as one:
        one.start(1)
        noticed = one.expect("FailureNoticed")
        failure = noticed["failure"]
        assert (failure["rank"], failure["code"]) == (0, None)
        assert failure["message"].endswith("ValueError: loss is nan")
        (tmp_path / "go").write_text("go")
        exited = one.expect("WorkerExited")["failure"]
        assert (exited["code"], exited["after_ms"]) == (3, failure["after_ms"])
        one.stop(1)


def test_an_error_file_is_noticed_once(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("reports_and_runs")) as one:
        one.start(1)
        one.expect("FailureNoticed")
        one.stop(1)  # the next event is that its workers have ended


def test_an_exception_is_forgotten_if_its_worker_exits_with_0(tmp_path: Path) -> None:
    """While another worker runs."""
    with supervised(tmp_path, *stub("first_recovers"), workers=2) as one:
        one.start(1, workers=2)
        assert one.expect("FailureNoticed")["failure"]["rank"] == 0
        (tmp_path / "go").write_text("go")
        assert one.expect("FailureNoticed")["failure"] is None
        one.stop(1)


def test_what_sigterm_causes_is_not_noticed(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("reports_when_stopped")) as one:
        one.start(1)
        one.lines(1)
        assert "failure" not in one.stop(1, grace_s=5.0)
        assert (tmp_path / "error-0.json").exists()


def test_the_time_of_an_error_file_is_within_the_round(tmp_path: Path) -> None:
    """A worker can give its file any time."""
    for way in ("of_the_past", "of_the_future"):
        with supervised(tmp_path / way, *stub(way)) as one:
            one.start(1)
            failure = one.expect("FailureNoticed")["failure"]
            assert 0 <= failure["after_ms"] < 20_000
            one.stop(1)


def test_a_stale_error_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "error-0.json").write_text('{"message": "of an earlier round"}')
    with supervised(tmp_path, *stub("ends", "3")) as one:
        one.start(1)
        assert one.expect("WorkerExited")["failure"]["message"] == "exit code 3"


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("/no/such/program", 127, "cannot execute '/no/such/program': No such file or directory"),
        ("no-such-program", 127, "cannot execute 'no-such-program': No such file or directory"),
        ("/etc/passwd", 126, "cannot execute '/etc/passwd': Permission denied"),
        ("/", 126, "cannot execute '/': Permission denied"),
    ],
)
def test_a_command_that_cannot_be_executed_is_fatal_and_named(
    tmp_path: Path, command: str, code: int, message: str
) -> None:
    with supervised(tmp_path, command) as one:
        one.order_start(1)
        exited = one.expect("WorkerExited")
        assert exited["fatal"] is True
        assert exited["failure"]["kind"] == "CauseKind.START_FAILED"
        assert exited["failure"]["code"] == code
        assert exited["failure"]["message"].startswith(message)
        one.stop(1)


# ---- stops ---------------------------------------------------------------------------------------


def test_a_worker_that_ignores_sigterm_ends_with_the_grace(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("stubborn")) as one:
        one.start(1)
        (pid,) = one.pids()
        began = time.monotonic()
        one.stop(1, grace_s=0.4)
        took_s = time.monotonic() - began
        assert is_dead(pid)
        assert 0.4 <= took_s < 2


def test_a_second_stop_shortens_the_grace(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("stubborn")) as one:
        one.start(1)
        one.lines(1)
        began = time.monotonic()
        one.order_stop(1, grace_s=60)
        one.stop(1, grace_s=0.2)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("adopts", [True, False])
def test_a_family_in_other_sessions_ends_with_its_worker(tmp_path: Path, adopts: bool) -> None:
    """The orphan has no marker in its environment; without adoption the agent cannot find it."""
    with supervised(tmp_path, *stub("family"), adopts=adopts) as one:
        one.start(1)
        worker, plain, away, orphan = (int(word) for word in one.lines(1)[0][1:])
        one.stop(1, grace_s=0.3)
        assert all(map(is_dead, (worker, plain, away)))
        assert is_dead(orphan) == adopts
        if not adopts:
            os.kill(orphan, signal.SIGKILL)


def test_a_killed_workers_family_ends_before_the_next_round(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("family")) as one:
        one.start(1)
        pids = [int(word) for word in one.lines(1)[0][1:]]
        os.kill(pids[0], signal.SIGKILL)
        assert one.expect("WorkerExited")["failure"]["signal"] == 9
        one.stop(1, grace_s=0.2)
        assert all(map(is_dead, pids))
        assert of_round(one) == set()
        one.start(2)
        one.lines(2)
        assert len(of_round(one, 2, count=3)) == 3
        one.stop(2, grace_s=0.2)


def test_the_orphan_of_a_worker_that_succeeded_ends_with_the_stop(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("leaves_orphan")) as one:
        one.start(1)
        assert one.expect("WorkerExited")["failure"] is None
        orphan = int(one.lines(1)[0][2])
        assert not is_dead(orphan)
        one.stop(1, grace_s=0.1)
        assert is_dead(orphan)


def test_a_training_behind_a_shell_has_the_whole_grace(tmp_path: Path) -> None:
    """`sh` ends on SIGTERM at once; its child saves its state, and keeps the grace period."""
    save = f"sleep 0.3; echo saved > {tmp_path}/saved; exit"
    training = f"trap '{save}' TERM; echo runs; while :; do sleep 0.01; done"
    with supervised(tmp_path, "sh", "-c", f'sh -c "{training}"; echo never') as one:
        one.start(1)
        one.lines(1)
        one.stop(1, grace_s=10)
        assert (tmp_path / "saved").exists()


def test_a_stopped_worker_ends(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("runs")) as one:
        one.start(1)
        (pid,) = one.pids()
        os.kill(pid, signal.SIGSTOP)
        one.stop(1, grace_s=0.2)
        assert is_dead(pid)


def test_a_process_of_kubectl_exec_is_not_ended(tmp_path: Path) -> None:
    """The agent adopts it; its environment has the pod's UID and no round."""
    with supervised(tmp_path, *stub("has_guest")) as one:
        one.start(1)
        worker, other = (int(word) for word in one.lines(1)[0][1:])
        one.stop(1, grace_s=0.1)
        assert is_dead(worker)
        assert not is_dead(other)
        os.kill(other, signal.SIGKILL)


# ---- output --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_a_blocked_stdout_blocks_no_stop(tmp_path: Path, workers: int) -> None:
    """A pipe without a reader blocks the workers, but not the supervisor."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with supervised(tmp_path, *stub("floods"), workers=workers, stdout=fifo) as one:
        one.start(1, workers=workers)
        one.stop(1, grace_s=0.5)
        assert of_round(one) == set()
        one.start(2, workers=workers)
        one.stop(2, grace_s=0.5)
    os.close(reader)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_blocked_stderr_blocks_no_stop(tmp_path: Path, workers: int) -> None:
    """The agent's log and the workers wait for a reader; the supervisor does not."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with supervised(tmp_path, *stub("floods"), workers=workers, stderr=fifo) as one:
        one.start(1, workers=workers)
        one.stop(1, grace_s=0.5)
        assert of_round(one) == set()
        one.start(2, workers=workers)
        os.kill(min(of_round(one, 2, count=workers)), signal.SIGKILL)
        assert one.expect_exit()["message"].startswith("ended by SIGKILL")
        one.stop(2, grace_s=0.5)
    os.close(reader)


def test_a_single_workers_stderr_is_no_terminal_and_passes_as_it_is(tmp_path: Path) -> None:
    """A burst of binary data, larger than any pipe, up to the last byte before the exit."""
    program = (
        "import os, sys; assert not os.isatty(2)\n"
        "os.write(2, b'begin'); [os.write(2, bytes(range(256)) * 256) for _ in range(500)]\n"
        "os.write(2, b'end'); os._exit(0)"
    )
    with supervised(tmp_path, sys.executable, "-I", "-S", "-c", program) as one:
        one.start(1)
        assert one.expect("WorkerExited")["failure"] is None
        one.stop(1)
        expected = b"begin" + bytes(range(256)) * 256 * 500 + b"end"
        wait_until(lambda: one.stderr.stat().st_size >= len(expected), what="all bytes")
        assert one.stderr.read_bytes() == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_closes_its_streams_still_runs(tmp_path: Path, workers: int) -> None:
    with supervised(tmp_path, *stub("closes"), workers=workers) as one:
        one.start(1, workers=workers)
        one.lines(workers)
        assert len(of_round(one)) == workers
        one.stop(1)


def test_lines_of_several_workers_have_a_prefix(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("ends", "0"), workers=2) as one:
        one.start(1, workers=2)
        one.expect("WorkerExited")
        assert {line[0] for line in one.lines(2)} == {"[default0]:ends", "[default1]:ends"}


# ---- signals and the agent's own end -------------------------------------------------------------


def test_signals_are_forwarded_to_the_workers(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("counts")) as one:
        one.start(1)
        one.lines(1)
        one.order(do="forward", signal=signal.SIGUSR1)
        assert one.lines(2)[1] == ["got", str(int(signal.SIGUSR1))]
        one.order(do="forward", signal=signal.SIGUSR2)
        assert one.lines(3)[2] == ["got", str(int(signal.SIGUSR2))]
        one.stop(1, grace_s=5)
        assert one.lines(4)[3] == ["got", str(int(signal.SIGTERM))]
        assert len(one.stdout.read_text().splitlines()) == 4  # SIGTERM came once


def test_all_processes_end_with_the_agent(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("family")) as one:
        one.start(1)
        pids = [int(word) for word in one.lines(1)[0][1:]]
        one.order(do="exit")
        one.process.wait(10)
        assert all(map(is_dead, pids))


def _constant(kind: str) -> str:
    return {"WorkerFailed": "WORKER_FAILED", "WorkerSignaled": "WORKER_SIGNALED"}[kind]
