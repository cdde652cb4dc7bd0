"""Real process trees: each is ended completely."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev.wait import wait_until_async

from elasticjob.local.node.log_parts import PART_BYTES, PARTS
from elasticjob.local.node.logs import read_tail
from elasticjob.local.node.process_table import pids_with_env, read_parents
from elasticjob.local.node.processes import (
    MARKER,
    Exit,
    Process,
    Processes,
    ProcessSpec,
    StartError,
    sweep,
)

pytestmark = pytest.mark.process

ESCAPE = "setsid env -i sleep 1000 & setsid env -i sh -c 'trap : TERM; sleep 1000' & "
"""Two processes in other sessions without environment; the second also ignores SIGTERM."""


@pytest.fixture
def processes(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.close()
    runner.run(sweep(f"{tmp_path}/"))


def order(root: Path, script: str, **env: str) -> ProcessSpec:
    given = {"PATH": os.environ["PATH"], MARKER: f"{root}/uid", **env}
    return ProcessSpec(["sh", "-c", script], given, str(root), str(root / "log"))


def log_of(root: Path) -> str:
    return (root / "log").read_text()


async def logged(root: Path, text: str) -> None:
    await wait_until_async(lambda: (root / "log").exists() and text in log_of(root))


def sleepers(process: Process) -> int:
    return len(process.pids())


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
    ],
)
async def test_exit_codes(processes: Processes, tmp_path: Path, script: str, code: int) -> None:
    process = await processes.start(order(tmp_path, script))
    assert await process.wait() == Exit(code)


@pytest.mark.parametrize(
    ("argv", "cwd", "error"),
    [
        (["no-such-program"], ".", 'exec "no-such-program": No such file or directory'),
        (["/"], ".", 'exec "/": Permission denied'),
        (["sh"], "nowhere", "workingDir .*nowhere.*: No such file or directory"),
    ],
)
async def test_a_start_error_names_the_step_and_the_reason(
    processes: Processes, tmp_path: Path, argv: list[str], cwd: str, error: str
) -> None:
    env = {"PATH": os.environ["PATH"], MARKER: f"{tmp_path}/uid"}
    wanted = ProcessSpec(argv, env, str(tmp_path / cwd), str(tmp_path / "log"))
    with pytest.raises(StartError, match=error):
        await processes.start(wanted)


async def test_a_process_gets_its_environment_and_nothing_else(
    processes: Processes, tmp_path: Path
) -> None:
    wanted = ProcessSpec(
        ["/usr/bin/env"], {MARKER: f"{tmp_path}/u", "A": "ü"}, "/", f"{tmp_path}/log"
    )
    await (await processes.start(wanted)).wait()
    assert sorted(log_of(tmp_path).splitlines()) == ["A=ü", f"{MARKER}={tmp_path}/u"]


async def test_no_signal_is_ignored_or_blocked_at_the_start(
    processes: Processes, tmp_path: Path
) -> None:
    show = order(tmp_path, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status")
    await (await processes.start(show)).wait()
    # Signals 32 and 33 belong to the C library: only it can set them, and make leaves them ignored.
    masks = [int(line.split()[1], 16) & ~(0b11 << 31) for line in log_of(tmp_path).splitlines()]
    assert masks == [0, 0]


async def test_a_signal_goes_to_the_main_process_only(processes: Processes, tmp_path: Path) -> None:
    script = "trap 'echo told; exit 3' TERM; sleep 1000 & echo up; wait"
    process = await processes.start(order(tmp_path, script))
    await logged(tmp_path, "up")
    process.signal(signal.SIGTERM)
    assert await process.wait() == Exit(3)
    assert "told" in log_of(tmp_path)


async def test_remaining_processes_are_killed_after_the_main_process(
    processes: Processes, tmp_path: Path
) -> None:
    process = await processes.start(order(tmp_path, ESCAPE + "sleep 0.1; exit 6"))
    assert await process.wait() == Exit(6)
    assert sleepers(process) == 0
    assert pids_with_env(MARKER, f"{tmp_path}/uid") == set()


async def test_orphans_in_other_sessions_are_killed(processes: Processes, tmp_path: Path) -> None:
    process = await processes.start(order(tmp_path, f"({ESCAPE}); echo up; sleep 1000"))
    await wait_until_async(lambda: sleepers(process) >= 4)
    family = process.pids()
    process.kill_all()
    assert await process.wait() == Exit(137)
    assert len(family) >= 4
    assert family & set(read_parents()) == set()


async def test_a_process_that_keeps_forking_is_killed(processes: Processes, tmp_path: Path) -> None:
    script = "f() { sleep 0.02; (f &) ; }; f; f; f; echo up; sleep 1000"
    process = await processes.start(order(tmp_path, script))
    await logged(tmp_path, "up")
    process.kill_all()
    await process.wait()
    assert sleepers(process) == 0


async def test_a_process_tree_is_frozen_and_thawed(processes: Processes, tmp_path: Path) -> None:
    loop = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"
    process = await processes.start(order(tmp_path, f"({loop}) & sleep 1000"))
    await logged(tmp_path, "3")
    process.freeze()
    before = (tmp_path / "log").stat().st_size
    await asyncio.sleep(0.1)
    assert (tmp_path / "log").stat().st_size == before
    process.thaw()
    await wait_until_async(lambda: (tmp_path / "log").stat().st_size > before)
    process.freeze()
    process.kill_all()
    assert await process.wait() == Exit(137)


async def test_a_container_is_killed_after_its_init(processes: Processes, tmp_path: Path) -> None:
    script = "(setsid sleep 1000 &); echo up; sleep 1000"
    process = await processes.start(order(tmp_path, script))
    await wait_until_async(lambda: sleepers(process) >= 3)
    os.kill(process.init_pid, signal.SIGKILL)
    assert await process.wait() == Exit(137, known=False)
    assert pids_with_env(MARKER, f"{tmp_path}/uid") == set()


async def test_a_killed_fork_server_is_replaced(processes: Processes, tmp_path: Path) -> None:
    first = await processes.start(order(tmp_path, "sleep 0.2; exit 4"))
    assert processes._fork_server is not None
    processes._fork_server.kill()
    processes._fork_server.wait()
    second = await processes.start(order(tmp_path, "exit 5"))
    assert [await first.wait(), await second.wait()] == [Exit(4), Exit(5)]


SERVER = """
import asyncio, sys
from pathlib import Path
from elasticjob.local.node.processes import MARKER, ProcessSpec, Processes

