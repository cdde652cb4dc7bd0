"""The life of one pod on the node, from its binding until nothing of it is left."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node import node
from elasticjob.local.node.pod import volumes
from elasticjob.local.node.pod.command import order
from elasticjob.local.node.pod.container import Container, Reporter, RestartDelay
from elasticjob.local.node.pod.grace import Grace, first
from elasticjob.local.node.pod.status import conditions, phase
from elasticjob.local.node.pod.unsupported import UnsupportedError, ignored, refuse
from elasticjob.local.node.processes import MARKER, Order, Process, Processes
from elasticjob.local.node.reporter import Reports, place

VOLUME_RETRY_S = 0.5
UID_LENGTH = 13
"""Of a pod's UID in its directory's name: 48 bits. The path of a socket has 107 bytes at most."""


@dataclass(frozen=True)
class Site:
    """What all pods of the node share."""

    root: Path
    env: Mapping[str, str]
    reports: Reports
    processes: Processes
    config_map: Callable[[str, str], Object | None]
    """By namespace and name."""
    token: Callable[[Object], str]
    """Of a pod's service account."""
    delay_s: RestartDelay


class PodWorker:
    """One pod. `ended` is set once nothing of it is alive and nothing will be started again."""

    def __init__(
        self, pod: Object, address: str, site: Site, on_end: Callable[[PodWorker], None]
    ) -> None:
        self.address = address
        self.grace = Grace()
        self.ended = asyncio.Event()
        self.released = asyncio.Event()
        """Not set while a test holds the pod back from starting."""
        self._site = site
        self._on_end = on_end
        self._pod = {**pod, "status": {**pod.get("status", {}), **_addresses(address)}}
        self._started_at = site.reports.now()
        self._told_grace_s: int | None = None
        self._gone = asyncio.Event()
        self._conditions: list[Object] = []
        self._inits = [
            self._container(spec, _init_policy(pod), "PodInitializing")
            for spec in pod["spec"].get("initContainers", ())
        ]
        waiting = "PodInitializing" if self._inits else "ContainerCreating"
        self._mains = [
            self._container(spec, pod["spec"]["restartPolicy"], waiting)
            for spec in pod["spec"]["containers"]
        ]

    @property
    def home(self) -> Path:
        """The pod's directory: home/, v/<volume>/, c/<container>/."""
        return self._site.root / str(self._pod["metadata"]["uid"])[:UID_LENGTH]

    @property
    def processes(self) -> list[Process]:
        """The containers that run at present."""
        return [container.process for container in self.containers if container.process]

    @property
    def containers(self) -> list[Container]:
        """All of them, the init containers first."""
        return [*self._inits, *self._mains]

    # -- the life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """All of it."""
        try:
            await self._start_and_wait()
            self._publish()
        except UnsupportedError as error:
            self._refuse(str(error))
        finally:
            self.grace.cancel()
            self.ended.set()
            self._on_end(self)
        await self.grace.begun.wait()
        self._site.reports.removed(self._pod)
        await self._gone.wait()
        await asyncio.to_thread(shutil.rmtree, self.home, ignore_errors=True)

    def told(self, pod: Object) -> None:
        """The object has changed: its deletion may have been asked for, or hastened."""
        grace_s = pod["metadata"].get("deletionGracePeriodSeconds")
        if "deletionTimestamp" in pod["metadata"] and grace_s != self._told_grace_s:
            self._told_grace_s = grace_s
            self.grace.begin(grace_s or 0)

    def gone(self) -> None:
        """The object is no longer there: end at once what is left."""
        self._gone.set()
        self.grace.begin(0)

    async def _start_and_wait(self) -> None:
        refuse(self._pod)
        for container in self.containers:
            container.order(0)  # raises, if it cannot be made, before anything has been started
        self._publish()
        if fields := ignored(self._pod):
            self._event("Warning", "Ignored", f"without effect here: {', '.join(fields)}")
        await first(self.released.wait(), self.grace.begun.wait())
        await self._fill_volumes()
        for init in self._inits:
            await init.run()
            if not init.status.succeeded:
                return
        await asyncio.gather(*(container.run() for container in self._mains))

    async def _fill_volumes(self) -> None:
        """Make the volumes, or wait for what they are made from until the pod is to go."""
        said = ""
        while not self.grace.begun.is_set():
            try:
                (self.home / "home").mkdir(parents=True, exist_ok=True)
                volumes.create(self._pod, self.home / "v", self._sources())
            except (volumes.NotReadyError, OSError) as error:
                if said != str(error):
                    said = str(error)
                    self._event("Warning", "FailedMount", f"MountVolume.SetUp failed: {said}")
                await first(self.grace.begun.wait(), timeout_s=VOLUME_RETRY_S)
            else:
                return

    # -- what it is made of ---------------------------------------------------------------------

    def _container(self, spec: Object, policy: str, waiting: str) -> Container:
        return Container(
            spec=spec,
            policy=policy,
            directory=self.home / "c" / spec["name"],
            make_order=partial(self._order, spec),
            processes=self._site.processes,
            grace=self.grace,
            report=Reporter(self._publish, self._event, self._site.reports.now),
            delay_s=self._site.delay_s,
            waiting=waiting,
        )

    def _order(self, spec: Object, log: Path, message: Path) -> Order:
        env = {**self._site.env, MARKER: f"{self._site.root}/{self._pod['metadata']['uid']}"}
        return order(self._pod, spec, self.home, env, log, message)

    def _sources(self) -> volumes.Sources:
        namespace, _ = place(self._pod)
        return volumes.Sources(
            partial(self._site.config_map, namespace), partial(self._site.token, self._pod)
        )

    # -- what it says ---------------------------------------------------------------------------

    def _publish(self) -> None:
        """The status as it is now."""
        inits = [container.status for container in self._inits]
        mains = [container.status for container in self._mains]
        going = self.grace.begun.is_set()
        now = self._site.reports.now()
        found = phase("Never" if going else self._pod["spec"]["restartPolicy"], inits, mains)
        self._conditions = conditions(found, inits, mains, self._conditions, now)
        self._site.reports.status(
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

    def _refuse(self, why: str) -> None:
        """Failed without having started, as a pod that a kubelet does not admit."""
        self._event("Warning", "Failed", why)
        refused = {"phase": "Failed", "reason": "Unsupported", "message": why}
        self._site.reports.status(self._pod, {**refused, "startTime": self._started_at})

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._site.reports.event(self._pod, kind, reason, message)


def _addresses(address: str) -> Object:
    return {
        "hostIP": node.HOST_IP,
        "hostIPs": [{"ip": node.HOST_IP}],
        "podIP": address,
        "podIPs": [{"ip": address}],
    }


def _init_policy(pod: Object) -> str:
    """An init container that fails is tried again unless its pod is not."""
    return "Never" if pod["spec"]["restartPolicy"] == "Never" else "OnFailure"
