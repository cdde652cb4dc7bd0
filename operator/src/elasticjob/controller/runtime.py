"""The operator as a process: the tasks that it runs, and what ends it.

kopf has a separate thread and event loop, so that a delivery never waits for the rest of the
operator. After an error that kopf does not know, a watch ends, and all of kopf with it. The
operator starts kopf again; if this fails repeatedly the process ends, and the kubelet starts it
again. This takes a second and loses nothing, because all state is in the API server.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from elasticjob.controller import health, kube, resync
from elasticjob.controller.act import bundle
from elasticjob.controller.act.execute import Executor
from elasticjob.controller.kube import Kube, NotFoundError, RefusedError, Resource, UnavailableError
from elasticjob.controller.lead.candidate import LeaseTimes
from elasticjob.controller.lead.election import Alone, Election, candidate_here
from elasticjob.controller.metered import Metered
from elasticjob.controller.observe.key import Key
from elasticjob.controller.queue import Backlog, Backoff, Queue
from elasticjob.controller.reconcile import Clock, Reconciler
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.settings import Settings
from elasticjob.controller.watch import handlers
from elasticjob.controller.watch.cache import Cache
from elasticjob.controller.watch.unreadable import Unreadable
from elasticjob.wire.codec import Json, WireError

STUCK_AFTER_S = 30.0  # a queue that has not looked for work for this long is stuck
LATE_AFTER_S = 60.0  # the operator is overloaded if a job waits for this long
MISSED_RESYNCS = 2  # a watch fails when this many resyncs in a row find what it did not deliver
RESYNC_SPREAD_S = 60.0
SWEEP_EVERY_S = 3600.0  # a list of agents costs a third of a megabyte each
ELECTION_THREADS = 4  # a request that hangs occupies one, and the next try uses another
FIRST_TRY_S = 0.5
LONGEST_TRY_S = 15.0

log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 - not an error: a way to end
    """The process received SIGTERM or SIGINT."""


@dataclass
class WatchHealth:
    """Whether the watches deliver what changes."""

    delivered: set[Resource] = field(default_factory=set)  # since the last resync
    misses: dict[Resource, int] = field(default_factory=dict)  # resyncs in a row

    def compare(self, changed: dict[Resource, set[Key]]) -> None:
        """Note after a resync the resources with changes of which no watch delivered any."""
        for resource, keys in changed.items():
            missed = bool(keys) and resource not in self.delivered
            self.misses[resource] = self.misses.get(resource, 0) + 1 if missed else 0
        self.delivered.clear()

    def problem(self) -> str:
        """The watches that deliver nothing, in one line; empty if all deliver."""
        failed = [r.plural for r, misses in self.misses.items() if misses >= MISSED_RESYNCS]
        return f"the watches of {', '.join(failed)} deliver nothing" if failed else ""


class Operator:
    """All parts of the operator, and the tasks that run them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._election = _election(settings)
        self._kube = Kube(
            settings.kubeconfig,
            threads=settings.workers * 2,
            on_answer=self._note_request,
            before_write=self._election.check,
        )
        self._cache = Cache(
            Unreadable(lambda plural: self._metrics.unreadable.labels(plural).inc())
        )
        self._watch_health = WatchHealth()
        agent = bundle.build()
        self._agent_hash = agent.hash
        self._clock = Clock()
        api = Metered(self._kube)
        note_job = partial(self._cache.update, kube.ELASTIC_JOBS)
        executor = Executor(api, agent, self._clock.now, note_job)
        self._reconciler = Reconciler(
            api, self._cache, executor, settings, self._metrics, agent.hash, self._clock
        )
        self._queue = Queue(
            self._reconciler.reconcile,
            Backlog(Backoff(), random.random),
            workers=settings.workers,
            on_error=self._metrics.note_error,
            expected=(kube.KubeError, WireError),
        )
        self._metrics.depth.set_function(self._queue.depth)
        self._metrics.leader.set_function(lambda: self._election.leads)
        self._watching = False
        self._gap = asyncio.Event()  # the watches were down and may have missed deletions
        self._synced = False
        self._swept_at = self._clock.now()

    async def run(self) -> None:
        """Run until a signal, or until a part fails, whose error is raised."""
        serve = health.serve(
            self._settings.health_host,
            self._settings.health_port,
            {"queue": self._queue_problem, "watches": self._watch_health.problem},
            {
                "election": self._election.problem,
                "synced": self._sync_problem,
                "load": self._load_problem,
            },
            self._metrics,
        )
        try:
            async with serve as port, asyncio.TaskGroup() as tasks:
                log.info("health: port %d", port)
                tasks.create_task(self._until_signal(), name="signal")
                tasks.create_task(self._lead(), name="lead")
        except* Stopped:
            log.info("stopped")
        finally:
            self._kube.close()  # this process writes nothing more, so another one may lead
            self._election.stop()

    async def _lead(self) -> None:
        """Do what only one operator of a cluster may do at a time."""
        loop, elected = asyncio.get_running_loop(), asyncio.Event()
        self._election.start(lambda: _call(loop, elected.set))
        await elected.wait()
        await self._first_sync()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="watch")
            tasks.create_task(self._queue.run(), name="queue")
            tasks.create_task(self._resync(), name="resync")

    async def _until_signal(self) -> None:
        received = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, received.set)
        await received.wait()
        raise Stopped

    # ---- lists ---------------------------------------------------------------------------------

    async def _first_sync(self) -> None:
        """List everything before the first reconciliation: with a cache that lacks pods the
        operator would read each job from the API server. Waits for the API server."""
        wait_s = FIRST_TRY_S
        while True:
            try:
                await self._sync()
                break
            except UnavailableError as error:
                log.warning("waiting for the API server: %s", error)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, LONGEST_TRY_S)
            except NotFoundError as error:
                raise RefusedError(f"{error}; {kube.NOT_INSTALLED}") from error
        log.info("%d jobs", len(self._cache.job_keys()))
        self._synced = True

    async def _resync(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.resync_s * random.uniform(0.9, 1.1)):
                    await self._gap.wait()
            except TimeoutError:
                pass
            self._gap.clear()
            try:
                await self._sync()
            except kube.KubeError as error:
                log.warning("resync: %s", error)
            except Exception:  # another object must not end the process
                log.exception("resync")

    async def _sync(self) -> None:
        """List everything. Reconcile jobs that have changed at once, and all within a minute."""
        where = self._settings.namespaces or ("",)
        changed = await resync.compare(self._kube, where, self._cache)
        memories = self._reconciler.memories
        orphaned = await resync.find_orphans(self._kube, where, self._cache, memories)
        if self._clock.now() - self._swept_at >= SWEEP_EVERY_S:
            self._swept_at = self._clock.now()
            present = (self._agent_hash, self._clock.utc_now())
            await resync.delete_old_agents(self._kube, where, self._cache, *present)
        if self._synced:
            self._watch_health.compare(changed)
            for resource, keys in changed.items():
                self._metrics.missed.labels(resource.plural).inc(len(keys))
        for key in orphaned.union(*changed.values()):
            self._queue.mark(key)
        for key in self._cache.job_keys():
            self._queue.mark(key, random.uniform(0.0, RESYNC_SPREAD_S))

    def _note_delivery(self, resource: Resource) -> None:
        """Count a delivery, also of a pulse; runs on kopf's thread."""
        self._metrics.delivered.labels(resource.plural).inc()
        self._watch_health.delivered.add(resource)

    def _deliver(self, resource: Resource, body: Json, gone: bool) -> None:
        if due := self._cache.update(resource, body, gone):
            self._queue.mark(*due)

    # ---- kopf --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Run the watches in a thread, and raise the error with which they ended for good."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        deliver = _on_loop(loop, self._deliver)
        namespaces = self._settings.namespaces
        credentials, pulses = self._kube.credentials, self._cache.pulses
        watches = handlers.Watches(self._note_delivery, deliver, credentials, namespaces, pulses)
        logging.getLogger("kopf._cogs.clients.watching").addFilter(handlers.is_first_attempt)

        async def follow() -> None:
            try:
                await watches.follow(lambda: _call(loop, self._note_start))
            except BaseException as error:  # raised again on the main thread
                _call(loop, _fail, ended, error)

        # A daemon thread: it ends with the process.
        threading.Thread(target=lambda: asyncio.run(follow()), name="kopf", daemon=True).start()
        await ended

    def _note_start(self) -> None:
        """Note that the watches run; only a list shows what was deleted while they did not."""
        if self._watching:
            self._gap.set()
        self._watching = True

    # ---- health ------------------------------------------------------------------------------

    def _queue_problem(self) -> str:
        if not self._synced:
            return ""
        silent_s = asyncio.get_running_loop().time() - self._queue.turned_at
        return f"stuck for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else ""

    def _sync_problem(self) -> str:
        if not self._election.leads:
            return ""  # a candidate is ready: it can take over
        if not self._synced:
            return "not everything has been listed yet"
        return "" if self._watching else "the watches have not started yet"

    def _load_problem(self) -> str:
        late_s = self._queue.late_s()
        return f"a job has waited for {late_s:.0f} s" if late_s > LATE_AFTER_S else ""

    def _note_request(self, method: str, resource: Resource, status: int) -> None:
        self._metrics.requests.labels(method, resource.plural, str(status)).inc()


def _election(settings: Settings) -> Election | Alone:
    if settings.elect is None:
        return Alone()
    api = Kube(settings.kubeconfig, threads=ELECTION_THREADS)
    return Election(api, settings.elect, candidate_here(LeaseTimes(settings.elect_s)))


def _on_loop(loop: asyncio.AbstractEventLoop, deliver: handlers.Deliver) -> handlers.Deliver:
    """A function for another thread that calls deliver on this loop."""

    def deliver_on_loop(resource: Resource, body: Json, gone: bool) -> None:
        _call(loop, deliver, resource, body, gone)

    return deliver_on_loop


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *values: object) -> None:
    try:
        loop.call_soon_threadsafe(function, *values)
    except RuntimeError:
        pass  # the process is ending, and its loop was first


def _fail(ended: asyncio.Future[None], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
