"""The worker of one pod, from its binding to the node until its directory is removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.directories import remove_tree
from elasticjob.local.node import node
from elasticjob.local.node.pod import volumes
from elasticjob.local.node.pod.command import process_spec
from elasticjob.local.node.pod.container import Container, ContainerCallbacks, RestartDelay
from elasticjob.local.node.pod.grace import Grace, wait_for_first
from elasticjob.local.node.pod.status import conditions, phase
from elasticjob.local.node.pod.unsupported import UnsupportedError, check_supported, ignored_fields
from elasticjob.local.node.processes import MARKER, Process, Processes, ProcessSpec
from elasticjob.local.node.reporter import PodReporter, pod_key

VOLUME_RETRY_S = 0.5
UID_CHARACTERS = 13
"""Characters of the UID (48 bits) in a pod's directory: socket paths are limited to 107 bytes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeContext:
    """The resources of the node that all pods share."""

    root: Path
    env: Mapping[str, str]
    reporter: PodReporter
    processes: Processes
    config_map: Callable[[str, str], Object | None]  # by namespace and name
    token: Callable[[Object], str | None]  # for the service account of a pod
    delay_s: RestartDelay


class PodWorker:
    """One pod on the node."""

    def __init__(
        self, pod: Object, address: str, context: NodeContext, on_end: Callable[[PodWorker], None]
    ) -> None:
        self.address = address
        self.grace = Grace()
        self.ended = asyncio.Event()  # all processes have ended and none will be started
        self.released = asyncio.Event()  # not set while a test holds the pod
        self._context = context
        self._on_end = on_end
        self._pod = {**pod, "status": {**pod.get("status", {}), **_addresses(address)}}
        self._started_at = context.reporter.now()
        self._requested_grace_s: int | None = None
        self._deleted = asyncio.Event()
        self._conditions: list[Object] = []
        self._init_containers = [
            self._container(spec, _init_policy(pod), "PodInitializing")
            for spec in pod["spec"].get("initContainers", ())
        ]
        waiting = "PodInitializing" if self._init_containers else "ContainerCreating"
        self._main_containers = [
            self._container(spec, pod["spec"]["restartPolicy"], waiting)
            for spec in pod["spec"]["containers"]
        ]

    @property
    def directory(self) -> Path:
        """The directory of the pod: home/, v/<volume>/, c/<container>/."""
        return self._context.root / str(self._pod["metadata"]["uid"])[:UID_CHARACTERS]

    @property
    def processes(self) -> list[Process]:
        """The processes of the containers that run."""
        return [container.process for container in self.containers if container.process]

    @property
    def containers(self) -> list[Container]:
        """All containers, the init containers first."""
        return [*self._init_containers, *self._main_containers]

    # -- lifecycle ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the pod until its object is deleted, then remove its directory."""
        try:
            await self._start_and_wait()
            self._write_status()
        except UnsupportedError as error:
            self._reject(str(error))
        except Exception as error:  # so that the pod can still be deleted
            log.exception("pod %s/%s", *pod_key(self._pod))
            self._reject(f"internal error: {error!r}; correct the spec of the pod")
        finally:
            self.grace.cancel()
            self.ended.set()
            self._on_end(self)
        await self.grace.begun.wait()
        self._context.reporter.remove_pod(self._pod)
        await self._deleted.wait()
        await asyncio.to_thread(remove_tree, self.directory)

    def on_updated(self, pod: Object) -> None:
        """Begin the termination, or shorten it, if the changed object requests it."""
        grace_s = pod["metadata"].get("deletionGracePeriodSeconds")
        if "deletionTimestamp" in pod["metadata"] and grace_s != self._requested_grace_s:
            self._requested_grace_s = grace_s
            self.grace.begin(grace_s or 0)

    def on_deleted(self) -> None:
        """Kill the remaining processes, because the object was deleted."""
        self._deleted.set()
        self.grace.begin(0)

    async def _start_and_wait(self) -> None:
        check_supported(self._pod)
        for container in self.containers:
            container.process_spec(0)  # raises UnsupportedError before anything is started
        self._write_status()
        if fields := ignored_fields(self._pod):
            names = ", ".join(fields)
            self._event("Warning", "Ignored", f"not supported by the local mode: {names}")
        await wait_for_first(self.released.wait(), self.grace.begun.wait())
        await self._fill_volumes()
        for init in self._init_containers:
            await init.run()
            if not init.status.has_succeeded:
                return
        await asyncio.gather(*(container.run() for container in self._main_containers))

    async def _fill_volumes(self) -> None:
        """Create the volumes. Waits for their sources until the pod is terminated."""
        last_error = ""
        while not self.grace.begun.is_set():
            try:
                (self.directory / "home").mkdir(parents=True, exist_ok=True)
                volumes.create(self._pod, self.directory / "v", self._sources())
            except (volumes.NotReadyError, OSError, ValueError) as error:  # ValueError: NUL
                if last_error != str(error):
                    last_error = str(error)
                    is_whole = isinstance(error, volumes.NotReadyError)
                    text = last_error if is_whole else f"MountVolume.SetUp failed: {last_error}"
                    self._event("Warning", "FailedMount", text)
                await wait_for_first(self.grace.begun.wait(), timeout_s=VOLUME_RETRY_S)
            else:
                return

    # -- construction ---------------------------------------------------------------------------

    def _container(self, spec: Object, policy: str, waiting: str) -> Container:
        return Container(
            spec=spec,
            restart_policy=policy,
            directory=self.directory / "c" / spec["name"],
            make_spec=partial(self._process_spec, spec),
            processes=self._context.processes,
            grace=self.grace,
            callbacks=ContainerCallbacks(
                self._write_status, self._event, self._context.reporter.now
            ),
            delay_s=self._context.delay_s,
            waiting=waiting,
        )

    def _process_spec(self, spec: Object, log: Path, message: Path) -> ProcessSpec:
        env = {**self._context.env, MARKER: f"{self._context.root}/{self._pod['metadata']['uid']}"}
        return process_spec(self._pod, spec, self.directory, env, log, message)

    def _sources(self) -> volumes.Sources:
        namespace, _ = pod_key(self._pod)
        return volumes.Sources(
            partial(self._context.config_map, namespace), partial(self._context.token, self._pod)
        )

    # -- status ---------------------------------------------------------------------------------

    def _write_status(self) -> None:
        """Write the current status."""
        inits = [container.status for container in self._init_containers]
        mains = [container.status for container in self._main_containers]
        is_terminating = self.grace.begun.is_set()
        now = self._context.reporter.now()
        policy = "Never" if is_terminating else self._pod["spec"]["restartPolicy"]
        found = phase(policy, inits, mains)
        self._conditions = conditions(found, inits, mains, self._conditions, now)
        self._context.reporter.write_status(
            self._pod,
            {
                **_addresses(self.address),
                "phase": found,
                "startTime": self._started_at,
                "conditions": self._conditions,
                "initContainerStatuses": [init.to_json() for init in inits],
                "containerStatuses": [main.to_json() for main in mains],
            },
        )

    def _reject(self, message: str) -> None:
        """Fail the pod without starting it, as a kubelet does that does not admit it."""
        self._event("Warning", "Failed", message)
        refused = {"phase": "Failed", "reason": "Unsupported", "message": message}
        self._context.reporter.write_status(self._pod, {**refused, "startTime": self._started_at})

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._context.reporter.create_event(self._pod, kind, reason, message)


def _addresses(address: str) -> Object:
    return {
        "hostIP": node.HOST_IP,
        "hostIPs": [{"ip": node.HOST_IP}],
        "podIP": address,
        "podIPs": [{"ip": address}],
    }


def _init_policy(pod: Object) -> str:
    """The restart policy of init containers."""
    return "Never" if pod["spec"]["restartPolicy"] == "Never" else "OnFailure"
