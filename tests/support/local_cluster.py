"""Run the whole system on the local mode, and use it as a user does: apply, read, kill, wait.

API server and kubelet run in this process; the operator, the agents and the workers are processes.
One `LocalCluster` is one namespace of it, in which one test works.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from tests.support.jobs import worker
from tests.support.local_job import LocalJob, LocalNamespace
from tests.support.supervised import stub
from tests.support.survivors import is_dead

from elasticjob.api.crd import custom_resource_definition
from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import CRDS, EVENTS, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event
from elasticjob.local.manifests import create, parse
from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.local.operator import OPERATOR, SYSTEM_NAMESPACE, operator_pod
from elasticjob.local.up import Local, up
from elasticjob.wire import names

T = 0.5
LAST_LINES = "20"
ALL_LINES = "10000"
QUICK = {"stopGraceSeconds": 2, "crashGraceSeconds": 1}


@asynccontextmanager
async def local_mode(root: Path, python: Path = Path(sys.executable)) -> AsyncIterator[Local]:
    """All of it, with a short heartbeat, and an operator that is started again at once."""
    operator = [sys.executable, "-m", "elasticjob.controller", "--heartbeat-seconds", str(T)]
    operator += ["--health-host", "127.0.0.1", "--health-port", "0"]
    async with up(root, operator=operator, python=python, delay_s=lambda *_: 0.0) as local:
        yield local


class LocalCluster(LocalNamespace):
    """One namespace of the whole system, with the operator and every process of its pods."""

    def __init__(self, local: Local, namespace: str, root: Path) -> None:
        self._verbs = local.server.verbs
        self._pods: dict[str, str] = {}
        self.pods_root = local.server.kubeconfig.parent.resolve() / "pods"
        super().__init__(local, namespace, root)
        self._operator = self.operator["spec"]["containers"][0]["command"]

    # ---- jobs ------------------------------------------------------------------------------------

    def apply(
        self, name: str, command: Sequence[str] | None = None, env: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> LocalJob:  # fmt: skip
        """A job whose workers run this command; by default they sign in and run until SIGTERM."""
        job = LocalJob(self, name, signs_in=command is None)
        container = worker(command=list(command or stub("signs_in", str(job.register))))
        container["env"] = [{"name": key, "value": value} for key, value in (env or {}).items()]
        template = {"spec": {"containers": [container]}}
        self.apply_body(name, {"spec": {**QUICK, "template": template, **spec}})
        return job

    async def running(
        self, name: str, command: Sequence[str] | None = None, *, replicas: int, **spec: Any
    ) -> LocalJob:
        """A job whose round 1 runs in all its pods."""
        job = self.apply(name, command, replicas=replicas, **spec)
        await job.runs(1, pods=replicas)
        return job

    def apply_body(self, name: str, body: Object) -> LocalJob:
        """As `kubectl apply`, with defaults, schema and rules. Raises ManifestError."""
        meta = {"name": name, "namespace": self.namespace}
        whole = {"apiVersion": names.API_VERSION, "kind": names.KIND, **body, "metadata": meta}
        create(self._verbs, parse(yaml.safe_dump(whole), "job.yaml"), "job.yaml")
        return LocalJob(self, name)

    # ---- the operator ----------------------------------------------------------------------------

    @property
    def operator(self) -> Object:
        """Its pod."""
        return self.store.get(PODS, SYSTEM_NAMESPACE, OPERATOR)

    @property
    def operator_restarts(self) -> int:
        """How often its present pod has started it again."""
        statuses = self.operator.get("status", {}).get("containerStatuses", [])
        return sum(int(status["restartCount"]) for status in statuses)

    async def take_operator_away(self) -> None:
        """kill -9, and it stays away."""
        self.kubelet.kill(SYSTEM_NAMESPACE, OPERATOR)
        self.store.delete(PODS, SYSTEM_NAMESPACE, OPERATOR)
        is_gone = lambda: self.store.find(PODS, SYSTEM_NAMESPACE, OPERATOR) is None  # noqa: E731
        await self.until(is_gone, "the operator gone")

    def bring_operator_back(self) -> None:
        """A new pod of it; what the old one remembered is lost."""
        self.store.create(PODS, SYSTEM_NAMESPACE, operator_pod(self._operator))

    # ---- the definition of ElasticJob ------------------------------------------------------------

    async def delete_definition(self) -> None:
        """With all jobs, as `kubectl delete crd`."""
        self.store.delete(CRDS, "", self.jobs.qualified_name)
        is_gone = lambda: self.store.find(CRDS, "", self.jobs.qualified_name) is None  # noqa: E731
        await self.until(is_gone, "the definition gone")

    def create_definition(self) -> None:
        """As `kubectl create -f crds/`."""
        self.store.create(CRDS, "", custom_resource_definition())

    # ---- waiting ---------------------------------------------------------------------------------

    async def prints(self, pod: Object, text: str) -> None:
        """Wait until this text is in a pod's log."""

        async def holds() -> bool:
            return text in await self.log(pod, ALL_LINES)

        await self.until(holds, f"{text!r} in the log of {pod['metadata']['name']}")

    async def clear(self) -> None:
        """Delete all jobs, and see that nothing of them is left, objects and processes."""
        for body in self.store.list(self.jobs, self.namespace):
            LocalJob(self, body["metadata"]["name"]).delete()
        try:
            await self.until(lambda: not self.left(), "nothing to be left")
        except TimeoutError as error:
            error.add_note("\n".join(self.left()))
            raise
        self.store.listeners.remove(self._record)

    def left(self) -> list[str]:
        """Objects with a job's label, and processes of any pod that this namespace ever had."""
        objects = [
            f"{resource.plural} {body['metadata']['name']}"
            for resource in self.store.resources.values()
            for body in self.store.list(resource, self.namespace)
            if resource == self.jobs or names.LABEL_JOB_UID in body["metadata"].get("labels", {})
        ]
        return objects + [
            f"process {pid} of {name}"
            for uid, name in self._pods.items()
            for pid in pids_with_env(MARKER, f"{self.pods_root}/{uid}")
            if not is_dead(pid)
        ]

    # ---- telling ---------------------------------------------------------------------------------

    async def describe(self) -> str:
        """Statuses, rounds, events, pods and logs, to explain why a test failed."""
        parts: list[str] = []
        for body in self.store.list(self.jobs, self.namespace):
            parts.append(f"== {body['metadata']['name']}\n{yaml.safe_dump(body.get('status'))}")
        for name, rounds in self.rounds.items():
            parts += [f"{name}: {round_.to_json()}" for round_ in rounds]
        for event in self.store.list(EVENTS, self.namespace):
            about = event["involvedObject"]["name"]
            parts.append(f"event {about}: {event['reason']}: {event.get('message')}")
        for pod in [*self.store.list(PODS, self.namespace), self.operator]:
            state = pod.get("status", {}).get("containerStatuses")
            parts.append(f"== pod {pod['metadata']['name']}: {state}\n{await self.log(pod)}")
        return "\n".join(parts)

    async def log(self, pod: Object, lines: str = LAST_LINES) -> str:
        """The end of a pod's log."""
        try:
            with self.kubelet.logs(pod, Call("GET", "", {"tailLines": lines})) as pieces:
                return b"".join([piece async for piece in pieces]).decode(errors="replace")
        except ApiError as error:
            return error.message

    # ---- inside ----------------------------------------------------------------------------------

    def _record(self, resource: Resource, event: Event) -> None:
        super()._record(resource, event)
        meta = event.object["metadata"]
        if resource == PODS and meta["namespace"] == self.namespace:
            self._pods[meta["uid"]] = meta["name"]
