"""Real torch on the local mode: a model resumes from its checkpoint, and rank 0 is lost."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from pathlib import Path

import pytest
import yaml
from tests.support.jobs import worker
from tests.support.local_cluster import ALL_LINES, LocalCluster
from tests.support.survivors import alive

from elasticjob.api.launchers import GROUP_FLAGS

PYTHON = os.environ.get("TORCH_PYTHON", "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON, reason="TORCH_PYTHON names no Python with torch: make test"),
]

CHARLM = Path(__file__).parents[2] / "examples" / "charlm.yaml"
STEPS = 150
# Registers after the first all_reduce of its round, and ends when all ranks have seen `go`.
REDUCES = """
import os, sys, time
import torch, torch.distributed as dist
register, go = sys.argv[1:]
dist.init_process_group("gloo")
world = dist.get_world_size()
step = torch.ones(1)
dist.all_reduce(step)
assert step.item() == world == int(os.environ["WORLD_SIZE"])
words = os.environ["ELASTICJOB_ROUND"], dist.get_rank(), os.getpid(), time.monotonic()
with open(register, "a") as file:
    file.write(" ".join(map(str, words)) + "\\n")
seen = torch.zeros(1)
while seen.item() < world:
    seen.fill_(os.path.exists(go))
    dist.all_reduce(seen)
    time.sleep(0.01)
dist.destroy_process_group()
"""
# In rank 1 an exception that was raised from another one, with or without torch's @record.
RAISES = """
import os, sys, time
import torch, torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record

def load(path):
    try:
        return open(path)
    except OSError as error:
        raise RuntimeError(f"no shard:\\n  größe of {path}") from error

def main():
    dist.init_process_group("gloo")
    dist.barrier()
    if dist.get_rank() == 0:
        time.sleep(1000)
    load("/none/shard-7")

record(main)() if sys.argv[1:] == ["record"] else main()
"""
# In round 1 the last rank sleeps where a timer has set it a limit of a second, and the others wait
# for it in a collective operation without a timer.
SLEEPS = """
import os, sys, time
import torch, torch.distributed as dist
import torch.distributed.elastic.timer as timer

timer.configure(timer.FileTimerClient(os.environ["TORCHELASTIC_TIMER_FILE"]))
dist.init_process_group("gloo")
rank = dist.get_rank()
for step in range(100):
    with timer.expires(after=60, scope=f"step {step}"):
        dist.all_reduce(torch.ones(1))
print(f"rank {rank} in {os.getpid()} has passed", flush=True)
if os.environ["ELASTICJOB_ROUND"] == "1" and rank == dist.get_world_size() - 1:
    with timer.expires(after=1, scope="load a batch"):
        time.sleep(1000)
dist.barrier()
dist.destroy_process_group()
"""
# For torchrun: prints rank, pod and local rank of each worker; in round 1 the last rank fails.
MEETS = """
import os
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record

@record
def main():
    dist.init_process_group("gloo")
    group = [None] * dist.get_world_size()
    own = dist.get_rank(), int(os.environ["LOCAL_RANK"]), os.environ["HOSTNAME"]
    dist.all_gather_object(group, own)
    text = " ".join(f"{rank}={pod}/{local}" for rank, local, pod in group)
    print(f"the group: {text}\\n", end="", flush=True)  # one write: two workers share the pipe
    if dist.get_rank() == 3 and os.environ["ELASTICJOB_ROUND"] == "1":
        raise RuntimeError("rank 3 fails")
    dist.barrier()
    dist.destroy_process_group()

