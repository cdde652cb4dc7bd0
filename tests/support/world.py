"""Reconcile a job in the process of the test, with the store of the local mode as API server.

The test acts as the kubelet (start_pod, end_pod), the agents (write_round, join) and the user
(edit, delete_pod), and sets the time.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.support.jobs import elastic_job
from tests.support.protocol import JOB, T, active
from tests.support.store_api import StoreApi, store

from elasticjob.controller import kube
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.act.execute import Executor
from elasticjob.controller.kube import KubeError, Resource
from elasticjob.controller.metered import Metered
from elasticjob.controller.queue import Backlog, Backoff, Key
from elasticjob.controller.reconcile import Clock, Reconciler
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.resync import find_orphans
from elasticjob.controller.settings import Settings
from elasticjob.controller.watch.cache import WATCHED, Cache
from elasticjob.controller.watch.pulses import Pulses
from elasticjob.local.api.objects import selectors
from elasticjob.local.api.objects.resource import Resource as Stored
from elasticjob.local.api.objects.store import Event
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round

TEAM, DEMO = JOB.namespace, JOB.name
KEY = Key(TEAM, DEMO)
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW_TEXT = "2026-01-01T00:00:00.000000Z"


QUOTA = (
    'pods "{name}" is forbidden: exceeded quota: team-quota,'
    " requested: pods=1, used: pods={used}, limited: pods={most}"
)


def refusal(said: str, code: int = 403, reason: str = "Forbidden") -> Exception:
    """The error of a request that a kube-apiserver answers so."""
    return kube.error_of(code, reason, f"POST /api/v1/namespaces/team/pods: {code}: {said}", said)


class World:
    """One store, one operator, one job `demo` unless the test makes others."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.api = StoreApi(store())
        self.store = self.api.store
        self.cache = Cache()
        self.now = 1000.0
        self.backlog = Backlog(Backoff(), random=lambda: 0.0)
        self.backlog.mark(KEY, self.now)
        self.metrics = Metrics()
        self.restart(settings or Settings(heartbeat_s=T))
        self.store.listeners.append(self._deliver)
        self.marked: set[Key] = set()
        self.passes = 0  # that `sleep` has made
        self.watches_fail = False

    def restart(self, settings: Settings, agent: bytes = b"agent") -> None:
        """Start a new operator, without memory and with a cache of the store."""
        clock, bundle = Clock(now=lambda: self.now, utc_now=self._at), Bundle(agent)
        self.cache, api = Cache(), Metered(self.api)
        self.pulses = Pulses(self.cache.pulses, clock.now)
        executor = Executor(api, bundle, clock.now, partial(self.cache.update, kube.ELASTIC_JOBS))
        self.reconciler = Reconciler(
            api, self.cache, executor, settings, self.metrics, bundle.hash, clock
        )
        for resource in WATCHED:
            for body in self.store.list(self.api.stored(resource)):
                self._take(self.api.stored(resource), body, "")

    def _at(self) -> datetime:
        return START + timedelta(seconds=int(self.now - 1000))

    def _deliver(self, resource: Stored, event: Event) -> None:
        if not self.watches_fail:
            self._take(resource, event.object, event.type)

    def _take(self, resource: Stored, body: Json, kind: str) -> None:
        """Take in a delivery, as the handlers of the watches do. kind: empty for a list."""
        for watched, selector in WATCHED.items():
            if watched.plural == resource.plural and selectors.labels(selector)(body):
                event = {"type": kind or None, "object": body}
                if watched == kube.LEASES and self.pulses.is_only_a_pulse(event):
                    self.pulses.note_pulse(event)
                    continue
                if watched == kube.LEASES:
                    self.pulses.note(event)
                if taken := self.cache.update(watched, body, kind == "DELETED"):
                    self.marked.add(taken[0])

    # ---- the operator --------------------------------------------------------------------------

    def settle(self, key: Key = KEY) -> float | None:
        """Reconcile until the job is not marked any more; return when it is due again."""
        again_s: float | None = None
        for _ in range(20):
            self.marked.discard(key)
            again_s = asyncio.run(self.reconciler.reconcile(key))
            if key not in self.marked and (again_s is None or again_s >= 1.0):
                return again_s
        raise AssertionError(f"the operator does not come to rest: {self.api.calls[-30:]}")

    def settled_writes(self, key: Key = KEY) -> list[str]:
        """The writes that settling sends now, without events."""
        self.api.calls.clear()
        self.settle(key)
        return self.api.writes

    def sleep(self, seconds: float) -> None:
        """Let time pass; the operator reconciles the job whenever its queue gives it out."""
        end = self.now + seconds
        while (at := self._next_at()) is not None and at <= end:
            self.now = max(self.now, at)
            self._reconcile_from_queue()
        self.now = end

    def live(self, seconds: float) -> None:
        """Let time pass in which the holder sends a pulse every T; as `sleep`."""
        end = self.now + seconds
        while self.now < end:
            self.sleep(min(T, end - self.now))
            self.pulse()
        self.sleep(0)

    def _next_at(self) -> float | None:
        if KEY in self.marked:
            self.marked.discard(KEY)
            self.backlog.mark(KEY, self.now)
        return self.backlog.next_at()

    def _reconcile_from_queue(self) -> None:
        key = self.backlog.take(self.now)
        assert key is not None
        self.passes += 1
        try:
            again_s = asyncio.run(self.reconciler.reconcile(key))
        except KubeError:
            self.backlog.failed(key, self.now)
        else:
            self.backlog.finished(key, self.now, again_s)

    # ---- people --------------------------------------------------------------------------------

    def apply(self, body: Json | None = None, **spec: Any) -> Json:
        """kubectl apply of a new job."""
        made = body or elastic_job(**spec)
        return self.store.create(self._stored(kube.ELASTIC_JOBS), TEAM, made)

    def edit(self, name: str = DEMO, *, annotations: Json | None = None, **spec: Any) -> None:
        """kubectl edit of the spec, or of the annotations."""

        def change(old: Json) -> Json:
            old["spec"].update(spec)
            old["metadata"].setdefault("annotations", {}).update(annotations or {})
            return old

        self.store.update(self._stored(kube.ELASTIC_JOBS), TEAM, name, change)

    def limit_pods(self, most: int) -> None:
        """Add a ResourceQuota: at most this number of pods that have not ended."""

        def full(name: str) -> Exception | None:
            ended = ("Succeeded", "Failed")
            used = sum(1 for body in self.pods() if body["status"]["phase"] not in ended)
            return refusal(QUOTA.format(name=name, used=used, most=most)) if used >= most else None

        self.api.refuse["create", "pods"] = full

    def orphan(self) -> None:
        """kubectl delete --cascade=orphan: the collector removes the references to the job."""
        for kind in (kube.PODS, kube.LEASES, kube.SERVICE_ACCOUNTS, kube.ROLE_BINDINGS):
            for body in self.store.list(self._stored(kind), TEAM):
                owners = body["metadata"].get("ownerReferences", [])
                if any(owner["kind"] == names.KIND for owner in owners):
                    self.change_meta(kind, body["metadata"]["name"], ownerReferences=[])
        self.store.delete(self._stored(kube.ELASTIC_JOBS), TEAM, DEMO)

    def change_meta(self, kind: Resource, name: str, **fields: Any) -> None:
        """kubectl edit of the metadata of an object."""
        change = lambda old: {**old, "metadata": {**old["metadata"], **fields}}  # noqa: E731
        self.store.update(self._stored(kind), TEAM, name, change)

    # ---- kubelet -------------------------------------------------------------------------------

    def bind_pod(self, name: str, node: str = "node-1") -> None:
        """A node takes the pod, and has not created its container."""
        self._bind(name, node)
        self.set_pod(name, "Pending", {"waiting": {"reason": "ContainerCreating"}})

    def start_pod(self, name: str, node: str = "node-1") -> None:
        """A node takes the pod, and its agent runs."""
        self._bind(name, node)
        self.set_pod(name, "Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})

    def _bind(self, name: str, node: str) -> None:
        def change(old: Json) -> Json:
            old["spec"]["nodeName"] = node
            return old

        self.store.update(self._stored(kube.PODS), TEAM, name, change)

    def start_all(self) -> None:
        """start_pod for each pod that is pending."""
        for body in self.pods():
            if body["status"]["phase"] == "Pending":
                self.start_pod(body["metadata"]["name"])

    def end_pod(self, name: str, code: int = 1, message: str = "", reason: str = "") -> None:
        """Its agent ends; a pod that is being deleted no longer exists then."""
        ended = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
        ended |= {"message": message, "finishedAt": "2026-01-01T00:01:00Z"}
        self.set_pod(name, "Failed" if code else "Succeeded", {"terminated": ended})
        body = self.store.get(self._stored(kube.PODS), TEAM, name)
        if "deletionTimestamp" in body["metadata"]:
            self.remove_pod(name)

    def end_deleted(self, code: int = 143) -> None:
        """Every pod that is being deleted ends."""
        for body in self.pods():
            if "deletionTimestamp" in body["metadata"]:
                self.end_pod(body["metadata"]["name"], code)

    def set_pod(self, name: str, phase: str, state: Json, **status: Any) -> None:
        """The pod's status as the kubelet writes it."""
        containers = [{"name": "worker", "state": state}]

        def change(old: Json) -> Json:
            return {**old, "status": {"phase": phase, "containerStatuses": containers, **status}}

        self.store.update(self._stored(kube.PODS), TEAM, name, change, "status")

    def remove_pod(self, name: str) -> None:
        """Deletion without grace, as a kubelet ends one, or as a person forces it."""
        self.store.delete(self._stored(kube.PODS), TEAM, name, {"gracePeriodSeconds": 0})

    def delete_pod(self, name: str) -> None:
        """kubectl delete pod."""
        self.store.delete(self._stored(kube.PODS), TEAM, name)

    # ---- agents --------------------------------------------------------------------------------

    def join(self, pod: Pod, n: int = 0, **state: Any) -> None:
        """An agent creates its Lease as `ready n`."""
        ready = AgentState(AgentPhase.READY, n, **state)
        body = leases.agent_manifest(
            self.job_identity(), self.round().uid, pod, "nonce", ready, NOW_TEXT, 15.0
        )
        self.store.create(self._stored(kube.LEASES), TEAM, body)

    def intrude(self, pod: Pod, generation: int = 0) -> None:
        """Code in another job labels its own Lease like that of a pod of this job, and renews."""
        lease, name = self._stored(kube.LEASES), names.pod_name("evil", pod.index, generation)
        if self.store.find(lease, TEAM, name) is not None:
            self.store.delete(lease, TEAM, name)
        renew_time = f"2026-01-01T00:00:00.{int(self.now):06d}Z"
        body = leases.agent_manifest(
            self.job_identity(),
            self.round().uid,
            pod,
            "evil",
            AgentState(AgentPhase.READY, 0),
            renew_time,
            15,
        )
        body["metadata"]["name"] = name
        body["metadata"]["labels"][names.LABEL_JOB] = "evil"
        self.store.create(lease, TEAM, body)

    def spoil(self, pod: Pod, record: str = "[") -> None:
        """Code in a pod writes something else than a record into its Lease."""
        notes = {names.ANNOTATION_AGENT: record}
        self._patch_lease(self.pod_name(pod), {"metadata": {"annotations": notes}})

    def renew(self, pod: Pod) -> None:
        """An agent renews its Lease."""
        at = (self._at() + timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._patch_lease(self.pod_name(pod), {"spec": {"renewTime": at}})

    def resync(self) -> None:
        """The operator lists what no watch delivers."""
        asyncio.run(find_orphans(self.api, ("",), self.cache, self.reconciler.memories))
        self.marked.add(KEY)

    def write_round(self, round_: Round, holder: str | None = None) -> None:
        """An agent writes the next round, or becomes the holder."""
        lease = self.round()
        self._patch_lease(self.round_name(), leases.round_patch(round_, lease.version))
        if holder is not None:
            patch = leases.holder_patch(holder, NOW_TEXT, self.round().version)
            self._patch_lease(self.round_name(), patch)

    def advance(self, seconds: float) -> None:
        """Let time pass in which the holder sends pulses."""
        self.now += seconds
        self.pulse()

    def pulse(self) -> None:
        """The holder sends a pulse with its last report."""
        self.report(self.round().report or Report(0, outside=True))

    def report(self, report: Report) -> None:
        """The holder sends a pulse with this report."""
        at = (self._at() + timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        patch = leases.pulse_patch(report, at, self.round().version)
        self._patch_lease(self.round_name(), patch)

    def run(self, *pods: Pod, n: int = 1, **fields: Any) -> Round:
        """A round of these pods is Active, and all run their workers."""
        round_ = active(n, pods, **fields)
        self.write_round(round_, holder=self.pod_name(min(pods)))
        self.report(Report(n, tuple(sorted(pods)), outside=True))
        return round_

    def _patch_lease(self, name: str, patch: Json) -> None:
        from elasticjob.local.api.patches import merge

        lease = self._stored(kube.LEASES)
        self.store.update(lease, TEAM, name, lambda old: merge(old, patch))

    # ---- reads ---------------------------------------------------------------------------------

    def job(self, name: str = DEMO) -> Json:
        """The job as stored."""
        return self.store.get(self._stored(kube.ELASTIC_JOBS), TEAM, name)

    def status(self, name: str = DEMO) -> Json:
        """The status of the job."""
        found: Json = self.job(name).get("status", {})
        return found

    def condition(self, type_: str) -> tuple[str, str, str] | None:
        """(status, reason, message) of a condition."""
        found = [c for c in self.status().get("conditions", []) if c["type"] == type_]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None

    def events(self) -> dict[str, tuple[int, str]]:
        """By reason: (how often, the last message)."""
        found: dict[str, tuple[int, str]] = {}
        for event in self.event_objects():
            count, _ = found.get(event["reason"], (0, ""))
            found[event["reason"]] = (count + event["count"], event["message"])
        return found

    def event_objects(self) -> list[Json]:
        """The Event objects of the job, by their last change."""
        found = self.store.list(self._stored(kube.EVENTS), TEAM)
        return sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))

    def pods(self) -> list[Json]:
        """All pods as stored."""
        return self.store.list(self._stored(kube.PODS), TEAM)

    def pod_names(self) -> list[str]:
        """The names of all pods that are not being deleted."""
        metas = (body["metadata"] for body in self.pods())
        return [meta["name"] for meta in metas if "deletionTimestamp" not in meta]

    def deleted_names(self) -> list[str]:
        """The names of all pods that are being deleted."""
        metas = (body["metadata"] for body in self.pods())
        return [meta["name"] for meta in metas if "deletionTimestamp" in meta]

    def round(self) -> RoundLease:
        """The Round Lease."""
        return leases.parse_round(self.lease(self.round_name()))

    def desired(self) -> Desired:
        """The operator's part of the Round Lease."""
        return self.round().desired

    def agent(self, pod: Pod) -> AgentLease | None:
        """The Lease of a pod's agent."""
        found = self.store.find(self._stored(kube.LEASES), TEAM, self.pod_name(pod))
        return leases.parse_agent(found, self.job_identity()) if found else None

    def mark(self, pod: Pod) -> str:
        """The operator's mark on the Lease of a pod: ended, excused, or none."""
        found = self.agent(pod)
        return "" if not (found and found.ended) else "excused" if found.excused else "ended"

    def lease(self, name: str) -> Json:
        """A Lease as stored."""
        return self.store.get(self._stored(kube.LEASES), TEAM, name)

    def job_identity(self) -> leases.JobIdentity:
        """The job as Leases identify it."""
        return leases.JobIdentity(TEAM, DEMO, self.job()["metadata"]["uid"])

    def round_name(self) -> str:
        """The name of the Round Lease."""
        return names.round_lease_name(DEMO)

    def pod_name(self, pod: Pod) -> str:
        """The name of a pod and its Lease."""
        return names.pod_name(DEMO, pod.index, pod.generation)

    def _stored(self, resource: Resource) -> Stored:
        return self.api.stored(resource)


P = [Pod(index, 0) for index in range(8)]


def settled_world(settings: Settings | None = None, **spec: Any) -> World:
    """A job whose pods are created, and have not started."""
    world = World(settings)
    world.apply(**spec)
    world.settle()
    return world


def running_world(replicas: int = 4, settings: Settings | None = None, **spec: Any) -> World:
    """A job with this number of pods that runs round 1."""
    world = settled_world(settings, replicas=replicas, **spec)
    world.start_all()
    for pod in P[:replicas]:
        world.join(pod)
    world.run(*P[:replicas])
    world.settle()
    return world
