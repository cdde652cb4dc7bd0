"""Reads the Events of a pod that waits on its node, for reports: no plan depends on them."""

from __future__ import annotations

import logging

from elasticjob.controller import kube
from elasticjob.controller.kube import Api, KubeError
from elasticjob.controller.observe import pod_events
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.pod_events import PodEvents
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import waiting

log = logging.getLogger(__name__)


async def read(api: Api, snapshot: Snapshot, pod: ObservedPod) -> PodEvents:
    """Read the Events of this pod: one page, as any user may have written many. Errors are logged.

    Another kubelet, scheduler or controller reports each of them, so none is watched.
    """
    name = snapshot.job.pod_name(pod.pod)
    found: tuple[pod_events.PodWarning, ...] = ()
    try:
        fields = selector(name, pod.uid)
        async for page in api.list(kube.EVENTS, snapshot.job.namespace, fields=fields):
            found = pod_events.warnings(page.items)
            break
    except KubeError as error:
        log.warning("the events of pod %s cannot be read: %s", name, error)
    return waiting.after_read(snapshot, pod, found)


def selector(name: str, uid: str) -> str:
    """The field selector of the Events of a pod."""
    return f"involvedObject.kind=Pod,involvedObject.name={name},involvedObject.uid={uid}"
