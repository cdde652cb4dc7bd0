"""The whole agent as a pod runs it: one zip, an interpreter without site-packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.one_pod import OnePod, one_pod
from tests.support.protocol import active
from tests.support.supervised import stub
from tests.support.survivors import alive, children, is_dead

from elasticjob.agent.api.conversation import SetupError
from elasticjob.agent.main import prepare_directory, random_fraction
from elasticjob.controller.act import launcher
from elasticjob.controller.act.bundle import build
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Phase, Round

process = pytest.mark.process


def running(pod: OnePod, n: int = 1, **fields: object) -> int:
    """Return the pid of the worker of round n, once it runs."""
    pod.until(lambda: pod.job.state)
    pod.job.set_round(active(n, **fields))
    pod.log(f"workers started  n={n}")
    (pid,) = pod.until(lambda: alive(ELASTICJOB_POD_UID=pod.uid, ELASTICJOB_ROUND=str(n)))
    return int(pid)


@process
def test_it_joins_runs_a_round_and_reports_it(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("runs")) as pod:
        running(pod)
        pod.until(lambda: pod.job.state.get("state") == "running")
        state = pod.job.state
        assert (state["n"], state["node"], state["podUid"]) == (1, "node", pod.uid)
        assert state["startMs"] >= 0


@process
def test_a_killed_worker_is_one_write_and_a_new_worker(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("runs")) as pod:
        pid = running(pod)
        os.kill(pid, signal.SIGKILL)
        pod.log("workers started  n=2")
        round_ = pod.job.round.round
        assert (round_.n, round_.phase, round_.charged.numbers) == (2, Phase.ACTIVE, {2})
        assert round_.cause is not None
        assert (round_.cause.kind, round_.cause.signal) == (CauseKind.WORKER_SIGNALED, 9)
        assert is_dead(pid)


@process
def test_on_sigterm_it_leaves_stops_and_exits_with_143(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("counts")) as pod:
        pid = running(pod)
        pod.log("counts")
        pod.process.send_signal(signal.SIGTERM)
        pod.until(lambda: pod.job.state.get("leaving"))
        assert not is_dead(pid)  # the workers stay until the round without it
        pod.job.set_round(Round(2, Phase.FORMING))
        assert pod.wait() == 143
        assert "got 15" in pod.log("agent is leaving")
        assert is_dead(pid)
        assert pod.termination_message == {
            "cause": "Leaving",
            "code": 143,
            "message": "received a termination signal",
        }


@process
def test_a_command_that_does_not_exist_fails_the_job_and_is_named(tmp_path: Path) -> None:
    with one_pod(tmp_path, "python4", "train.py") as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1))
        assert pod.wait() == 127
        round_ = pod.job.round.round
        assert round_.phase is Phase.FAILED
        assert "cannot execute 'python4': No such file" in pod.termination_message["message"]
        assert (pod.termination_message["cause"], pod.termination_message["code"]) == (
            "StartFailed",
            127,
        )


@process
def test_the_job_succeeds(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("ends", "0")) as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1))
        pod.until(lambda: pod.job.state.get("state") == "done")
        pod.job.set_round(Round(2, Phase.SUCCEEDED))
        assert pod.wait() == 0
        assert not (tmp_path / "termination-message").exists()


@process
@pytest.mark.parametrize("workers", [1, 2])
def test_what_workers_wrote_last_is_in_the_log_when_the_agent_has_exited(
    tmp_path: Path, workers: int
) -> None:
    """The container ends with the agent, and what is in its pipes then is lost."""
    lines = [f"line {number} {'x' * 80}" for number in range(700)]
    program = f"import os; os.write(2, {''.join(f'{line}{chr(10)}' for line in lines)!r}.encode())"
    command = (sys.executable, "-I", "-S", "-c", program)
    with one_pod(tmp_path, *command, workers=workers) as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1, workers=workers))
        pod.until(lambda: pod.job.state.get("state") == "done")
        pod.job.set_round(Round(2, Phase.SUCCEEDED))
        assert pod.wait() == 0
        text = (tmp_path / "log").read_text()
        for rank in range(workers):
            prefix = f"[default{rank}]:" if workers > 1 else ""
            assert [each for each in text.splitlines() if each.startswith(f"{prefix}line ")] == [
                f"{prefix}{line}" for line in lines
            ]


@process
def test_processes_of_an_earlier_agent_are_ended_first(tmp_path: Path) -> None:
    """The kubelet may start a second container in the same pod, with the same directory."""
    uid = f"pod-{os.getpid()}-{tmp_path.name}"
    marks = {"ELASTICJOB_POD_UID": uid, "ELASTICJOB_ROUND": "4"}
    left = subprocess.Popen(["sleep", "1000"], env=marks, start_new_session=True)
    with one_pod(tmp_path, *stub("runs")) as pod:
        pod.log("agent joined")
        assert left.wait(5) == -signal.SIGKILL


# ---- as PID 1 ------------------------------------------------------------------------------------

PID_1 = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def may_unshare() -> bool:
    try:
        return (
            subprocess.run([*PID_1, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
        )
    except OSError:
        return False


as_pid_1 = pytest.mark.skipif(
    not may_unshare(), reason="no right to make PID namespaces: run as root"
)


def agent_of(pod: OnePod) -> int:
    """Return the agent's pid in the namespace of this test."""
    (pid,) = pod.until(
        lambda: {
            pid
            for pid in alive(ELASTICJOB_POD_UID=pod.uid) - {pod.process.pid}
            if b"agent.pyz" in Path(f"/proc/{pid}/cmdline").read_bytes()
        }
    )
    return int(pid)


