"""Jobs that cannot run are refused or fail with a cause, and do not disturb another job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.jobs import worker
from tests.support.local_cluster import QUICK, LocalCluster
from tests.support.survivors import is_dead

from elasticjob.local.manifests import ManifestError
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def undisturbed_neighbour(cluster: LocalCluster) -> AsyncIterator[None]:
    """Run a valid job, and check that nothing of it changes meanwhile."""
    good = await cluster.running("good", replicas=2)
    pods, workers = good.pods, good.workers(1)
    yield
    await good.renews(2)
    assert good.round.n == 1
    assert good.pods == pods
    assert not any(is_dead(each.pid) for each in workers)


def containers(*found: dict[str, Any]) -> dict[str, Any]:
    return {"template": {"spec": {"containers": list(found)}}}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"replicas": 2, "minReplicas": 3}, "spec.minReplicas", "lower minReplicas or raise replicas"),
    ({"replicas": 0}, "spec.replicas", "greater than or equal to 1"),
    (
        containers({"name": "worker", "image": "none"}),
        "spec.template.spec.containers",
        "set command, for example to [python3, train.py]",
    ),
    (containers(worker(command=[])), "spec.template.spec.containers", "set command"),
    (
        containers(worker(command=["torchrun", "train.py"])),
        "spec.template.spec.containers",
        "set command to the training program",
    ),
    ({"containerName": "trainer"}, "spec.containerName", "use the name of one of"),
    (containers(worker("a"), worker("b")), "spec.containerName", "the container that trains"),
    ({"replica": 3}, "spec.replica", "unknown field"),
]


async def test_a_spec_that_breaks_a_rule_is_refused_with_field_and_cure(
    cluster: LocalCluster,
) -> None:
    async with undisturbed_neighbour(cluster):
        for spec, field, cure in REFUSED:
            with pytest.raises(ManifestError) as refused:
                cluster.apply("bad", **spec)
            message = str(refused.value)
            assert "\n" not in message
            assert field in message
            assert cure in message


@pytest.mark.parametrize(
    ("command", "reason", "message"),
    [
        (
            ["python3", "/none/train.py"],
            "MaxRestartsExceeded",
            "can't open file '/none/train.py'",
        ),
        (
            ["python3", "-c", "exit(2)"],
            "MaxRestartsExceeded",
            "exit code 2 of python3 -c 'exit(2)'",
        ),
        (["torchrum", "train.py"], "StartFailed", "cannot execute 'torchrum'"),
        (["/dev/null"], "StartFailed", "cannot execute '/dev/null': Permission denied"),
    ],
    ids=["script", "wrong usage", "command", "not executable"],
)
async def test_a_job_that_cannot_start_fails_with_a_cause(
    cluster: LocalCluster, command: list[str], reason: str, message: str
) -> None:
    async with undisturbed_neighbour(cluster):
        bad = cluster.apply("bad", command, replicas=2, maxRestarts=1)
        await bad.is_("Failed")
        assert message in bad.phase
        assert bad.condition("Failed")["reason"] == reason
        assert message in bad.condition("Failed")["message"]
        assert message in bad.failure["message"]
        await bad.reports("Failed", message)
        await bad.until(lambda: bad.status["replicas"] == 0, "no pod that has not ended")
        assert bad.failure["pod"] in bad.pods


async def test_a_launcher_without_the_flags_of_the_group_causes_a_warning(
    cluster: LocalCluster,
) -> None:
    script = "torchrun --nproc-per-node 2 train.py; exec sleep 1000"
    job = cluster.apply("job", ["sh", "-c", script], replicas=2)
    await job.reports("LauncherInCommand", "--nnodes $GROUP_WORLD_SIZE --node_rank $GROUP_RANK")
    await job.runs(1, pods=2)


async def test_status_names_the_reason_why_pods_cannot_run(cluster: LocalCluster) -> None:
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    spec = {"containers": [worker()], "volumes": [claim]}
    async with undisturbed_neighbour(cluster):
        bad = cluster.apply_body("bad", {"spec": {**QUICK, "template": {"spec": spec}}})
        await bad.until(
            lambda: "persistentVolumeClaim" in bad.condition("PodsReady").get("message", ""), "why"
        )
        assert bad.round.phase is Phase.FORMING


async def test_status_reports_an_image_without_python(cluster: LocalCluster) -> None:
    container = worker(env=[{"name": "PATH", "value": "/none"}])
    async with undisturbed_neighbour(cluster):
        bad = cluster.apply("bad", **containers(container))
        await bad.is_("Pending: 1/1 agents cannot start")
        assert "python3" in bad.condition("Stalled")["message"]
        assert bad.status["counted"] == 0


async def test_brackets_in_a_termination_message_stop_no_other_job(cluster: LocalCluster) -> None:
    """Python's JSON reader cannot parse them, and any process of a pod can write the message."""
    write = "python3 -c 'print(\"[\" * 2000)' > $ELASTICJOB_TERMINATION_LOG"
    async with undisturbed_neighbour(cluster):
        bad = cluster.apply("bad", ["sh", "-c", write], replicas=1, cleanPodPolicy="None")
        await bad.is_("Complete")
        # The agent reports the end of the job before the kubelet reports the end of the container.
        has_brackets = lambda: "[[[" in str(bad.pod("0-0")["status"]["containerStatuses"])  # noqa: E731
        await bad.until(has_brackets, "the brackets in its status")
        await cluster.running("other", replicas=1)
    await cluster.take_operator_away()
    cluster.bring_operator_back()
    await cluster.running("last", replicas=1)
