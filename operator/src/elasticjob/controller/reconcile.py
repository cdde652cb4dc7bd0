"""One pass for one job: observe, plan, act, until the plan has no more actions; then report.

The first plan is made from the cache. Only if it has actions does the operator read the API
server, and it acts on plans made from those answers alone: the job, then the Round Lease, then the
pods. Every pod that the Round Lease names existed before the pods are listed, so one that is
missing is gone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller import kube
from elasticjob.controller import plan as plans
from elasticjob.controller.act import pod_events
from elasticjob.controller.act.execute import Executor
from elasticjob.controller.allowance import Allowance
from elasticjob.controller.kube import (
    AlreadyExistsError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from elasticjob.controller.metered import Metered
from elasticjob.controller.observe import heartbeat, parse
from elasticjob.controller.observe.key import Key
from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.controller.observe.pod_events import PodEvents
from elasticjob.controller.observe.rounds import ObservedRound, observed_round, reserved, why
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import Plan
from elasticjob.controller.plan import memory as memories
from elasticjob.controller.plan.actions import Action, ActionResults, CreatePod
from elasticjob.controller.report import (
    events,
    recent_failures,
    round_events,
    state,
    status,
    waiting,
    waits,
)
from elasticjob.controller.report import journal as journals
from elasticjob.controller.report.journal import Entry, Journal, Note
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.report.state import State
from elasticjob.controller.settings import Settings
from elasticjob.controller.watch.cache import Cache, key_of
from elasticjob.rendezvous.now import Now
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.lease import RoundLease

ITERATIONS = 5  # mark ended pods, then create their replacements, then plan again, and a reserve
SOON_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clock:
    """The clocks of the operator."""

    now: Callable[[], float] = time.monotonic
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class JobObjects:
    """The objects of a job name at one moment, from the cache or from the API server."""

    job: Json
    round: ObservedRound | None
    pods: tuple[ObservedPod, ...]
    unreadable_pods: Mapping[str, str]  # by name: why


class Reconciler:
    """Brings jobs to the state that their specs describe. It runs once per key at a time."""

    def __init__(
        self,
        api: Metered,
        cache: Cache,
        executor: Executor,
        settings: Settings,
        metrics: Metrics,
        agent_hash: str,
        clock: Clock,
    ) -> None:
        self._api = api
        self._allowance = Allowance()
        self._cache = cache
        self._executor = executor
        self._settings = settings
        self._metrics = metrics
        self._agent_hash = agent_hash
        self._clock = clock
        self._is_blind = False  # the last request of a pass had no answer
        self._contact_since = -math.inf
        self._pod_events: dict[Key, PodEvents] = {}
        self.memories: dict[Key, Memory] = {}
        self._journals: dict[Key, Journal] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one job. Returns the seconds until the next pass, or None. Raises KubeError.

        A job that has cost many requests waits for its next pass.
        """
        pods = self._cache.number_of_pods(key)
        if (wait_s := self._allowance.wait_s(key, pods, self._clock.now())) > 0:
            self._metrics.postponed.inc()
            return max(wait_s, SOON_S)
        with self._metrics.reconciles.time(), self._api.turn() as turn:
            try:
                return await self._reconcile(key)
            except UnavailableError:
                self._note_contact(is_blind=True)
                raise
            finally:
                self._allowance.take(key, turn.requests, pods, self._clock.now())

    def _note_contact(self, is_blind: bool) -> None:
        """Note whether the API server answers: pulses count from its first answer."""
        if is_blind or self._is_blind:
            self._contact_since = self._clock.now()
        self._is_blind = is_blind

    async def _reconcile(self, key: Key) -> float | None:
        objects = self._read_cache(key)
        if objects is None:
            self._forget(key)
            return None
        job = self._parse_job(objects.job)
        if job.spec is None:
            await self._report_invalid(key, job)
            return None
        seen = objects.round
        if seen and seen.why and not job.status.completion_time:
            await self._report_unreadable_round(key, job, seen.why)
            return None
        return await self._perform_plan(key, self._snapshot(key, objects, job))

    async def _perform_plan(self, key: Key, snapshot: Snapshot) -> float | None:
        plan = self._plan(key, snapshot)
        is_cut = False
        for _ in range(ITERATIONS if plan.actions else 0):
            newer = await self._read_api(key)
            if newer is None:
                return SOON_S
            snapshot, plan = newer, self._plan(key, newer)
            if is_cut or not plan.actions:
                break
            results = await self._perform(key, snapshot, plan)
            is_cut = results.is_cut
            if results.changes_nothing:  # only the remembered refusals have changed
                snapshot = replace(snapshot, memory=self.memories[key])
                plan = self._plan(key, snapshot)
                break
        snapshot, read_again_s = await self._read_events(key, snapshot)
        summary = state.of(snapshot)
        self.memories[key] = replace(self.memories[key], status_times=waits.times(snapshot))
        await self._report(key, snapshot.job, summary, status.of(snapshot, summary), snapshot)
        if plan.actions:
            return SOON_S
        again_s = math.inf if plan.again_s is None else plan.again_s
        again_s = min(again_s, read_again_s, state.changes_in_s(snapshot))
        return again_s if again_s < math.inf else None

    def _plan(self, key: Key, snapshot: Snapshot) -> Plan:
        plan = plans.plan(snapshot)
        self.memories[key] = plan.memory
        return plan

    async def _perform(self, key: Key, snapshot: Snapshot, plan: Plan) -> ActionResults:
        """Perform the actions of this plan. What was done is remembered, also before an error, in
        the memory that a resync may have changed meanwhile."""
        results = ActionResults()
        try:
            await self._executor.perform(snapshot, plan.actions, results)
        finally:
            now = self._clock.now()
            self.memories[key] = memories.after_actions(self.memories[key], snapshot, results, now)
            journal = self._journal(key, snapshot.job)
            self._journals[key] = journals.after_actions(journal, results)
            self._count_pods(results.done)
        return results

    # ---- observe -----------------------------------------------------------------------------

    def _parse_job(self, body: Json) -> Job:
        return parse.job(body, template_accounts=self._settings.template_accounts)

    def _read_cache(self, key: Key) -> JobObjects | None:
        entry = self._cache.entry(key)
        if entry is None or entry.job is None:
            return None
        return JobObjects(
            entry.job, entry.round, tuple(entry.pods.values()), dict(entry.unreadable_pods)
        )

    async def _read_api(self, key: Key) -> Snapshot | None:
        """Read the job, its Round Lease, then the pods; None if the job is gone or now invalid, or
        the Round Lease cannot be read."""
        entry = self._cache.entry(key)
        known = entry.job if entry else None
        try:
            body = await self._api.get(kube.ELASTIC_JOBS, key.namespace, key.name)
        except NotFoundError:
            if known is not None:  # a job of this name that was made meanwhile stays
                self._cache.update(kube.ELASTIC_JOBS, known, gone=True)
            return None
        self._note_contact(is_blind=False)
        self._cache.update(kube.ELASTIC_JOBS, body)
        lease = await self._read_round(key)
        pods: list[ObservedPod] = []
        faults: dict[str, str] = {}
        async for page in self._api.list(kube.PODS, key.namespace, f"{names.LABEL_JOB}={key.name}"):
            for item in page.items:
                try:
                    pods += [pod] if (pod := parse.pod(item)) else []
                except Exception as error:
                    self._cache.unreadable.note(kube.PODS, item, why(error))
                    faults[item["metadata"]["name"]] = why(error)
        job = self._parse_job(body)
        if job.spec is None:
            return None
        seen = None
        if lease is not None:
            seen = observed_round(lease, reserved(job.uid, body.get("status"), pods))
            self._cache.note_round(key, seen)
            if seen.why and not job.status.completion_time:
                return None
        return self._snapshot(key, JobObjects(body, seen, tuple(pods), faults), job)

    async def _read_events(self, key: Key, snapshot: Snapshot) -> tuple[Snapshot, float]:
        """Read the Events of a pod that waits on its node, if this is due. Returns the snapshot
        with them, and the seconds until the next read."""
        now = Now(snapshot.now)
        if pod := waiting.next_to_read(snapshot, now):
            found = self._pod_events[key] = await pod_events.read(self._api, snapshot, pod)
            snapshot = replace(snapshot, pod_events=found)
            waiting.next_to_read(snapshot, now)  # notes the time of the next one
        return snapshot, now.again_at - snapshot.now

    async def _read_round(self, key: Key) -> Json | None:
        """Read the Round Lease; None also if the Lease of this name is another, as in the cache."""
        name = names.round_lease_name(key.name)
        try:
            body = await self._api.get(kube.LEASES, key.namespace, name)
        except NotFoundError:
            return None
        return body if key_of(kube.LEASES, body) == key else None

    def _snapshot(self, key: Key, objects: JobObjects, job: Job) -> Snapshot:
        assert job.spec is not None
        seen = objects.round
        own_lease = seen.lease if seen is not None and seen.job_uid == job.uid else None
        pulse_at: float | None = None
        if own_lease is not None:
            own_lease, pulse_at = self._cache.newest_pulse(own_lease)
        entry = self._cache.entry(key)
        return Snapshot(
            job=job,
            spec=job.spec,
            pods=tuple(p for p in objects.pods if p.job_uid == job.uid),
            lease=own_lease,
            memory=self._memory(key, job),
            now=self._clock.now(),
            utc_now=self._clock.utc_now(),
            heartbeat_s=self._heartbeat_s(key, own_lease),
            uncounted_restarts_per_hour=self._settings.uncounted_restarts_per_hour,
            agent_hash=self._agent_hash,
            older_pods=tuple(p for p in objects.pods if p.job_uid != job.uid),
            seen_round=seen,
            unreadable_pods=objects.unreadable_pods,
            pod_events=self._pod_events.get(key),
            past_rounds=entry.rounds_for(job.uid) if entry else (),
            pulse_at=pulse_at,
            contact_since=self._contact_since,
        )

    def _memory(self, key: Key, job: Job) -> Memory:
        known = self.memories.get(key)
        return known if known is not None and known.job_uid == job.uid else Memory(job.uid)

    def _heartbeat_s(self, key: Key, lease: RoundLease | None) -> float:
        if self._settings.heartbeat_s is not None:
            return self._settings.heartbeat_s
        running, writes_per_s = self._cache.agents, self._settings.writes_per_s
        needed_s = heartbeat.needed_s(key.namespace, running, writes_per_s)
        return heartbeat.kept_s(lease.desired.heartbeat_s, needed_s) if lease else needed_s

    def _forget(self, key: Key) -> None:
        self.memories.pop(key, None)
        self._journals.pop(key, None)
        self._pod_events.pop(key, None)
        self._metrics.note_gone(key)

    # ---- report ------------------------------------------------------------------------------

    async def _report_invalid(self, key: Key, job: Job) -> None:
        summary = state.of_invalid(job)
        new = status.of_invalid(job, summary, self._clock.utc_now())
        await self._report(key, job, summary, new)

    async def _report_unreadable_round(self, key: Key, job: Job, why: str) -> None:
        summary = state.of_unreadable_round(job, why)
        new = status.of_unreadable_round(job, summary, self._clock.utc_now())
        await self._report(key, job, summary, new)

    async def _report(
        self,
        key: Key,
        job: Job,
        summary: State,
        new: ElasticJobStatus,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Write what has changed in the status, then events and metrics.

        Events report what has changed since the last status whose events were written, so that no
        change is lost with the answer to a write of the status.
        """
        if job.deleting:
            return
        journal = self._journals[key] = self._journal(key, job)
        if fields := status.patch(job.status, new):
            body = {"metadata": {"resourceVersion": job.version}, "status": fields}
            name = (key.namespace, key.name)
            answer = await self._api.patch(kube.ELASTIC_JOBS, *name, body, "status")
            self._cache.update(kube.ELASTIC_JOBS, answer)
            if new.phase != job.status.phase:
                log.info("phase: %s", new.phase)
        self._metrics.note_status(key, summary, journal.reported, new)
        notes = tuple(_notes(job, journal, snapshot, new))
        journal = journals.after_report(journal, new)
        now = self._clock.now()
        self._journals[key], entries = journals.entries(journal, job, notes, now)
        for entry in entries:
            if entry.note.round is not None:
                log.info("%s", entry.note.message)
            await self._write_event(job, entry)

    def _journal(self, key: Key, job: Job) -> Journal:
        known = self._journals.get(key)
        is_current = known is not None and known.job_uid == job.uid
        if known is not None and is_current:
            return known
        return Journal(job.uid, recent_failures.in_current_words(job.status))

    async def _write_event(self, job: Job, entry: Entry) -> None:
        """Create an Event, or repeat it. Errors are only logged: nothing depends on Events."""
        at = self._clock.utc_now()
        if entry.note.is_correction:
            await self._repeat_event(job, entry, at)
            return
        try:
            await self._api.create(kube.EVENTS, job.namespace, journals.manifest(job, entry, at))
        except AlreadyExistsError:
            await self._repeat_event(job, entry, at)
        except KubeError as error:
            log.warning("event %s: %s", entry.note.reason, error)

    async def _repeat_event(self, job: Job, entry: Entry, at: datetime) -> None:
        try:
            found = await self._api.get(kube.EVENTS, job.namespace, entry.name)
            patch = journals.repeat(found, entry, at)
            await self._api.patch(kube.EVENTS, job.namespace, entry.name, patch)
        except NotFoundError:
            pass  # it has expired
        except KubeError as error:
            log.warning("event %s: %s", entry.note.reason, error)

    def _count_pods(self, done: Iterable[Action]) -> None:
        for action in done:
            if isinstance(action, CreatePod):
                self._metrics.pods.labels("replacement" if action.replaces else "first").inc()


def _notes(
    job: Job, journal: Journal, snapshot: Snapshot | None, new: ElasticJobStatus
) -> Iterator[Note]:
    """What has happened since the last report, in this order."""
    yield from events.of_spec(job, journal.reported)
    if snapshot is not None:
        yield from round_events.of(snapshot, journal.reported, new)
    yield from events.of_causes(journal.reported, new)
    yield from events.of_actions(job, journal.done)
    yield from events.of_restored(journal.restored)
    yield from events.of_refusals(job, journal.refused)
    yield from events.of_pods(journal.reported, new)