@process
@as_pid_1
def test_pid_1_handles_sigterm_and_reaps_orphans(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("family"), under=PID_1) as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1))
        pod.log("family")
        agent = agent_of(pod)
        pod.job.set_round(Round(2, Phase.FORMING))
        pod.log("all worker processes have ended  n=1")
        assert children(agent) == set()
        assert alive(ELASTICJOB_POD_UID=pod.uid) == {agent, pod.process.pid}
        os.kill(agent, signal.SIGTERM)
        pod.until(lambda: pod.job.state.get("leaving"))
        assert pod.wait() == 143


@process
def test_an_agent_reads_its_lease_after_a_conflict_and_leaves(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("family")) as pod:
        pod.log("agent joined")
        pod.job.rewrite_lease()
        pod.process.terminate()
        pod.until(lambda: pod.job.state.get("leaving"))
        assert pod.wait() == 143


@process
@as_pid_1
def test_all_processes_end_with_pid_1(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("family"), under=PID_1) as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1))
        pod.log("family")
        os.kill(agent_of(pod), signal.SIGKILL)
        pod.wait()
        pod.until(lambda: not alive(ELASTICJOB_POD_UID=pod.uid))


@process
def test_a_pod_of_another_origin_is_refused_with_every_fault(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("runs"), ELASTICJOB_INDEX="x", ELASTICJOB_NPROC="0") as pod:
        assert pod.wait() == 75
        assert "ELASTICJOB_INDEX is 'x'" in pod.termination_message["message"]
        assert "ELASTICJOB_NPROC is '0'" in pod.termination_message["message"]
        assert pod.termination_message["cause"] == "SetupFailed"


@process
def test_it_uses_little_memory(tmp_path: Path) -> None:
    with one_pod(tmp_path, *stub("runs")) as pod:
        running(pod)
        status = Path(f"/proc/{pod.process.pid}/status").read_text()
        rss_kb = int(status.split("VmRSS:")[1].split()[0])
        assert rss_kb <= 30 * 1024


@process
def test_it_imports_no_costly_modules(tmp_path: Path) -> None:
    """Each of these costs milliseconds of every pod's start, or memory."""
    zipped = tmp_path / "agent.pyz"
    zipped.write_bytes(build().data)
    program = "import sys; sys.path[:0] = sys.argv[1:]; import elasticjob.agent.main"
    command = [sys.executable, "-I", "-S", "-c", f"{program}; print(*sys.modules)", str(zipped)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    unwanted = {
        "asyncio", "ctypes", "dataclasses", "email", "http", "inspect", "logging", "random",
        "shutil", "traceback", "urllib",
    }  # fmt: skip
    assert unwanted.isdisjoint(done.stdout.split())


# ---- the directory -------------------------------------------------------------------------------


def test_the_files_of_its_workers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "work"
    directory.mkdir()
    kept = ["progress-2.json", "of-the-user"]
    for name in ["error-0.json", "progress-1.json", *kept]:
        (directory / name).write_text("{}")
    prepare_directory(str(directory), 2)
    assert sorted(os.listdir(directory)) == sorted(kept)


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    expected = "the workers' files in it cannot be replaced: mount a writable volume there"
    with pytest.raises(SetupError, match=f"ELASTICJOB_DIR .*/link: {expected}"):
        prepare_directory(str(tmp_path / "link"), 1)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError, match=r"ELASTICJOB_DIR .*/file/work: Not a directory"):
        prepare_directory(str(tmp_path / "file" / "work"), 1)


def test_random_fractions() -> None:
    found = {random_fraction() for _ in range(100)}
    assert all(0 <= value < 1 for value in found)
    assert len(found) > 90


# ---- any interpreter -----------------------------------------------------------------------------


def old_pythons() -> list[str]:
    """Return the interpreters of this machine that are too old for the agent."""
    versions = Path.home() / ".pyenv" / "versions"
    found = sorted(versions.glob("3.[0-8].*/bin/python")) if versions.exists() else []
    return [str(path) for path in found]


NONE_IS_OLD = pytest.mark.skip(reason="no Python before 3.9: pyenv install 3.8")


@process
@pytest.mark.parametrize("python", old_pythons() or [pytest.param("", marks=NONE_IS_OLD)])
def test_an_old_python_is_refused_with_the_cure(tmp_path: Path, python: str) -> None:
    bundle = build()
    (tmp_path / "agent.pyz").write_bytes(bundle.data)
    path = tmp_path / "termination-message"
    done = subprocess.run(
        [python, *launcher.command(str(tmp_path / "agent.pyz"), bundle.hash)[1:], "true"],
        env={"ELASTICJOB_TERMINATION_LOG": str(path)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 75
    assert b"needs 3.9 or later" in done.stderr
    assert json.loads(path.read_text())["cause"] == "SetupFailed"