main()
"""
PAGE = (Path(__file__).parents[2] / "docs" / "workers.md").read_text()
FLAGS = re.MULTILINE | re.DOTALL
TIMERS = {"TORCHELASTIC_ENABLE_FILE_TIMER": "1"}
GROUP = "the group: 0=job-0-0/0 1=job-0-0/1 2=job-1-0/0 3=job-1-0/1\n"


@pytest.fixture(scope="module")
def python() -> Path:
    return Path(PYTHON)


async def test_a_model_continues_from_its_checkpoint(cluster: LocalCluster) -> None:
    body = yaml.safe_load(CHARLM.read_text())
    (container,) = body["spec"]["template"]["spec"]["containers"]
    container.setdefault("env", []).append({"name": "STEPS", "value": str(STEPS)})
    body["spec"]["replicas"] = 2
    job = cluster.apply_body("charlm", body)
    await job.until(lambda: len(job.pods) == 2, "two pods")
    await cluster.prints(job.pod("0-0"), "step 20/")
    pods = job.pods
    (victim,) = alive(ELASTICJOB_POD_UID=pods["charlm-1-0"], LOCAL_RANK="0")
    os.kill(victim, signal.SIGKILL)
    await job.is_("Complete")
    await job.until(lambda: job.ended("0-0") and job.ended("1-0"), "both ends")
    log = await cluster.log(job.pod("0-0"), ALL_LINES)
    resumed = re.search(r"continuing after step (\d+)", log)
    assert resumed is not None, log
    assert 10 <= int(resumed[1]) < STEPS
    losses = [float(loss) for loss in re.findall(r"step \d+/\d+ loss ([\d.]+)", log)]
    assert f"step {STEPS}/{STEPS} loss" in log
    assert losses[-1] < losses[0]
    assert "it writes:" in log
    assert job.pods == pods
    assert (job.status["counted"], job.failure["pod"], job.failure["rank"]) == (1, "charlm-1-0", 1)


async def test_a_lost_rank_0_ends_no_other_pod(cluster: LocalCluster) -> None:
    register, go = cluster.root / f"{cluster.namespace}-job", cluster.root / "go"
    container = worker(command=["python3", "-c", REDUCES, str(register), str(go)])
    template = {"spec": {"containers": [container]}}
    spec = {"replicas": 3, "minReplicas": 2, "crashGraceSeconds": 1, "template": template}
    job = cluster.apply_body("job", {"spec": spec})
    await job.hurry()
    await job.starts(1, 3)
    cluster.kubelet.hold(cluster.namespace, "job-0-1")
    cluster.kubelet.kill(cluster.namespace, "job-0-0")
    # The others may crash before the loss is found: that is one round more.
    n = await job.until(lambda: job.round.n if len(job.round.members) == 2 else 0, "two members")
    assert [each.rank for each in await job.starts(n, 2)] == [0, 1]
    cluster.kubelet.release(cluster.namespace, "job-0-1")
    n = await job.runs_again(pods=3, after=n)
    assert [each.rank for each in await job.starts(n, 3)] == [0, 1, 2]
    go.touch()
    await job.is_("Complete")
    assert (job.status["counted"], job.failure["pod"]) == (1, "job-0-0")


async def test_torchrun_with_the_flags_of_the_group_starts_one_group(cluster: LocalCluster) -> None:
    """When a worker fails, the group starts again, and its exception is the first cause."""
    script = cluster.root / "meets.py"
    script.write_text(MEETS)
    flags = GROUP_FLAGS["torchrun"].replace("per_node N", "per_node 2")
    torchrun = f"exec python3 -m torch.distributed.run {flags} {script}"
    job = cluster.apply("job", ["sh", "-c", torchrun], replicas=2, cleanPodPolicy="None")
    await job.is_("Complete")
    await job.until(lambda: job.ended("0-0") and job.ended("1-0"), "both ends")
    for pod in ("0-0", "1-0"):
        log = await cluster.log(job.pod(pod), ALL_LINES)
        assert log.count(GROUP) == 4, log  # two workers in two rounds
    assert (job.status["restarts"], job.status["counted"]) == (1, 1)
    assert job.failure["pod"] == "job-1-0"
    assert "rank 3 fails" in job.failure["message"]
    assert job.events("LauncherInCommand") == []


async def test_a_rank_that_hangs_is_found_by_torchs_timer_and_the_group_restarts(
    cluster: LocalCluster,
) -> None:
    """torch's own agent ends itself with the worker, by SIGKILL."""
    job = cluster.apply("job", [PYTHON, "-c", SLEEPS], TIMERS, replicas=2, nprocPerNode=2)
    await job.until(lambda: len(job.pods) == 2, "two pods")
    pods = job.pods
    await job.is_("Complete")
    assert job.pods == pods
    assert (job.status["restarts"], job.status["counted"]) == (1, 1)
    failure = job.failure
    assert (failure["pod"], failure["rank"], failure["reason"]) == ("job-1-0", 3, "WorkerHung")
    assert failure.keys().isdisjoint({"exitCode", "signal"})
    hang = 'the timer "load a batch" expired 1.0 s after it was set'
    assert failure["message"] == hang
    await job.reports("WorkersFailed", f"ended: job-1-0 (rank 3) on local: WorkerHung: {hang}")
    log = await cluster.log(job.pod("1-0"), ALL_LINES)
    assert len(set(re.findall(r"rank 3 in (\d+) has passed", log))) == 2, log


