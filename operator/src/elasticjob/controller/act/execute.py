"""Performs the actions of a plan. Each write can be repeated, and depends on what it was planned
from: a version, a UID, or a name that is used once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import assert_never

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller import kube
from elasticjob.controller.act import existing, manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.act.objects import TRIES, Objects
from elasticjob.controller.act.prerequisites import Prerequisites
from elasticjob.controller.kube import (
    AlreadyExistsError,
    Api,
    ConflictError,
    FailedError,
    NotFoundError,
    RefusedError,
)
from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.agent_leases import AgentLeases
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import refused, repair
from elasticjob.controller.plan.actions import (
    Action,
    ActionResults,
    CreatePod,
    CreateRound,
    DeleteLease,
    DeletePod,
    DeleteRound,
    EnsurePrerequisites,
    LeaseList,
    ListLeases,
    Mark,
    ReplaceRound,
    Step,
    WriteRound,
    describe,
)
from elasticjob.controller.report import status
from elasticjob.controller.report.texts import DELETIONS
from elasticjob.rendezvous.now import Now
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.lease import AgentLease, EndedMark
from elasticjob.wire.member import Pod

FIRST_BATCH = 8  # pods at once, if none was refused before: as many as are sent at a time
PASS_S = 2.0  # then a job with many pods to create, mark or delete leaves its turn to others
# Errors of a single request, after which the others are sent.
REFUSED = (RefusedError, FailedError)
# A quota with many writers answers 409, a deleted namespace 404.
NOT_CREATED = (*REFUSED, ConflictError, NotFoundError)

NoteJob = Callable[[Json], object]

log = logging.getLogger(__name__)


class Executor:
    """Performs the actions for one job at a time.

    clock: monotonic seconds. note_job: receives each version of a job that reserves pods.
    """

    def __init__(
        self, api: Api, bundle: Bundle, clock: Callable[[], float], note_job: NoteJob
    ) -> None:
        self._api = api
        self._note_job = note_job
        self._objects = Objects(api)
        self._prerequisites = Prerequisites(self._objects, bundle)
        self._clock = clock

    async def perform(
        self, snapshot: Snapshot, actions: Iterable[Action], results: ActionResults
    ) -> None:
        """Perform all actions in order, pods last. A refused one delays only the actions that
        depend on it.

        results: receives what was done, also before an error. Raises KubeError.
        """
        ends_at = self._clock() + PASS_S
        try:
            await self._perform_all(snapshot, tuple(actions), results, ends_at)
        finally:
            for action, why in results.refused.items():
                if action not in results.postponed:
                    log.info("cannot %s: %s", describe(action, snapshot.job.name), why)

    async def _perform_all(
        self,
        snapshot: Snapshot,
        actions: tuple[Action, ...],
        results: ActionResults,
        ends_at: float,
    ) -> None:
        for action in actions:
            if self._clock() >= ends_at:
                results.is_cut = True  # all that is left is planned again
                return
            if isinstance(action, CreatePod) or _is_held_up(action, results):
                continue
            try:
                await self._perform(snapshot, action, results)
                results.done.append(action)
            except REFUSED as error:
                results.refused[action] = error.server_message
        creations = [a for a in actions if isinstance(a, CreatePod) and not _is_held_up(a, results)]
        if creations:
            await self._create_pods(snapshot, creations, results, ends_at)

    async def _perform(self, snapshot: Snapshot, action: Step, results: ActionResults) -> None:
        match action:
            case EnsurePrerequisites():
                await self._ensure_prerequisites(snapshot, results)
            case CreateRound():
                await self._create_round(snapshot, action, results)
            case DeleteRound():
                name = names.round_lease_name(snapshot.job.name)
                await self._objects.delete(kube.LEASES, snapshot.job, name, action.uid)
            case Mark():
                await self._mark(snapshot, action, results)
            case WriteRound():
                await self._write_round(snapshot.job, action)
            case ReplaceRound():
                await self._replace_round(snapshot, action, results)
            case DeletePod():
                log.info("delete %s: %s", action.name, DELETIONS[action.why])
                await self._objects.delete(kube.PODS, snapshot.job, action.name, action.uid)
            case DeleteLease():
                await self._objects.delete(kube.LEASES, snapshot.job, action.name, action.uid)
            case ListLeases():
                await self._list_leases(snapshot, results)
            case _:
                assert_never(action)

    # ---- prerequisites of pods ---------------------------------------------------------------

    async def _ensure_prerequisites(self, snapshot: Snapshot, results: ActionResults) -> None:
        if not repair.exist(snapshot, Now(self._clock())):
            created = await self._prerequisites.ensure(snapshot)
            results.restored += created if snapshot.living else []
            results.ensured_at = self._clock()

    # ---- the Round Lease and the agent Leases ------------------------------------------------

    async def _create_round(
        self, snapshot: Snapshot, action: CreateRound, results: ActionResults
    ) -> None:
        job, round_ = snapshot.job, action.round
        await self._reserve(job, status.with_round(snapshot, round_), results)
        if round_.n:
            log.info("the Round Lease is lost, and is created again with round %d", round_.n)
        body = leases.round_manifest(job.identity, action.desired, round_)
        await self._objects.ensure(job, kube.LEASES, body)

    async def _write_round(self, job: Job, action: WriteRound) -> None:
        body: Json = {"metadata": {"resourceVersion": action.version}}
        if action.desired is not None:
            body = leases.desired_patch(action.desired, action.version)
        if action.clear_holder:
            body = {**leases.holder_patch("", "", action.version), **body}
        name = names.round_lease_name(job.name)
        await self._api.patch(kube.LEASES, job.namespace, name, body)

    async def _replace_round(
        self, snapshot: Snapshot, action: ReplaceRound, results: ActionResults
    ) -> None:
        job, round_ = snapshot.job, action.round
        await self._reserve(job, status.with_round(snapshot, round_), results)
        log.warning("the round is replaced by round %d: %s", round_.n, action.fault)
        body = leases.round_again_patch(action.desired, round_, action.version)
        await self._api.patch(kube.LEASES, job.namespace, names.round_lease_name(job.name), body)

    async def _mark(self, snapshot: Snapshot, action: Mark, results: ActionResults) -> None:
        """Mark a Lease or create a marked one; an agent may renew or create it at the same time.

        A Lease of an older job or one that cannot be read is deleted, and a marked one is created.
        A Lease of another owner stays: the pod never had one.
        """
        job, name = snapshot.job, snapshot.job.pod_name(action.pod)
        for _ in range(TRIES):
            try:
                if (body := await self._objects.get(kube.LEASES, job, name)) is None:
                    if not action.create:
                        results.unmarked.append(action.pod)
                        return
                    made = self._ended_manifest(snapshot, action)
                    body = await self._api.create(kube.LEASES, job.namespace, made)
                if not leases.job_uid_of(body):
                    log.info("the name %s is taken", name)
                    results.taken.append(action.pod)
                    return
                lease = _readable(body, job)
                if lease is None:
                    await self._objects.delete(kube.LEASES, job, name, body["metadata"]["uid"])
                    continue
                if not lease.ended:
                    patch = self._ended_patch(snapshot, action, lease.version)
                    body = await self._api.patch(kube.LEASES, job.namespace, name, patch)
                    lease = leases.parse_agent(body, job.identity)
                results.marked.append(lease)
                return
            except (AlreadyExistsError, ConflictError, NotFoundError):
                continue
        raise ConflictError(f"the Lease {name} changed before each of {TRIES} writes")

    def _ended_patch(self, snapshot: Snapshot, action: Mark, version: str) -> Json:
        assert snapshot.lease is not None
        job, uid = snapshot.job.identity, snapshot.lease.uid
        return leases.ended_patch(job, uid, _ended_mark(action), version)

    def _ended_manifest(self, snapshot: Snapshot, action: Mark) -> Json:
        assert snapshot.lease is not None
        uid, n = snapshot.lease.uid, snapshot.lease.round.n
        return leases.ended_manifest(snapshot.job.identity, uid, action.pod, _ended_mark(action), n)

    async def _list_leases(self, snapshot: Snapshot, results: ActionResults) -> None:
        selector = (
            f"{names.LABEL_JOB_UID}={snapshot.job.uid},{names.LABEL_LEASE}={names.LEASE_AGENT}"
        )
        seen = AgentLeases(snapshot.job.identity)
        async for page in self._api.list(kube.LEASES, snapshot.job.namespace, selector):
            for body in page.items:
                seen.add(body)
        if seen.ignored:
            log.warning("%s", seen.log_line)
        judged = frozenset(pod.pod for pod in lasting.judged(snapshot))
        results.leases = LeaseList(seen.found, seen.unreadable, judged, self._clock())

    # ---- pods --------------------------------------------------------------------------------

    async def _create_pods(
        self,
        snapshot: Snapshot,
        creations: list[CreatePod],
        results: ActionResults,
        ends_at: float,
    ) -> None:
        """Create pods in batches that double while all are created. After a refusal the rest is
        postponed: its cause would most likely refuse them all."""
        try:
            agent_hash = await self._prerequisites.agent_hash(snapshot)
        except REFUSED as error:
            results.refused[EnsurePrerequisites()] = error.server_message
            return
        pods = tuple(action.pod for action in creations)
        await self._reserve(snapshot.job, status.with_pods(snapshot, pods, agent_hash), results)
        again = any(refused.last_refusal(snapshot, creation) for creation in creations)
        size, waiting = 1 if again else FIRST_BATCH, creations
        while waiting and not results.postponed:
            if self._clock() >= ends_at:
                results.is_cut, results.never_created = True, tuple(waiting)
                return
            batch, waiting = waiting[:size], waiting[size:]
            size *= 2
            bodies = {each: _pod(snapshot.job, each.pod, agent_hash) for each in batch}
            why = await self._create_batch(snapshot.job, bodies, results)
            if why:
                results.postponed = frozenset(waiting)
                results.refused |= dict.fromkeys(waiting, why)

    async def _create_batch(
        self, job: Job, batch: dict[CreatePod, Json], results: ActionResults
    ) -> str:
        """Create these pods at once. Returns the message of the last refusal; empty without one.
        Raises another error after all answers."""
        why = ""
        failed: list[BaseException] = []
        tries = (self._create_pod(job, body) for body in batch.values())
        answers = await asyncio.gather(*tries, return_exceptions=True)
        for creation, answer in zip(batch, answers, strict=True):
            if isinstance(answer, NOT_CREATED):
                why = results.refused[creation] = answer.server_message
            elif isinstance(answer, BaseException):
                failed.append(answer)
            elif answer:
                results.done.append(creation)
            else:
                results.taken.append(creation.pod)
        if failed:
            raise failed[0]
        return why

    async def _reserve(self, job: Job, wanted: ElasticJobStatus, results: ActionResults) -> None:
        """Write what is about to be created into the status, so that no number of a round (I1) and
        no name of a pod (I2) is ever used twice, also if this operator ends before it can note it.
        """
        if fields := status.patch(job.status, wanted):
            body = {"metadata": {"resourceVersion": job.version}, "status": fields}
            answer = await self._api.patch(
                kube.ELASTIC_JOBS, job.namespace, job.name, body, "status"
            )
            self._note_job(answer)  # before an agent can write a round with these pods
            results.reserved = True

    async def _create_pod(self, job: Job, body: Json) -> bool:
        """Create a pod. Returns False if another pod has its name."""
        name = body["metadata"]["name"]
        try:
            await self._api.create(kube.PODS, job.namespace, body)
            log.info("created pod %s", name)
        except AlreadyExistsError:
            found = await self._objects.get(kube.PODS, job, name)
            if found is None or (fault := existing.fault(body, found)):
                log.info("the pod %s %s", name, fault if found else "was deleted at once")
                return False
        return True


def _pod(job: Job, pod: Pod, agent_hash: str) -> Json:
    return manifests.pod(job.body, pod.index, pod.generation, agent_hash)


def _ended_mark(action: Mark) -> EndedMark:
    return EndedMark(action.reason, action.excused)


def _readable(body: Json, job: Job) -> AgentLease | None:
    """The Lease as one of this job; None if it is an older job's or cannot be read."""
    try:
        return leases.parse_agent(body, job.identity)
    except WireError:
        return None


def _is_held_up(action: Action, results: ActionResults) -> bool:
    """Whether an action depends on a refused one: pods on their prerequisites, and a write of the
    Round Lease on the marks: the holder role becomes vacant after its Lease is marked (rule
    9)."""
    first = {CreatePod: EnsurePrerequisites, WriteRound: Mark}.get(type(action))
    return first is not None and any(isinstance(other, first) for other in results.refused)
