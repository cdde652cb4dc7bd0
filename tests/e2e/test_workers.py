"""A worker that dies costs one round and one charge, and no pod."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.survivors import is_dead, kill_together

from elasticjob.agent.workers.failure_message import exit_text
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e

# Rank 1 fails like a script under torch's @record; rank 0 waits for it forever.
RECORDED = """
import json, os, sys, time
if os.environ["RANK"] == "0": time.sleep(1000)
stack = 'Traceback (most recent call last):\\n  File "t.py", line 7, in f\\nValueError: loss is nan'
with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
    json.dump({"message": {"message": "loss is nan", "extraInfo": {"py_callstack": stack}}}, file)
sys.exit(3)
"""
# Rank 0 raises an exception first and needs a second to end. Rank 1 loses its connection and exits
# first. From the third round on, both run.
CULPRIT_EXITS_LAST = """
import json, os, sys, time
rank, round_ = int(os.environ["RANK"]), int(os.environ["ELASTICJOB_ROUND"])
def report(text):
    with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
        json.dump({"message": {"message": text, "extraInfo": {"py_callstack": text}}}, file)
def wait_for(name):
    while not os.path.exists(name): time.sleep(0.005)
name = f"{sys.argv[1]}-failed-{round_}"
if round_ > int(sys.argv[2]): time.sleep(1000)
if rank == 0:
    report("RuntimeError: device-side assert")
    open(name, "w").close()
    time.sleep(1)
else:
    wait_for(name)
    time.sleep(0.5)
    report("RuntimeError: Connection closed by peer")
sys.exit(1)
"""
# Rank 0 reports an exception in round 1 and does not exit.
NO_EXIT = """
import json, os, sys, time
if os.environ["RANK"] == "0" and os.environ["ELASTICJOB_ROUND"] == "1":
    text = "RuntimeError: stuck"
    with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
        json.dump({"message": {"message": text, "extraInfo": {"py_callstack": text}}}, file)
time.sleep(1000)
"""
# Reports progress, and fails when the file for its round is there.
TRAINS = """
import os, sys, time
with open(os.environ["ELASTICJOB_PROGRESS_FILE"], "w") as file:
    file.write('{"step": 1}')
while not os.path.exists(f"{sys.argv[1]}-{os.environ['ELASTICJOB_ROUND']}"): time.sleep(0.01)
sys.exit(1)
"""
# Rank 1 fails once rank 0 has reported progress in this round.
TRAINS_AND_FAILS = """
import os, pathlib, sys, time
mark = pathlib.Path(sys.argv[1], os.environ["ELASTICJOB_ROUND"])
if os.environ["RANK"] == "0":
    pathlib.Path(os.environ["ELASTICJOB_PROGRESS_FILE"]).write_text('{"step": 1}')
    mark.touch()
    time.sleep(1000)
