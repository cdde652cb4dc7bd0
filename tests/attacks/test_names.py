"""Objects that claim to be of a job, and two jobs that have one name after each other."""

from __future__ import annotations

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob
from tests.support.supervised import stub
from tests.support.survivors import is_dead

from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event
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


# ---- an older job of the same name ---------------------------------------------------------------


class Overlaps:
    """The living pods of another job with the same name, at each creation of a pod."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.found: list[tuple[str, str]] = []
        self._cluster = cluster
        cluster.store.listeners.append(self._record)

    def _record(self, resource: Resource, event: Event) -> None:
        if resource != PODS or event.type != "ADDED":
            return
        new = event.object["metadata"]
        for pod in self._cluster.store.list(PODS, self._cluster.namespace):
            old = pod["metadata"]
            same = old["labels"][names.LABEL_JOB] == new["labels"][names.LABEL_JOB]
            if same and _uid(old) != _uid(new) and not _has_ended(pod):
                self.found.append((old["name"], new["name"]))


def _uid(meta: Object) -> str:
    return str(meta["labels"][names.LABEL_JOB_UID])


def _has_ended(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return bool(statuses) and all("terminated" in each["state"] for each in statuses)


async def orphan(cluster: LocalCluster, name: str) -> None:
    """As `kubectl delete elasticjob --cascade=orphan`."""
    options = {"propagationPolicy": "Orphan"}
    cluster.store.delete(cluster.jobs, cluster.namespace, name, options)
    is_gone = lambda: cluster.store.find(cluster.jobs, cluster.namespace, name) is None  # noqa: E731
    await cluster.until(is_gone, f"{name} gone")


async def test_a_job_that_is_created_again_waits_for_the_group_that_was_orphaned(
    cluster: LocalCluster,
) -> None:
    job = await cluster.running("job", replicas=2)
    old = {each.pid for each in job.workers(1)}
    overlaps = Overlaps(cluster)
    await orphan(cluster, "job")
    assert not any(is_dead(pid) for pid in old), "the user asked that they continue"
    pulse = job.lease.renew_time
    await cluster.until(lambda: job.lease.renew_time != pulse, "a pulse of the orphaned group")

    cluster.apply("job", replicas=2)
    await job.runs(1, pods=2, workers=4)  # two of each group
    assert overlaps.found == []
    assert all(is_dead(pid) for pid in old)
    assert {each.pid for each in job.workers(1)} > old
    assert sorted(job.pods) == ["job-0-0", "job-1-0"]
    # The fixture deletes the job, and fails if an object or a process is left.


async def test_the_job_that_waits_names_the_pod_that_it_waits_for_and_its_deletion_leaves_nothing(
    cluster: LocalCluster,
) -> None:
    job = await cluster.running("job", stub("stubborn"), replicas=2, stopGraceSeconds=3600)
    await orphan(cluster, "job")
    cluster.apply("job", replicas=2)
    await job.is_("Pending: waiting for the end of job-0-0 and 1 more of an older job of this name")
    assert job.condition("PodsReady")["reason"] == "OlderJob"
    await job.reports("PodsDeleted", "an older job of this name left the pod")
    for name in ("0-0", "1-0"):
        job.delete_pod(name, {"gracePeriodSeconds": 1})
    job.delete()