async def main(root, script):
    env = {"PATH": "/usr/bin:/bin", MARKER: f"{root}/uid"}
    await Processes(Path(root)).start(ProcessSpec(["sh", "-c", script], env, root, f"{root}/log"))
    print("started", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main(*sys.argv[1:]))
"""


def command_lines() -> list[bytes]:
    """The command lines of all processes of this machine."""
    found = []
    for pid in read_parents():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def test_all_processes_are_killed_after_the_server(tmp_path: Path) -> None:
    """Including those in other sessions without environment."""
    seconds = f"1000.{os.getpid()}"  # no other process sleeps for this long
    script = f"({ESCAPE}); echo up; sleep 1000".replace("1000", seconds)
    command = [sys.executable, "-c", SERVER, str(tmp_path), script]
    source = str(Path(__file__).parents[3] / "operator" / "src")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": source}
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"started\n"
        asyncio.run(logged(tmp_path, "up"))
        family = set(pids_with_env(MARKER, f"{tmp_path}/"))
        server.kill()
    assert len(family) >= 3  # fork server, init, main process
    asyncio.run(wait_until_async(lambda: not pids_with_env(MARKER, f"{tmp_path}/")))
    assert not [each for each in command_lines() if f"sleep\0{seconds}".encode() in each]


def test_a_sweep_kills_marked_processes_and_their_descendants(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], MARKER: f"{tmp_path}/earlier"}
    script = "env -i sleep 1000 & echo up; sleep 1000"
    with subprocess.Popen(["sh", "-c", script], env=env, stdout=subprocess.PIPE) as left_over:
        assert left_over.stdout is not None
        assert left_over.stdout.readline() == b"up\n"
        assert asyncio.run(sweep(f"{tmp_path}/other")) == 0
        assert asyncio.run(sweep(f"{tmp_path}/")) >= 2
        left_over.wait()
    assert pids_with_env(MARKER, f"{tmp_path}/") == set()


async def test_a_log_has_a_limit(tmp_path: Path, processes: Processes) -> None:
    """A worker that prints without end does not fill the disk."""
    process = await processes.start(order(tmp_path, "yes 0123456789 | head -n 8000000; echo last"))
    assert await process.wait() == Exit(0)
    sizes = [os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path)]  # noqa: ASYNC240
    assert len(sizes) == PARTS
    assert max(sizes) < PART_BYTES + 65536
    assert read_tail(tmp_path / "log", 2, 100) == b"0123456789\nlast\n"
