"""What the kubelet writes: statuses of pods, events, and the removal of pods that have ended."""

from __future__ import annotations

from collections.abc import Callable

from elasticjob.local.api.objects.builtins import EVENTS, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.node import node


class Reports:
    """All about pods that may be gone, or be others of the same name: then nothing is written.

    A node that is lost reports nothing; when it is back it makes up for it.
    """

    def __init__(self, store: Store, now: Callable[[], str]) -> None:
        self._store = store
        self.now = now
        self._lost = False
        self._unsaid: dict[str, tuple[Object, Object]] = {}
        self._unremoved: list[Object] = []

    def status(self, pod: Object, status: Object) -> None:
        """Write these fields of the status; the others, and conditions that are not ours, stay."""
        if self._lost:
            _, before = self._unsaid.get(pod["metadata"]["uid"], (pod, {}))
            self._unsaid[pod["metadata"]["uid"]] = (pod, {**before, **status})
            return

        def change(present: Object) -> Object:
            meta = {**present["metadata"], "uid": pod["metadata"]["uid"]}
            merged = {**present.get("status", {}), **status}
            merged["conditions"] = _conditions(present, status)
            return {**present, "metadata": meta, "status": merged}

        try:
            self._store.update(PODS, *place(pod), change, "status")
        except ApiError:
            pass  # gone, or another pod has its name

    def event(self, pod: Object, kind: str, reason: str, message: str) -> None:
        """An Event about the pod; `kind` is Normal or Warning."""
        if self._lost:
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

    def unschedulable(self, pod: Object, message: str) -> None:
        """There is no room for the pod."""
        self.event(pod, "Warning", "FailedScheduling", message)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": self.now(),
        }
        self.status(pod, {"phase": "Pending", "conditions": [condition]})

    def removed(self, pod: Object) -> None:
        """Nothing of a pod that is being deleted is alive: let its object go."""
        if self._lost:
            self._unremoved.append(pod)
            return
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        try:
            self._store.delete(PODS, *place(pod), options)
        except ApiError:
            pass  # somebody has forced its deletion

    def silence(self) -> None:
        """The node is lost."""
        self._lost = True

    def resume(self) -> None:
        """It is back: say what was left unsaid."""
        self._lost = False
        unsaid, self._unsaid = self._unsaid, {}
        unremoved, self._unremoved = self._unremoved, []
        for pod, status in unsaid.values():
            self.status(pod, status)
        for pod in unremoved:
            self.removed(pod)


def place(pod: Object) -> tuple[str, str]:
    """Namespace and name."""
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _conditions(present: Object, status: Object) -> list[Object]:
    kept: list[Object] = present.get("status", {}).get("conditions", [])
    ours: list[Object] = status.get("conditions", [])
    types = {condition["type"] for condition in ours}
    return ours + [condition for condition in kept if condition["type"] not in types]
