"""Objects that claim to be of a job."""

from __future__ import annotations

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob
from tests.support.supervised import stub
from tests.support.survivors import is_dead

from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.resource import Object
from elasticjob.wire import names

pytestmark = pytest.mark.e2e


async def check_undisturbed(job: LocalJob, workers: int) -> None:
    """Check after two pulses of its holder that a job still runs its first round."""
    await job.renews(2)
    assert [round_.n for round_ in job.rounds] == [0, 1]
    assert sorted(job.pods) == [f"{job.name}-{index}-0" for index in range(workers)]
    assert not any(is_dead(each.pid) for each in job.workers(1))
    assert len(job.workers(1)) == workers


# ---- forged pods ---------------------------------------------------------------------------------


async def test_a_pod_with_the_labels_of_another_job_changes_nothing_there(
    cluster: LocalCluster,
) -> None:
    """Its name is that of no pod of the job, so its labels and its owner do not matter."""
    victim = await cluster.running("victim", replicas=2)
    model = victim.pod("0-0")
    labels = {**model["metadata"]["labels"], names.LABEL_GENERATION: "9"}
    owners = model["metadata"]["ownerReferences"]
    meta = {"name": "evil-0-9", "labels": labels, "ownerReferences": owners}
    spec = {key: value for key, value in model["spec"].items() if key != "nodeName"}
    container = {**spec["containers"][0], "command": list(stub("runs"))}
    forged = {"metadata": meta, "spec": {**spec, "containers": [container]}}
    cluster.store.create(PODS, cluster.namespace, forged)
    runs = lambda: _phase(cluster, "evil-0-9") == "Running"  # noqa: E731
    await cluster.until(runs, "the forged pod to run")
    victim.edit(maxRestarts=7)  # so that the operator makes a plan
    await victim.until(lambda: victim.lease.desired.max_restarts == 7, "the new maxRestarts")
    cluster.store.update(PODS, cluster.namespace, "evil-0-9", _without_labels)
    cluster.store.delete(PODS, cluster.namespace, "evil-0-9")
    await check_undisturbed(victim, 2)


@pytest.mark.parametrize(
    "labels",
    [
        {names.LABEL_GENERATION: "9"},
        {names.LABEL_INDEX: "5"},
        {names.LABEL_JOB_UID: "another"},
        {names.LABEL_INDEX: "x", names.LABEL_GENERATION: "y"},
    ],
)
async def test_changed_labels_of_a_pod_change_nothing(
    cluster: LocalCluster, labels: dict[str, str]
) -> None:
    """`kubectl label pod`: the name and the owner of the pod are as before."""
    job = await cluster.running("job", replicas=2)

    def change(old: Object) -> Object:
        meta = old["metadata"]
        return {**old, "metadata": {**meta, "labels": {**meta["labels"], **labels}}}

    cluster.store.update(PODS, cluster.namespace, "job-1-0", change)
    job.edit(maxRestarts=7)
    await job.until(lambda: job.lease.desired.max_restarts == 7, "the new maxRestarts")
    await check_undisturbed(job, 2)


def _phase(cluster: LocalCluster, pod: str) -> str:
    found = cluster.store.find(PODS, cluster.namespace, pod) or {}
    return str(found.get("status", {}).get("phase", ""))


def _without_labels(old: Object) -> Object:
    """So that the deletion reaches the operator's watch, too."""
    return {**old, "metadata": {**old["metadata"], "labels": {}}}