while not mark.exists(): time.sleep(0.01)
sys.exit(1)
"""
PLAIN = '[ "$RANK" = 0 ] && exec sleep 1000; exit 5'
SPEAKS = '[ "$RANK" = 0 ] && exec sleep 1000; echo epoch 1 >&2; echo no data >&2; exit 5'
RAISES = """
import os, time
if os.environ["RANK"] == "0": time.sleep(1000)
{}["step"]
"""


async def test_a_killed_worker_costs_one_round_and_no_pod(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=3)
    pods, workers = job.pods, job.workers(1)
    os.kill(workers[2].pid, signal.SIGKILL)
    await job.runs(2, pods=3)
    assert job.pods == pods
    assert [each.rank for each in job.workers(2)] == [0, 1, 2]
    assert all(is_dead(each.pid) for each in workers)
    assert (job.status["restarts"], job.status["counted"]) == (1, 1)
    assert job.failure == {
        "pod": "job-2-0",
        "node": "local",
        "rank": 2,
        "signal": 9,
        "reason": "WorkerSignaled",
        "message": "ended by SIGKILL",
        "logCommand": f"kubectl logs -n {cluster.namespace} job-2-0 -c worker",
        "round": 1,
    }
    assert job.status["lastRecovery"]["round"] == 2
    await job.reports("WorkersFailed", "ended: job-2-0 (rank 2) on local: WorkerSignaled: ended by")
    counted = (
        "counted: 1 of maxRestarts 10 and, as no progress was known yet, 1 of maxStartRestarts 2"
    )
    await job.reports("WorkersFailed", f"{counted}; round 2 runs with 3 members")


async def test_all_workers_of_all_pods_killed_at_once_are_one_failure(
    cluster: LocalCluster,
) -> None:
    job = cluster.apply("job", replicas=2, nprocPerNode=2)
    await job.runs(1, pods=2, workers=4)
    assert [each.rank for each in job.workers(1)] == [0, 1, 2, 3]
    kill_together([each.pid for each in job.workers(1)])
    await job.runs(2, pods=2, workers=4)
    assert job.status["counted"] == 1


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["python3", "-S", "-c", RECORDED], 3, "ValueError: loss is nan; exit code 3"),
        (["python3", "-S", "-c", RAISES], 1, "KeyError: 'step'; exit code 1"),
        (["bash", "-c", SPEAKS], 5, "no data; exit code 5"),
        (["bash", "-c", PLAIN], 5, "exit code 5"),
        (["bash", "-c", f"({PLAIN}); exit 137"], 137, f"{exit_text(137)}"),
    ],
    ids=["torch's error file", "traceback", "stderr", "exit code", "child of a shell"],
)
async def test_the_worker_that_spent_the_budget_is_named(
    cluster: LocalCluster, command: list[str], code: int, message: str
) -> None:
    job = cluster.apply("job", command, replicas=2, maxRestarts=1)
    await job.is_("Failed: ")
    assert "rank 1" in job.phase
    assert [r.phase for r in job.rounds if r.n] == [Phase.ACTIVE, Phase.ACTIVE, Phase.FAILED]
    assert job.status["counted"] == 2  # the failure that ended the job, too
    failed = job.condition("Failed")
    assert (failed["status"], failed["reason"]) == ("True", "MaxRestartsExceeded")
    look_at = f"kubectl logs -n {cluster.namespace} job-1-0 -c worker"
    assert failed["message"] == (
        f"job-1-0 (rank 1): WorkerFailed: {message}; exceeded maxRestarts (1); {look_at};"
        " the job does not run again: to repeat it, delete it and create it again"
    )
    assert job.status["round"] == 2  # the last that ran
    assert (job.failure["pod"], job.failure["exitCode"], job.failure["round"]) == (
        "job-1-0",
        code,
        2,
    )
    await job.until(lambda: job.ended("1-0"), "the end of the blamed pod")
    assert job.ended("1-0")["exitCode"] == code
    ended = json.loads(job.ended("1-0")["message"])
    assert (ended["cause"], ended["code"], ended["rank"]) == ("WorkerFailed", code, 1)


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ("exit 75", "WorkerFailed"),
        ("exit 143", "WorkerFailed"),
        ("exit 126", "WorkerFailed"),
        ("kill -TERM $BASHPID; sleep 1000", "WorkerSignaled"),
        ("kill -KILL $BASHPID", "WorkerSignaled"),
    ],
)
async def test_an_exit_of_a_worker_is_never_one_of_the_agent(
    cluster: LocalCluster, end: str, cause: str
) -> None:
    """An agent that cannot work exits with 75, and one that leaves with 143."""
    job = cluster.apply("job", ["bash", "-c", end], replicas=1, maxRestarts=0)
    await job.is_("Failed: ")
    assert f": {cause}: " in job.condition("Failed")["message"]
    await job.until(lambda: job.ended("0-0"), "the end of its pod")
    ended = json.loads(job.ended("0-0")["message"])
    assert (ended["cause"], ended["rank"]) == (cause, 0)
    assert ended["message"].startswith("the job failed: ")
    assert job.failure["reason"] == cause


@pytest.mark.parametrize(
    ("options", "phase"),
    [("", "Complete"), ("set -o pipefail; ", "Failed: job-0-0 (rank 0): no data")],
)
async def test_a_failure_in_a_pipe_needs_pipefail(
    cluster: LocalCluster, options: str, phase: str
) -> None:
    """The exit code of a pipe is that of its last command."""
    pipe = f"{options}(echo no data >&2; exit 3) | tee /dev/null"
    job = cluster.apply("job", ["bash", "-c", pipe], replicas=1, maxRestarts=0)
    await job.is_(phase)
    assert (job.failure.get("message") == "no data") == bool(options)


async def test_without_a_budget_the_first_failure_fails_the_job(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2, maxRestarts=0)
    os.kill(job.workers(1)[0].pid, signal.SIGSEGV)
    await job.is_("Failed: job-0-0 (rank 0): ended by SIGSEGV")
    assert (
        "job-0-0 (rank 0): WorkerSignaled: ended by SIGSEGV" in job.condition("Failed")["message"]
    )
    await job.until(lambda: job.ended("0-0"), "the end of the blamed pod")
    assert job.ended("0-0")["exitCode"] == 128 + signal.SIGSEGV
    assert job.status["counted"] == 1


async def test_the_first_failure_is_the_cause_though_its_worker_exits_last(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """The job keeps the pod in which it happened, and not the pod of a victim."""
    for restarts in (0, 1):
        name = f"job{restarts}"
        command = [sys.executable, "-c", CULPRIT_EXITS_LAST, str(tmp_path / name), "9"]
        spec = {"replicas": 2, "maxRestarts": restarts, "cleanPodPolicy": "KeepFailed"}
        job = cluster.apply(name, command, **spec)
        await job.is_(f"Failed: {name}-0-0 (rank 0): RuntimeError: device-side assert")
        found = job.failure["pod"], job.failure["rank"], job.failure["message"]
        assert found == (f"{name}-0-0", 0, "RuntimeError: device-side assert")
        assert f"{name}-0-0 (rank 0)" in job.condition("Failed")["message"]
        await job.until(lambda job=job: len(job.pods) == 1, "the deletion of the other pod")
        assert set(job.pods) == {f"{name}-0-0"}


async def test_three_first_failures_replace_the_pod_in_which_they_happened(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", CULPRIT_EXITS_LAST, str(tmp_path / "culprit"), "3"]
    job = cluster.apply("job", command, replicas=2, maxStartRestarts=3)
    await job.until(lambda: "job-0-1" in job.pods, "the successor of the culprit")
    assert "job-1-0" in job.pods
    await job.until(lambda: job.failure["pod"] == "job-0-0", "the first failure in the status")
    assert "blamed" not in job.status


async def test_a_worker_that_reports_an_exception_and_does_not_exit_counts_as_failed(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", NO_EXIT, str(tmp_path / "reported")]
    job = cluster.apply("job", command, replicas=2, crashGraceSeconds=1)
    await job.until(lambda: job.status.get("restarts") == 1, "the restart")
    assert job.failure["pod"] == "job-0-0"
    assert job.failure["message"] == "RuntimeError: stuck"
    assert "exitCode" not in job.failure


async def test_a_misspelt_script_fails_the_job_fast(cluster: LocalCluster) -> None:
    """After two restarts, though maxRestarts allows ten."""
    job = cluster.apply("job", [sys.executable, "trian.py"], replicas=2)
    await job.is_("Failed: ")
    assert "can't open file" in job.phase
    assert "trian.py" in job.phase
    assert job.status["counted"] == 3
    assert job.condition("Failed")["reason"] == "MaxStartRestartsExceeded"
    message = job.condition("Failed")["message"]
    assert "trian.py': [Errno 2] No such file or directory; exit code 2; " in message
    assert (
        "; the workers failed 3 times; no progress was reported, and no round ran for a minute"
        " (maxStartRestarts is 2); kubectl"
    ) in message


async def test_a_job_that_reports_progress_has_its_whole_budget(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    job = cluster.apply("job", [sys.executable, "-c", TRAINS, str(tmp_path / "go")], replicas=1)
    await job.until(lambda: job.status.get("progress"), "the progress")
    for n in (1, 2, 3):
        touch(f"{tmp_path / 'go'}-{n}")
        await job.until(lambda n=n: job.status.get("restarts", 0) >= n, "the restart")


async def test_a_job_that_fails_soon_after_its_first_progress_has_its_whole_budget(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Only the agent of rank 0 knows of the progress when rank 1 fails: no renewal is due yet."""
    command = [sys.executable, "-c", TRAINS_AND_FAILS, str(tmp_path)]
    job = cluster.apply("job", command, replicas=2, maxRestarts=4)
    await job.is_("Failed: job-")
    assert job.condition("Failed")["reason"] == "MaxRestartsExceeded"
    assert job.status["counted"] == 5


def touch(path: str) -> None:
    Path(path).touch()
