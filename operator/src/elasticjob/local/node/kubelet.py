"""The scheduler and kubelet of the local mode: binds each pod to the only node and runs it.

It reads and writes objects in the store only, and contains nothing specific to ElasticJob.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import CONFIGMAPS, NODES, PODS
from elasticjob.local.api.objects.errors import bad_request
from elasticjob.local.api.objects.lifecycle import timestamp
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store
from elasticjob.local.directories import new_directory
from elasticjob.local.node import interpreter, node
from elasticjob.local.node.addresses import HOSTS, Addresses
from elasticjob.local.node.pod.container import RestartDelay, restart_delay_s
from elasticjob.local.node.pod.logs import LogOptions, open_log
from elasticjob.local.node.pod.worker import NodeContext, PodWorker
from elasticjob.local.node.processes import Process, Processes, sweep
from elasticjob.local.node.reporter import PodReporter, pod_key

MAX_PODS = 110
CLOSE_GRACE_S = 2.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Mint = Callable[[str, str, str, str], str | None]
"""Issues a token for (namespace, service account, pod name, pod UID); None without the account."""
PodKey = tuple[str, str]

log = logging.getLogger(__name__)


class Kubelet:
    """The kubelet of the node `local`. Its start replaces the directory `root`.

    The directory above `root` must be safe (`own_directory`).
    """

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
        """`port` is that of the API server; pods run `python` as python and python3."""
        if max_pods > HOSTS:
            raise ValueError(f"max_pods: at most {HOSTS}, one loopback address for each")
        self._store = store
        self._root = root.absolute()
        self._python = python
        self._max_pods = max_pods
        self._addresses = Addresses(port)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, PodKey] = {}
        self._held: set[PodKey] = set()
        self._is_disconnected = False
        self._reporter = PodReporter(store, lambda: timestamp(store.now()))
        self._context = NodeContext(
            root=self._root,
            env={
                "PATH": interpreter.search_path(self._root / "bin", python, host_path),
                "KUBERNETES_SERVICE_HOST": node.HOST_IP,
                "KUBERNETES_SERVICE_PORT": str(port),
                "ELASTICJOB_SHARED_NETWORK": "1",
                "ELASTICJOB_CGROUP_DIR": "",
            },
            reporter=self._reporter,
            processes=Processes(self._root),
            config_map=partial(store.find, CONFIGMAPS),
            token=lambda pod: mint(*_token_subject(pod)),
            delay_s=delay_s,
        )

    # -- the node -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Kill processes of an earlier server, empty the directory, and accept pods."""
        if killed := await sweep(f"{self._root}/"):
            log.warning(
                "killed %d processes that an earlier server had left in %s", killed, self._root
            )
        await asyncio.to_thread(new_directory, self._root)
        interpreter.install(self._python, self._root / "bin")
        self._context.processes.open()  # so that the first pod does not wait for it
        self._store.create(NODES, "", node.node())
        self._write_node_status(node.ready_condition)
        self._store.listeners.append(self._on_event)
        self._resync()

    async def close(self, grace_s: float = CLOSE_GRACE_S) -> None:
        """End every pod, without a status, because the server ends, too."""
        self._store.listeners.remove(self._on_event)
        self._reporter.pause()
        workers = list(self._workers.values())
        for worker in workers:
            worker.grace.begin(grace_s)
        for worker in workers:
            await worker.ended.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._context.processes.close()
        await sweep(f"{self._root}/")

    def logs(self, pod: Object, call: Call) -> AbstractContextManager[AsyncIterator[bytes]]:
        """Open the log of a pod for a request."""
        worker = self._workers.get(pod["metadata"]["uid"])
        name = pod["metadata"]["name"]
        if worker is None:
            raise bad_request(f"pod {name} does not have a host assigned")
        return open_log(name, worker.containers, LogOptions.parse(call.query))

    # -- pods -----------------------------------------------------------------------------------

    def _on_event(self, resource: Resource, event: Event) -> None:
        """Schedule the reaction to a write; it runs after the write."""
        if resource == PODS and not self._is_disconnected:
            asyncio.get_running_loop().call_soon(self._follow, event.object, event.type)

    def _follow(self, pod: Object, change: str) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if change == "DELETED":
            self._waiting.pop(uid, None)
            if worker is not None:
                worker.on_deleted()
        elif worker is not None:
            worker.on_updated(pod)
        elif change == "ADDED":
            self._schedule(pod)

    def _resync(self) -> None:
        """Compare the running pods with those in the store, after events were missed."""
        current = {pod["metadata"]["uid"]: pod for pod in self._store.list(PODS)}
        for uid, worker in self._workers.items():
            if uid not in current:
                worker.on_deleted()
        for uid, pod in current.items():
            self._follow(pod, "MODIFIED" if uid in self._workers else "ADDED")

    def _schedule(self, pod: Object) -> None:
        """Bind the pod and run it, or let it wait until the node has room."""
        uid = pod["metadata"]["uid"]
        if pod["spec"].get("nodeName", node.NAME) != node.NAME:
            return
        if sum(not worker.ended.is_set() for worker in self._workers.values()) < self._max_pods:
            self._waiting.pop(uid, None)
            self._run(self._bind(pod))
        elif uid not in self._waiting:
            self._waiting[uid] = pod_key(pod)
            self._reporter.report_unschedulable(pod, "0/1 nodes are available: 1 Too many pods.")

    def _bind(self, pod: Object) -> Object:
        namespace, name = pod_key(pod)

        def on_node(current: Object) -> Object:
            return {**current, "spec": {**current["spec"], "nodeName": node.NAME}}

        bound = self._store.update(PODS, namespace, name, on_node)
        message = f"Successfully assigned {namespace}/{name} to {node.NAME}"
        self._reporter.create_event(bound, "Normal", "Scheduled", message)
        return bound

    def _run(self, pod: Object) -> None:
        worker = PodWorker(pod, self._addresses.take(), self._context, self._on_pod_end)
        if pod_key(pod) not in self._held:
            worker.released.set()
        worker.on_updated(pod)
        self._workers[pod["metadata"]["uid"]] = worker
        task = asyncio.create_task(
            self._run_worker(pod, worker), name=f"pod {'/'.join(pod_key(pod))}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_worker(self, pod: Object, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            log.exception("pod %s/%s", *pod_key(pod))
        finally:
            del self._workers[pod["metadata"]["uid"]]

    def _on_pod_end(self, ended: PodWorker) -> None:
        """Release the address of a pod that has ended, and schedule the waiting pods."""
        self._addresses.release(ended.address)
        for uid, where in list(self._waiting.items()):
            pod = self._store.find(PODS, *where)
            if pod is not None and pod["metadata"]["uid"] == uid:
                self._schedule(pod)

    # -- fault injection ------------------------------------------------------------------------

    def hold(self, namespace: str, name: str) -> None:
        """Bind the pod of this name when it is created, but do not start it."""
        self._held.add((namespace, name))

    def release(self, namespace: str, name: str) -> None:
        """Start a pod that is held."""
        self._held.discard((namespace, name))
        for worker in self._workers_of(namespace, name):
            worker.released.set()

    def freeze(self, namespace: str, name: str) -> None:
        """Suspend every process of the pod with SIGSTOP. Its deletion still ends the pod."""
        for process in self._processes_of(namespace, name):
            process.freeze()

    def thaw(self, namespace: str, name: str) -> None:
        """Continue the processes of a frozen pod."""
        for process in self._processes_of(namespace, name):
            process.thaw()

    def kill(self, namespace: str, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the main process of every container of the pod."""
        for process in self._processes_of(namespace, name):
            process.signal(number)

    def disconnect_node(self) -> None:
        """Disconnect the kubelet: pods continue, but it receives and reports nothing."""
        self._write_node_status(node.unknown_condition)
        self._is_disconnected = True
        self._reporter.pause()

    def reconnect_node(self) -> None:
        """Reconnect the kubelet: it reports and does what it has missed."""
        self._is_disconnected = False
        self._reporter.resume()
        self._write_node_status(node.ready_condition)
        self._resync()

    def _workers_of(self, namespace: str, name: str) -> list[PodWorker]:
        pod = self._store.find(PODS, namespace, name)
        worker = self._workers.get(pod["metadata"]["uid"]) if pod else None
        return [worker] if worker else []

    def _processes_of(self, namespace: str, name: str) -> list[Process]:
        return [
            process for worker in self._workers_of(namespace, name) for process in worker.processes
        ]

    # -- helpers --------------------------------------------------------------------------------

    def _write_node_status(self, condition: Callable[[str], Object]) -> None:
        """Write the status of the node with a condition."""
        status = node.status(self._max_pods, condition(self._reporter.now()))
        self._store.update(NODES, "", node.NAME, lambda old: {**old, "status": status}, "status")


def _token_subject(pod: Object) -> tuple[str, str, str, str]:
    """The namespace, service account, pod name and pod UID that a token is bound to."""
    meta = pod["metadata"]
    account = pod["spec"].get("serviceAccountName", "default")
    return meta["namespace"], account, meta["name"], meta["uid"]
