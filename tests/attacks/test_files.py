"""Workers that put links, FIFOs and other files where agent and kubelet read: no one is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest
from tests.e2e.test_bad_input import undisturbed_neighbour
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob

from elasticjob.local.api.objects.errors import ApiError
from elasticjob.wire.untrusted import plain

pytestmark = pytest.mark.e2e

WORKER = Path(__file__).parent / "hostile_files.py"
SECRET = "the secret of another user"
ATTACKS = [
    "fifo", "full_directory", "deep_directory", "link", "second_name", "unix_socket", "device",
    "sparse", "brackets", "controls", "closed", "timers",
]  # fmt: skip


def attacker(cluster: LocalCluster, attack: str, **spec: object) -> LocalJob:
    """A job whose worker attacks. A file of the attack is an error file, which counts as a failure
    if its worker runs on for crashGraceSeconds."""
    spec = {"crashGraceSeconds": 3600, **spec}
    name = attack.replace("_", "-")
    register = cluster.root / f"{cluster.namespace}-{name}"
    Path(f"{register}.foreign").write_text(SECRET)
    command = [sys.executable, str(WORKER), attack, str(register)]
    job = cluster.apply(name, command, {"TORCHELASTIC_ENABLE_FILE_TIMER": "1"}, **spec)
    job.signs_in = True
    return job


async def continues(cluster: LocalCluster, job: LocalJob) -> None:
    """The job renews its Leases, restarts after a crash, and ends."""
    await job.runs(1, pods=1)
    await job.renews(2)  # the agent reads the progress file each time
    touch(job, "crash")
    await job.runs(2, pods=1)
    await job.renews(2)
    await log_is_read(cluster, job)
    touch(job, "end")
    await job.is_("Complete")
    check_nothing_leaked(job)
    assert (job.status["restarts"], job.failure["exitCode"]) == (1, 3)


async def log_is_read(cluster: LocalCluster, job: LocalJob) -> None:
    """The API server answers a request for the pod's log."""
    with contextlib.suppress(ApiError):
        await cluster.log(job.pod("0-0"))


def touch(job: LocalJob, ending: str) -> None:
    Path(f"{job.register}.{ending}").touch()


def check_nothing_leaked(job: LocalJob) -> None:
    """No foreign file was read or changed, and nothing in the status controls a terminal."""
    shown = str([job.status, job.ended("0-0"), job.events("WorkersFailed")])
    assert "root:" not in shown
    assert SECRET not in shown
    assert Path(f"{job.register}.foreign").read_text() == SECRET
    assert "root:" in Path("/etc/passwd").read_text()
    message = job.failure.get("message", "")
    assert plain(message) == message


async def test_files_of_a_worker_harm_neither_its_agent_nor_a_neighbour(
    cluster: LocalCluster,
) -> None:
    async with undisturbed_neighbour(cluster):
        jobs = [attacker(cluster, attack, replicas=1) for attack in ATTACKS]
        await asyncio.gather(*(continues(cluster, job) for job in jobs))


async def test_a_job_fails_normally_though_its_termination_message_has_no_file(
    cluster: LocalCluster,
) -> None:
    """The agent writes the message at its end, and the kubelet reads it."""
    async with undisturbed_neighbour(cluster):
        jobs = [attacker(cluster, attack, replicas=1, maxRestarts=0) for attack in ATTACKS]
        for job in jobs:
            await job.runs(1, pods=1)
            touch(job, "crash")
        for job in jobs:
            await job.is_("Failed")
            await job.until(lambda job=job: job.ended("0-0"), "the end of its container")
            check_nothing_leaked(job)
            assert job.ended("0-0")["exitCode"] == 3
