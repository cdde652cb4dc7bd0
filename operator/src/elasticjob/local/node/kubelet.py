"""The stand-in for scheduler and kubelet: binds each pod to the one node and runs it.

It knows pods, and nothing of what they are for. What it learns and says goes through the store.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import CONFIGMAPS, NODES, PODS
from elasticjob.local.api.objects.errors import bad_request
from elasticjob.local.api.objects.lifecycle import timestamp
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store
from elasticjob.local.node import interpreter, node
from elasticjob.local.node.addresses import HOSTS, Addresses
from elasticjob.local.node.pod.container import RestartDelay, restart_delay_s
from elasticjob.local.node.pod.logs import LogOptions, reading
from elasticjob.local.node.pod.worker import PodWorker, Site
from elasticjob.local.node.processes import Process, Processes, sweep
from elasticjob.local.node.reporter import Reports, place

MAX_PODS = 110
CLOSE_GRACE_S = 2.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Mint = Callable[[str, str, str, str], str]
"""A token of (namespace, service account, pod name, pod UID)."""
Place = tuple[str, str]

log = logging.getLogger(__name__)


class RootError(Exception):
    """The directory cannot be used for pods."""


class Kubelet:
    """One node named `local`. Everything below `root` is its own, and is emptied at the start."""

    def __init__(
        self,
        store: Store,
        root: Path,
        *,
        port: int,
        mint: Mint,
        python: Path = Path(sys.executable),
        host_path: str = DEFAULT_PATH,
        max_pods: int = MAX_PODS,
        delay_s: RestartDelay = restart_delay_s,
    ) -> None:
        """`port` is the API server's; `python` is what pods find as python and python3."""
        if max_pods > HOSTS:
            raise ValueError(f"max_pods: at most {HOSTS}, one loopback address for each")
        self._store = store
        self._root = root.resolve()
        self._python = python
        self._max_pods = max_pods
        self._addresses = Addresses(port)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, Place] = {}
        self._held: set[Place] = set()
        self._lost = False
        self._lock: IO[bytes] | None = None
        self._reports = Reports(store, lambda: timestamp(store.now()))
        self._site = Site(
            root=self._root,
            env={
                "PATH": interpreter.search_path(self._root / "bin", python, host_path),
                "KUBERNETES_SERVICE_HOST": node.HOST_IP,
                "KUBERNETES_SERVICE_PORT": str(port),
                "ELASTICJOB_SHARED_NETWORK": "1",
            },
            reports=self._reports,
            processes=Processes(self._root),
            config_map=partial(store.find, CONFIGMAPS),
            token=lambda pod: mint(*_account(pod)),
            delay_s=delay_s,
        )

    # -- the node -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the directory, end what an earlier server left there, and accept pods."""
        self._take_root()
        if left := await sweep(f"{self._root}/"):
            log.warning("ended %d processes that an earlier server had left", left)
        for entry in self._root.iterdir():
            if entry.is_dir():
                await asyncio.to_thread(shutil.rmtree, entry, ignore_errors=True)
        interpreter.offer(self._python, self._root / "bin")
        self._site.processes.open()  # so that the first pod need not wait for it
        self._store.create(NODES, "", node.node())
        self._say(node.ready)
        self._store.listeners.append(self._heard)
        self._catch_up()

    async def close(self, grace_s: float = CLOSE_GRACE_S) -> None:
        """End every pod and say nothing of it: the server ends, too."""
        self._store.listeners.remove(self._heard)
        self._reports.silence()
        workers = list(self._workers.values())
        for worker in workers:
            worker.grace.begin(grace_s)
        for worker in workers:
            await worker.ended.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._site.processes.close()
        await sweep(f"{self._root}/")
        if self._lock is not None:
            self._lock.close()

    def logs(self, pod: Object, call: Call) -> AbstractContextManager[AsyncIterator[bytes]]:
        """The answer to a request for a pod's log."""
        worker = self._workers.get(pod["metadata"]["uid"])
        name = pod["metadata"]["name"]
        if worker is None:
            raise bad_request(f"pod {name} does not have a host assigned")
        return reading(name, worker.containers, LogOptions.parse(call.query))

    # -- pods -----------------------------------------------------------------------------------

    def _heard(self, resource: Resource, event: Event) -> None:
        """A write has happened. What is to be done about it is done after it, not within."""
        if resource == PODS and not self._lost:
            asyncio.get_running_loop().call_soon(self._follow, event.object, event.type)

    def _follow(self, pod: Object, change: str) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if change == "DELETED":
            self._waiting.pop(uid, None)
            if worker is not None:
                worker.gone()
        elif worker is not None:
            worker.told(pod)
        elif change == "ADDED":
            self._schedule(pod)

    def _catch_up(self) -> None:
        """Follow what has happened while nobody listened."""
        present = {pod["metadata"]["uid"]: pod for pod in self._store.list(PODS)}
        for uid, worker in self._workers.items():
            if uid not in present:
                worker.gone()
        for uid, pod in present.items():
            self._follow(pod, "MODIFIED" if uid in self._workers else "ADDED")

    def _schedule(self, pod: Object) -> None:
        """Bind the pod and run it, or let it wait for room."""
        uid = pod["metadata"]["uid"]
        if pod["spec"].get("nodeName", node.NAME) != node.NAME:
            return
        if sum(not worker.ended.is_set() for worker in self._workers.values()) < self._max_pods:
            self._waiting.pop(uid, None)
            self._run(self._bind(pod))
        elif uid not in self._waiting:
            self._waiting[uid] = place(pod)
            self._reports.unschedulable(pod, "0/1 nodes are available: 1 Too many pods.")

    def _bind(self, pod: Object) -> Object:
        namespace, name = place(pod)

        def on_node(present: Object) -> Object:
            return {**present, "spec": {**present["spec"], "nodeName": node.NAME}}

        bound = self._store.update(PODS, namespace, name, on_node)
        message = f"Successfully assigned {namespace}/{name} to {node.NAME}"
        self._reports.event(bound, "Normal", "Scheduled", message)
        return bound

    def _run(self, pod: Object) -> None:
        worker = PodWorker(pod, self._addresses.take(), self._site, self._make_room)
        if place(pod) not in self._held:
            worker.released.set()
        worker.told(pod)
        self._workers[pod["metadata"]["uid"]] = worker
        task = asyncio.create_task(self._live(pod, worker), name=f"pod {'/'.join(place(pod))}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, pod: Object, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            log.exception("pod %s/%s", *place(pod))
        finally:
            del self._workers[pod["metadata"]["uid"]]

    def _make_room(self, ended: PodWorker) -> None:
        """A pod has ended: its address is free, and another may have its place."""
        self._addresses.give_back(ended.address)
        for uid, where in list(self._waiting.items()):
            pod = self._store.find(PODS, *where)
            if pod is not None and pod["metadata"]["uid"] == uid:
                self._schedule(pod)

    # -- faults on purpose ----------------------------------------------------------------------

    def hold(self, namespace: str, name: str) -> None:
        """The pod of this name, when it comes, is bound and does not start."""
        self._held.add((namespace, name))

    def release(self, namespace: str, name: str) -> None:
        """Let it start."""
        self._held.discard((namespace, name))
        for worker in self._workers_of(namespace, name):
            worker.released.set()

    def freeze(self, namespace: str, name: str) -> None:
        """Stop every process of the pod where it stands; its deletion still ends it."""
        for process in self._processes_of(namespace, name):
            process.freeze()

    def thaw(self, namespace: str, name: str) -> None:
        """Let them go on."""
        for process in self._processes_of(namespace, name):
            process.thaw()

    def kill(self, namespace: str, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal the main process of every container, as `kill` on the node would."""
        for process in self._processes_of(namespace, name):
            process.signal(number)

    def disconnect_node(self) -> None:
        """The kubelet is cut off: pods run on, but it hears of nothing and reports nothing."""
        self._say(node.unknown)
        self._lost = True
        self._reports.silence()

    def reconnect_node(self) -> None:
        """It is back, reports what has happened and does what it has missed."""
        self._lost = False
        self._reports.resume()
        self._say(node.ready)
        self._catch_up()

    def _workers_of(self, namespace: str, name: str) -> list[PodWorker]:
        pod = self._store.find(PODS, namespace, name)
        worker = self._workers.get(pod["metadata"]["uid"]) if pod else None
        return [worker] if worker else []

    def _processes_of(self, namespace: str, name: str) -> list[Process]:
        return [
            process for worker in self._workers_of(namespace, name) for process in worker.processes
        ]

    # -- inside ---------------------------------------------------------------------------------

    def _say(self, condition: Callable[[str], Object]) -> None:
        """Write the node's status, with this as its condition."""
        status = node.status(self._max_pods, condition(self._reports.now()))
        self._store.update(NODES, "", node.NAME, lambda old: {**old, "status": status}, "status")

    def _take_root(self) -> None:
        """Nobody else's directory is emptied, and no two kubelets end each other's pods."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._root / "lock"
        if not lock.exists() and any(self._root.iterdir()):
            raise RootError(f"{self._root} is not empty, and is not elasticjob's; name another")
        self._lock = lock.open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise RootError(f"{self._root} is in use by another server") from None


def _account(pod: Object) -> tuple[str, str, str, str]:
    """Namespace, service account, pod name and UID: what a token is bound to."""
    meta = pod["metadata"]
    account = pod["spec"].get("serviceAccountName", "default")
    return meta["namespace"], account, meta["name"], meta["uid"]
