"""One pass for one job: look, plan, act, until nothing is to be done; then say how it stands.

First a glance at the cache. Only if that shows something to do is the API server asked, and what
is done is planned from its answers alone: the job, then the Round, then the pods. So every pod that
the Round names existed before the pods were listed, and one that is not there is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller import kube
from elasticjob.controller import plan as plans
from elasticjob.controller.act.execute import Executor
from elasticjob.controller.kube import (
    AlreadyExistsError,
    Api,
    Json,
    KubeError,
    NotFoundError,
)
from elasticjob.controller.observe import heartbeat, parse
from elasticjob.controller.observe.key import Key
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Action, CreatePod
from elasticjob.controller.plan.memory import Memory
from elasticjob.controller.report import events, status
from elasticjob.controller.report.events import Note
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.settings import Settings
from elasticjob.controller.watch.cache import Cache, key_of
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.lease import RoundLease

PASSES = 5  # mark; then make the next generation; then look again
SOON_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clock:
    """now: monotonic seconds. at: the time of day, for people, in whole seconds."""

    now: Callable[[], float] = time.monotonic
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Sight:
    """What is known of a job at one moment, from the cache or from the API server.

    broken: why the Round Lease cannot be read; empty if it can be, or if there is none.
    """

    job: Json
    lease: RoundLease | None
    pods: tuple[ObservedPod, ...]
    broken: str = ""


class Reconciler:
    """Brings jobs to what their specs say. One call per key at a time."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        executor: Executor,
        settings: Settings,
        metrics: Metrics,
        agent_hash: str,
        clock: Clock,
    ) -> None:
        self._api = api
        self._cache = cache
        self._executor = executor
        self._settings = settings
        self._metrics = metrics
        self._agent_hash = agent_hash
        self._clock = clock
        self.memories: dict[Key, Memory] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Work on one job; after how many seconds to come back, or None. Raises KubeError."""
        with self._metrics.reconciles.time():
            sight = self._glance(key)
            if sight is None:
                self._forget(key)
                return None
            job = self._observed(sight.job)
            if job.spec is None:
                await self._tell(key, job, status.of_refused(job, self._clock.utc_now()), ())
                return None
            if sight.broken and not job.status.completion_time:
                await self._tell(
                    key, job, status.of_broken(job, sight.broken, self._clock.utc_now()), ()
                )
                return None
            return await self._work(key, self._snapshot(key, sight, job))

    async def _work(self, key: Key, snapshot: Snapshot) -> float | None:
        plan = plans.plan(snapshot)
        done: list[Action] = []
        refused: dict[Action, str] = {}
        for _ in range(PASSES if plan.actions else 0):
            looked = await self._look(key)
            if looked is None:
                return SOON_S
            snapshot, plan = looked, plans.plan(looked)
            if not plan.actions:
                break
            outcome = await self._executor.perform(snapshot, plan.actions, self.memories[key])
            done += outcome.done
            refused |= outcome.refused
            if outcome.changes_nothing:  # only what is remembered has changed: the refusals
                snapshot = self._with_memory(key, snapshot)
                plan = plans.plan(snapshot)
                break
        notes = (*events.of_actions(tuple(done)), *events.of_refusals(refused))
        await self._tell(key, snapshot.job, status.of(snapshot), notes)
        self._count(done)
        return SOON_S if plan.actions else plan.again_s

    # ---- seeing ------------------------------------------------------------------------------

    def _observed(self, body: Json) -> Job:
        allowed = self._settings.template_accounts == "allow"
        return parse.job(body, template_accounts=allowed)

    def _glance(self, key: Key) -> Sight | None:
        entry = self._cache.entry(key)
        if entry is None or entry.job is None:
            return None
        broken = entry.broken.why if entry.broken else ""
        return Sight(entry.job, entry.lease, tuple(entry.pods.values()), broken)

    async def _look(self, key: Key) -> Snapshot | None:
        """What the API server says now; None if the job is gone, or not what it was."""
        try:
            body = await self._api.get(kube.ELASTIC_JOBS, key.namespace, key.name)
        except NotFoundError:
            return None
        self._cache.update(kube.ELASTIC_JOBS, body)
        round_ = await self._look_at_round(key)
        selector = f"{names.LABEL_JOB}={key.name}"
        pods = [
            seen
            async for page in self._api.list(kube.PODS, key.namespace, selector)
            for item in page.items
            if (seen := self._cache.unreadable.read(kube.PODS, item, parse.pod))
        ]
        job = self._observed(body)
        return None if job.spec is None else self._snapshot(key, Sight(body, round_, (*pods,)), job)

    async def _look_at_round(self, key: Key) -> RoundLease | None:
        """The Round; None also where another Lease has its name, as the cache sees it."""
        name = names.round_lease_name(key.name)
        try:
            body = await self._api.get(kube.LEASES, key.namespace, name)
        except NotFoundError:
            return None
        self._cache.update(kube.LEASES, body)
        return leases.parse_round(body) if key_of(kube.LEASES, body) == key else None

    def _snapshot(self, key: Key, sight: Sight, job: Job) -> Snapshot:
        assert job.spec is not None
        mine = sight.lease is not None and sight.lease.job_uid == job.uid
        snapshot = Snapshot(
            job=job,
            spec=job.spec,
            pods=tuple(p for p in sight.pods if p.job_uid == job.uid),
            lease=sight.lease if mine else None,
            now=self._clock.now(),
            utc_now=self._clock.utc_now(),
            heartbeat_s=self._heartbeat_s(sight.lease if mine else None),
            uncounted_restarts_per_hour=self._settings.uncounted_restarts_per_hour,
            agent_hash=self._agent_hash,
            taken_names=frozenset(p.name for p in sight.pods if p.job_uid != job.uid),
            older_round_uid=sight.lease.uid if sight.lease and not mine else "",
        )
        return self._with_memory(key, snapshot)

    def _with_memory(self, key: Key, snapshot: Snapshot) -> Snapshot:
        memory = self.memories.get(key)
        if memory is None or memory.job_uid != snapshot.job.uid:
            memory = self.memories[key] = Memory(snapshot.job.uid)
        entry = self._cache.entry(key)
        rounds = entry.rounds_for(snapshot.job.uid) if entry else ()
        memory.note_pods(snapshot.by_pod)
        memory.note_rounds(rounds, snapshot.now)
        snapshot = replace(snapshot, recalled=memory.recalled(rounds))
        memory.note_facts(plans.facts(snapshot), snapshot.now)
        return replace(snapshot, recalled=memory.recalled(rounds))

    def _heartbeat_s(self, round_: RoundLease | None) -> float:
        if self._settings.heartbeat_s is not None:
            return self._settings.heartbeat_s
        agents = heartbeat.agents(self._cache.jobs())
        needed_s = heartbeat.needed_s(agents, self._settings.writes_per_s)
        return heartbeat.kept_s(round_.desired.heartbeat_s, needed_s) if round_ else needed_s

    def _forget(self, key: Key) -> None:
        self.memories.pop(key, None)
        self._metrics.note_gone(key)

    # ---- telling -----------------------------------------------------------------------------

    async def _tell(self, key: Key, job: Job, new: ElasticJobStatus, notes: Iterable[Note]) -> None:
        """One status write, none if nothing has changed; then what has, as events and metrics."""
        if job.deleting:
            return
        if fields := status.patch(job.status, new):
            body = {"metadata": {"resourceVersion": job.version}, "status": fields}
            name = (key.namespace, key.name)
            answer = await self._api.patch(kube.ELASTIC_JOBS, *name, body, "status")
            self._cache.update(kube.ELASTIC_JOBS, answer)
            if new.phase != job.status.phase:
                log.info("phase: %s", new.phase)
        self._metrics.note_status(key, job.status, new)
        for note in (*events.of_spec(job), *notes, *events.of_status(job.status, new)):
            await self._post(job, note)

    async def _post(self, job: Job, note: Note) -> None:
        """An event that is lost is lost: nothing depends on it."""
        at = self._clock.utc_now()
        try:
            await self._api.create(kube.EVENTS, job.namespace, events.manifest(job, note, at))
        except AlreadyExistsError:
            await self._repeat(job, note, at)
        except KubeError as error:
            log.warning("event %s: %s", note.reason, error)

    async def _repeat(self, job: Job, note: Note, at: datetime) -> None:
        name = events.event_name(job, note)
        try:
            found = await self._api.get(kube.EVENTS, job.namespace, name)
            patch = events.repeat(found, note, at)
            await self._api.patch(kube.EVENTS, job.namespace, name, patch)
        except KubeError as error:
            log.warning("event %s: %s", note.reason, error)

    def _count(self, done: Iterable[Action]) -> None:
        for action in done:
            if isinstance(action, CreatePod):
                self._metrics.pods.labels("replacement" if action.replaces else "first").inc()
