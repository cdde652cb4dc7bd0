"""The writes of the kubelet: pod statuses, events, and the removal of deleted pods."""

from __future__ import annotations

from collections.abc import Callable

from elasticjob.local.api.objects.builtins import EVENTS, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.node import node


class PodReporter:
    """Writes statuses and events of pods, unless the pod is deleted or another has its name.

    While it is paused, it keeps the last status of each pod and writes it on resumption.
    """

    def __init__(self, store: Store, now: Callable[[], str]) -> None:
        self._store = store
        self.now = now
        self._is_paused = False
        self._pending_statuses: dict[str, tuple[Object, Object]] = {}
        self._pending_removals: list[Object] = []

    def write_status(self, pod: Object, status: Object) -> None:
        """Write these fields of a pod's status; other fields and conditions are kept."""
        if self._is_paused:
            _, before = self._pending_statuses.get(pod["metadata"]["uid"], (pod, {}))
            self._pending_statuses[pod["metadata"]["uid"]] = (pod, {**before, **status})
            return

        def change(current: Object) -> Object:
            meta = {**current["metadata"], "uid": pod["metadata"]["uid"]}
            merged = {**current.get("status", {}), **status}
            merged["conditions"] = _conditions(current, status)
            return {**current, "metadata": meta, "status": merged}

        try:
            self._store.update(PODS, *pod_key(pod), change, "status")
        except ApiError:
            pass  # the pod is deleted, or another pod has its name

    def create_event(self, pod: Object, kind: str, reason: str, message: str) -> None:
        """Create an Event about a pod; `kind` is Normal or Warning."""
        if self._is_paused:
            return
        meta, now = pod["metadata"], self.now()
        event = {
            "metadata": {"generateName": f"{meta['name']}."},
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                **{field: meta[field] for field in ("name", "namespace", "uid", "resourceVersion")},
            },
            "source": {"component": "kubelet", "host": node.NAME},
            "reportingComponent": "kubelet",
            "reportingInstance": node.NAME,
        }
        try:
            self._store.create(EVENTS, meta["namespace"], event)
        except ApiError:
            pass  # the namespace is being deleted

    def report_unschedulable(self, pod: Object, message: str) -> None:
        """Report that the node has no room for a pod."""
        self.create_event(pod, "Warning", "FailedScheduling", message)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": self.now(),
        }
        self.write_status(pod, {"phase": "Pending", "conditions": [condition]})

    def remove_pod(self, pod: Object) -> None:
        """Remove the object of a deleted pod after its processes have ended."""
        if self._is_paused:
            self._pending_removals.append(pod)
            return
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            self._store.delete(PODS, *pod_key(pod), options)
        except ApiError:
            pass  # a client has forced its deletion

    def pause(self) -> None:
        """Stop writing, as a node that has lost its connection."""
        self._is_paused = True

    def resume(self) -> None:
        """Write what was not written during the pause."""
        self._is_paused = False
        statuses, self._pending_statuses = self._pending_statuses, {}
        removals, self._pending_removals = self._pending_removals, []
        for pod, status in statuses.values():
            self.write_status(pod, status)
        for pod in removals:
            self.remove_pod(pod)


def pod_key(pod: Object) -> tuple[str, str]:
    """The namespace and name of a pod."""
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _conditions(current: Object, status: Object) -> list[Object]:
    kept: list[Object] = current.get("status", {}).get("conditions", [])
    written: list[Object] = status.get("conditions", [])
    types = {condition["type"] for condition in written}
    return written + [condition for condition in kept if condition["type"] not in types]
