"""The operator as a process: what runs beside what, and what ends it.

kopf has a thread and a loop of its own: a delivery never waits for the rest of the operator.
A watch that meets an error that kopf does not know ends, and all of kopf with it. It is started
again; if that does not help, the whole process ends, and is started again: that takes a second and
loses nothing, for all state is in the API server.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from elasticjob.controller import health, kube, resync
from elasticjob.controller.act import bundle
from elasticjob.controller.act.execute import Executor
from elasticjob.controller.kube import (
    Json,
    Kube,
    NotFoundError,
    RefusedError,
    Resource,
    UnavailableError,
)
from elasticjob.controller.lead.candidate import Terms
from elasticjob.controller.lead.election import Alone, Election, candidate_here
from elasticjob.controller.observe.key import Key
from elasticjob.controller.queue import Backlog, Backoff, Queue
from elasticjob.controller.reconcile import Clock, Reconciler
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.settings import Settings
from elasticjob.controller.watch import handlers
from elasticjob.controller.watch.cache import Cache
from elasticjob.controller.watch.unreadable import Unreadable
from elasticjob.wire.codec import WireError

STUCK_AFTER_S = 30.0  # a queue that has not turned for so long does not turn any more
LATE_AFTER_S = 60.0  # a job that waits for so long finds the operator overloaded
DEAF_AFTER = 2  # resyncs that found what no watch delivered
RESYNC_SPREAD_S = 60.0
SWEEP_EVERY_S = 3600.0  # listing agents costs their weight, a third of a megabyte each
ELECTION_THREADS = 4  # a request that hangs keeps one, and the next try is made all the same
FIRST_TRY_S = 0.5
LONGEST_TRY_S = 15.0

log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818 - not an error: a way to end
    """Told to end by a signal."""


@dataclass
class WatchHealth:
    """Whether the watches deliver. delivered: since the last resync, by resource."""

    delivered: set[Resource] = field(default_factory=set)
    misses: dict[Resource, int] = field(default_factory=dict)

    def compare(self, changed: dict[Resource, set[Key]]) -> None:
        """After a resync: a resource that had changes, of which no watch said anything, is deaf."""
        for resource, keys in changed.items():
            deaf = bool(keys) and resource not in self.delivered
            self.misses[resource] = self.misses.get(resource, 0) + 1 if deaf else 0
        self.delivered.clear()

    def problem(self) -> str:
        """Which watches are deaf; empty: none."""
        deaf = [r.plural for r, misses in self.misses.items() if misses >= DEAF_AFTER]
        return f"the watches of {', '.join(deaf)} deliver nothing" if deaf else ""


class Operator:
    """All parts, and the tasks that run them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._election = _election(settings)
        self._kube = Kube(
            settings.kubeconfig,
            threads=settings.workers * 2,
            observe=self._note_request,
            before_write=self._election.check,
        )
        self._cache = Cache(
            Unreadable(lambda plural: self._metrics.unreadable.labels(plural).inc())
        )
        self._watch_health = WatchHealth()
        agent = bundle.build()
        self._agent_hash = agent.hash
        self._clock = Clock()
        executor = Executor(self._kube, agent, self._clock.now)
        self._reconciler = Reconciler(
            self._kube, self._cache, executor, settings, self._metrics, agent.hash, self._clock
        )
        self._queue = Queue(
            self._reconciler.reconcile,
            Backlog(Backoff(), random.random),
            workers=settings.workers,
            expected=(kube.KubeError, WireError),
        )
        self._metrics.depth.set_function(self._queue.depth)
        self._metrics.leader.set_function(lambda: self._election.leads)
        self._watching = False
        self._gap = asyncio.Event()  # the watches were down: deletions are missed
        self._synced = False
        self._swept_at = self._clock.now()

    async def run(self) -> None:
        """Until a signal, then in order; or until a part ends that must not, which is raised."""
        serve = health.serve(
            self._settings.health_host,
            self._settings.health_port,
            {"queue": self._is_turning, "watches": self._watch_health.problem},
            {
                "election": self._election.problem,
                "synced": self._is_synced,
                "load": self._is_in_time,
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
            self._kube.close()  # nothing is written any more: another one may lead
            self._election.stop()

    async def _lead(self) -> None:
        """What only one operator of a cluster may do at a time."""
        loop, elected = asyncio.get_running_loop(), asyncio.Event()
        self._election.start(lambda: _call(loop, elected.set))
        await elected.wait()
        await self._first_sync()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="watch")
            tasks.create_task(self._queue.run(), name="queue")
            tasks.create_task(self._resync(), name="resync")

    async def _until_signal(self) -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        await told.wait()
        raise Stopped

    # ---- what is known -----------------------------------------------------------------------

    async def _first_sync(self) -> None:
        """Everything that exists, before anything is done: a cache that lacks pods would have
        each job looked at. An API server that is away is waited for."""
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

    async def _sync(self) -> None:
        """List all, and look at every job again some time in the next minute; at once at those
        that have changed."""
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
        """At each delivery, a mere pulse too; on kopf's thread."""
        self._metrics.delivered.labels(resource.plural).inc()
        self._watch_health.delivered.add(resource)

    def _deliver(self, resource: Resource, body: Json, gone: bool) -> None:
        if taken := self._cache.update(resource, body, gone):
            self._queue.mark(*taken)

    # ---- kopf --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Follows the watches, in a thread of its own, and raises why one has ended for good."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        deliver = _into(loop, self._deliver)
        namespaces = self._settings.namespaces
        watches = handlers.Watches(self._note_delivery, deliver, self._kube.credentials, namespaces)
        logging.getLogger("kopf._cogs.clients.watching").addFilter(handlers.is_first_attempt)

        async def follow() -> None:
            try:
                await watches.follow(lambda: _call(loop, self._note_start))
            except BaseException as error:  # handed over: it ends the process on the other side
                _call(loop, _fail, ended, error)

        # A daemon, which nothing stops: it ends with the process.
        threading.Thread(target=lambda: asyncio.run(follow()), name="kopf", daemon=True).start()
        await ended

    def _note_start(self) -> None:
        """The watches are up. What was deleted since they were up last, only a list shows."""
        if self._watching:
            self._gap.set()
        self._watching = True

    # ---- health ------------------------------------------------------------------------------

    def _is_turning(self) -> str:
        if not self._synced:
            return ""
        silent_s = asyncio.get_running_loop().time() - self._queue.turned_at
        return f"not turned for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else ""

    def _is_synced(self) -> str:
        if not self._election.leads:
            return ""  # ready to take over, which is all that can be asked of it
        if not self._synced:
            return "not everything has been listed yet"
        return "" if self._watching else "the watches are not up yet"

    def _is_in_time(self) -> str:
        late_s = self._queue.late_s()
        return f"a job has waited for {late_s:.0f} s" if late_s > LATE_AFTER_S else ""

    def _note_request(self, method: str, resource: Resource, status: int) -> None:
        self._metrics.requests.labels(method, resource.plural, str(status)).inc()


def _election(settings: Settings) -> Election | Alone:
    if settings.elect is None:
        return Alone()
    api = Kube(settings.kubeconfig, threads=ELECTION_THREADS)
    return Election(api, settings.elect, candidate_here(Terms(settings.elect_s)))


def _into(loop: asyncio.AbstractEventLoop, deliver: handlers.Deliver) -> handlers.Deliver:
    """The same call, made on that loop."""

    def hand_over(resource: Resource, body: Json, gone: bool) -> None:
        _call(loop, deliver, resource, body, gone)

    return hand_over


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *values: object) -> None:
    try:
        loop.call_soon_threadsafe(function, *values)
    except RuntimeError:
        pass  # the loop has ended first: nobody is interested any more


def _fail(ended: asyncio.Future[None], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
