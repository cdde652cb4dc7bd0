"""A hostile neighbour attacks while a job trains on the local mode, and changes nothing for it.

The local mode has no admission policy. So the neighbour leaves out what only the policy refuses,
and agents and operator must withstand the rest by themselves. tests/cluster/test_neighbour.py is
the same with the policy. SEED=... repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from dev import proc
from dev.kube_client import Client, Json
from tests.attacks.by_author import VANDAL
from tests.attacks.neighbour import CONFIG, NO_AGENT, Place, config_map, end_orphans
from tests.attacks.proof import (
    MEMBERS,
    SCRIPT,
    VICTIM,
    Outcome,
    Proof,
    Sample,
    Samples,
    attacked,
    environment,
    printed,
    sample,
    tallies,
)
from tests.support.jobs import worker
from tests.support.local_cluster import ALL_LINES, LocalCluster
from tests.support.local_job import LocalJob

from elasticjob.local.api.objects.builtins import CONFIGMAPS
from elasticjob.local.node.processes import MARKER
from elasticjob.local.up import Local, up
from elasticjob.wire import names

PYTHON = os.environ.get("TORCH_PYTHON", "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON, reason="TORCH_PYTHON names no Python with torch: make test"),
]
STEP_S = 0.1
STEPS = int(os.environ.get("NEIGHBOUR_S", "8")) * 10
SEED = int(os.environ.get("SEED") or secrets.randbelow(10**6))
SAMPLE_EVERY_S = 2.0
HEARTBEAT_S = "2"


@pytest.fixture(scope="module")
def python() -> Path:
    return Path(PYTHON)


@pytest.fixture(scope="module")
def local(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory, python: Path
) -> Iterator[Local]:
    """The local mode with a heartbeat that a busy machine does not miss."""
    root = tmp_path_factory.mktemp("local").resolve()
    operator = [sys.executable, "-m", "elasticjob.controller", "--heartbeat-seconds", HEARTBEAT_S]
    operator += ["--health-host", "127.0.0.1", "--health-port", "0"]
    context = up(root, operator=operator, python=python, delay_s=lambda *_: 0.0)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


async def test_a_hostile_neighbour_changes_nothing(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    await cluster.prints(cluster.operator, "health: port")
    alone, beside = Samples(), Samples()
    job = train(cluster, step_s=0.0)
    undisturbed = await outcome(cluster, job, alone)
    job.delete()
    await cluster.until(lambda: not cluster.left(), "the end of the first training")
    job = train(cluster, step_s=STEP_S)
    await job.runs(1, pods=MEMBERS)
    place = place_of(cluster)
    attack = attacked(place, SEED, pause_s=0.5)
    neighbours = attack.__enter__()
    try:
        bystander = cluster.apply("bystander", ["true"], replicas=2)
        after = await outcome(cluster, job, beside)
        await bystander.is_("Complete")
        vandals_run = await run_again(cluster)
    finally:  # the threads of the neighbour end when this event loop has answered them
        await asyncio.to_thread(attack.__exit__, None, None, None)
        with closing(place.author.as_user(place.author.token)) as client:
            await asyncio.to_thread(end_orphans, place, client)
        place.author.close()
    counts = tallies(neighbours)
    proof = Proof(SEED, False, undisturbed, after, alone, beside, counts, vandals_run)
    with capsys.disabled():
        print("\n" + "\n".join(proof.lines()))
    proof.check()


def train(cluster: LocalCluster, step_s: float) -> LocalJob:
    """Start the training."""
    command = ["python3", "-u", "-c", SCRIPT]
    container = worker(command=command, env=environment(STEPS, step_s))
    template = {"spec": {"containers": [container]}}
    return cluster.apply_body(VICTIM, {"spec": {"replicas": MEMBERS, "template": template}})


async def outcome(cluster: LocalCluster, job: LocalJob, samples: Samples) -> Outcome:
    """Wait for the end of a training, and note the operator's state from time to time."""
    samples.taken.append(await look(cluster))
    while not (job.condition("Complete") or job.condition("Failed")):
        with suppress(TimeoutError):
            async with asyncio.timeout(SAMPLE_EVERY_S):
                await job.is_("Complete")
        samples.taken.append(await look(cluster))
    bodies = [job.pod(name.removeprefix(f"{VICTIM}-")) for name in sorted(job.pods)]
    logs = {body["metadata"]["name"]: await cluster.log(body, ALL_LINES) for body in bodies}
    return Outcome(
        phase=job.phase,
        n=job.round.n,
        starts=job.round.starts,
        restarts=job.status.get("restarts", 0),
        counted=job.status.get("counted", 0),
        pods=tuple(logs),
        printed={pod: printed(log) for pod, log in logs.items()},
    )


async def look(cluster: LocalCluster) -> Sample:
    """The state of the operator."""
    uid = cluster.operator["metadata"]["uid"]
    pids = [
        pid
        for pid in proc.with_environment(**{MARKER: f"{cluster.pods_root}/{uid}"})
        if "elasticjob.controller" in proc.command_line(pid)
    ]
    port = re.findall(r"health: port (\d+)", await cluster.log(cluster.operator, ALL_LINES))[-1]
    metrics = await asyncio.to_thread(read, f"http://127.0.0.1:{port}/metrics")
    status = await asyncio.to_thread(read, f"file:///proc/{pids[0]}/status")
    return sample(str(pids[0]), status, metrics)


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return str(reply.read().decode())


async def run_again(cluster: LocalCluster) -> bool:
    """Whether the vandals start another round: no damaged file has blocked an agent."""
    rounds = cluster.rounds[VANDAL]
    before = len(rounds)
    with suppress(TimeoutError):
        await cluster.until(lambda: len(rounds) > before, "another round of the vandals")
    return len(rounds) > before


def place_of(cluster: LocalCluster) -> Place:
    """The namespace as the neighbour sees it. The author has the rights of the local user."""
    namespace = cluster.namespace
    content = {"data": {"python3": NO_AGENT}}
    cluster.store.create(CONFIGMAPS, namespace, config_map(CONFIG, **content))
    author = Client.from_kubeconfig(cluster.local.server.kubeconfig)

    def enter(job_uid: str) -> tuple[str, str] | None:
        """Read the token in the directory of a running pod."""
        client = author.as_user(author.token)
        of_job = f"{names.LABEL_JOB_UID}={job_uid}"
        found = client.get(place.path("pods"), labelSelector=of_job).body["items"]
        client.close()
        for meta in (pod["metadata"] for pod in found):
            pids = proc.with_environment(ELASTICJOB_POD_UID=meta["uid"])
            if pids and "deletionTimestamp" not in meta:
                words = dict(word.split("=", 1) for word in proc.environment(pids[0]))
                return meta["name"], (Path(words["ELASTICJOB_TOKEN_DIR"]) / "token").read_text()
        return None

    def body(name: str, command: list[str], **spec: object) -> Json:
        pod = {"containers": [worker(command=command)]}
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"stopGraceSeconds": 1, "template": {"spec": pod}, **spec},
        }

    place = Place(namespace, author, enter, body, is_protected=False)
    return place