async def test_a_hang_under_torchrun_is_found_by_the_agent_and_not_by_torchrun(
    cluster: LocalCluster,
) -> None:
    """torchrun would end its worker and itself by SIGKILL, without a reason."""
    script = cluster.root / "sleeps.py"
    script.write_text(SLEEPS)
    flags = GROUP_FLAGS["torchrun"].replace("per_node N", "per_node 2")
    torchrun = f"exec {PYTHON} -m torch.distributed.run {flags} {script}"
    job = cluster.apply("job", ["sh", "-c", torchrun], TIMERS, replicas=2)
    await job.is_("Complete")
    failure = job.failure
    assert (failure["pod"], failure["reason"]) == ("job-1-0", "WorkerHung")
    assert '"load a batch"' in failure["message"]
    assert (job.status["restarts"], job.status["counted"]) == (1, 1)


async def test_the_code_of_the_page_finds_a_hang_that_fails_a_job_without_a_budget(
    cluster: LocalCluster,
) -> None:
    code = re.search(r"^    import torch.distributed.elastic.timer.*?(?=^\S|^\* )", PAGE, FLAGS)
    assert code is not None
    example = textwrap.dedent(code[0]).replace("after=300", "after=1")
    setting = "import os, time; loader = [1]; train = lambda batch: time.sleep(1000)\n"
    job = cluster.apply("job", [PYTHON, "-c", setting + example], TIMERS, replicas=1, maxRestarts=0)
    await job.is_("Failed: rank 0: the timer")
    message = job.condition("Failed")["message"]
    assert message.startswith('job-0-0 (rank 0): WorkerHung: the timer "train step" expired 1.0 s')
    await job.until(lambda: job.ended("0-0"), "its end")
    assert job.ended("0-0")["exitCode"] == 1


@pytest.mark.parametrize("way", ["record", "plain"])
async def test_an_exception_is_named_with_and_without_record(
    cluster: LocalCluster, way: str
) -> None:
    """Torch reports it in a file, or puts its rank before each line on stderr. It may take seconds
    to exit after its report, and without the exit the failure has no code."""
    command = [PYTHON, "-c", RAISES, way]
    job = cluster.apply("job", command, replicas=2, maxRestarts=0, crashGraceSeconds=30)
    await job.is_("Failed: job-1-0 (rank 1): no shard: ")
    failure = job.failure
    assert (failure["rank"], failure["exitCode"]) == (1, 1)
    error = "RuntimeError: no shard: größe of /none/shard-7"
    lines = failure["message"].split("\n")
    assert lines[0] == error
    assert lines[-3:] == [
        '  File "<string>", line 10, in load',
        "RuntimeError: no shard:",
        "  größe of /none/shard-7",
    ]
    assert job.condition("Failed")["message"].startswith(
        f"job-1-0 (rank 1): WorkerFailed: {error}; exit code 1"
    )
