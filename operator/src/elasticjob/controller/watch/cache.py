"""A cache of the watched objects, as records: a job in which nothing changes costs no request.

The cache may be behind. It only decides whether to look at a job; the plan that is performed is
made from the API server's answers. Versions are compared as numbers (KEP-5504), so that an old
delivery never replaces a newer answer. A deleted object does not return with an answer or a list
that was under way: its version is older. One that gets a label of the selector back does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from elasticjob.controller.kube import ELASTIC_JOBS, LEASES, PODS, Resource
from elasticjob.controller.observe import parse
from elasticjob.controller.observe.containers import ContainerState
from elasticjob.controller.observe.key import Key
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.rounds import (
    ObservedRound,
    PastRound,
    Reserved,
    observed_round,
    past,
    reserved,
    why,
)
from elasticjob.controller.watch import pass_delay
from elasticjob.controller.watch.pass_delay import AT_ONCE
from elasticjob.controller.watch.pulses import Pulse
from elasticjob.controller.watch.unreadable import Unreadable
from elasticjob.wire import names
from elasticjob.wire.codec import Json, whole_number
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Recovery

WATCHED = {
    ELASTIC_JOBS: "",
    LEASES: f"{names.LABEL_LEASE}={names.LEASE_ROUND}",
    PODS: names.LABEL_JOB,
}
"""The watched resources, each with its label selector."""
KEPT_ROUNDS = 64
KEPT_CAUSES = 24  # of the last rounds, whole: more than a status lists
KEPT_FAULTS = 8  # pods that cannot be read: a status names a few of them
KEPT_ENDS = 4096  # far more objects than are deleted while a request is under way


@dataclass
class Entry:
    """The objects of one job name: those of the current job, and what older jobs left."""

    job: Json | None = None
    round: ObservedRound | None = None
    pods: dict[str, ObservedPod] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)  # of pods by name
    # By name: why a pod with the job's label cannot be read.
    unreadable_pods: dict[str, str] = field(default_factory=dict)
    # Oldest first.
    rounds: deque[PastRound] = field(default_factory=lambda: deque(maxlen=KEPT_ROUNDS))
    rounds_of: str = ""  # the UID of the job that the rounds belong to

    @property
    def is_empty(self) -> bool:
        """Whether no object is left."""
        return not (self.job or self.round or self.pods or self.unreadable_pods)

    @property
    def lease(self) -> RoundLease | None:
        """The Round Lease of the current job, if it can be read."""
        return self.round.lease if self.round else None

    def rounds_for(self, job_uid: str) -> tuple[PastRound, ...]:
        """The last rounds of the job with this UID."""
        return tuple(self.rounds) if self.rounds_of == job_uid else ()


@dataclass(frozen=True)
class _Held:
    """An object in the cache."""

    key: Key
    name: str
    uid: str
    version: int


class Cache:
    """The entries of all jobs by key."""

    def __init__(self, unreadable: Unreadable | None = None) -> None:
        self.unreadable = unreadable or Unreadable()
        self.agents: Counter[str] = Counter()  # pods whose agent runs, by namespace
        self.pulses: dict[str, Pulse] = {}  # by UID; the thread of the watches writes it
        self._entries: dict[Key, Entry] = {}
        # Versions of deleted objects by UID, oldest first.
        self._ended: dict[str, int] = {}

    def entry(self, key: Key) -> Entry | None:
        """The entry of a key."""
        return self._entries.get(key)

    def job_keys(self) -> list[Key]:
        """The keys of all jobs."""
        return [key for key, entry in self._entries.items() if entry.job is not None]

    def jobs(self) -> Iterator[Json]:
        """All jobs as they were delivered."""
        return (entry.job for entry in self._entries.values() if entry.job is not None)

    def update(
        self, resource: Resource, body: Json, gone: bool = False
    ) -> tuple[Key, float] | None:
        """Take in a delivery or an answer of the API server, and ignore an unreadable object.

        If it may change a plan or a status, returns the key, and the seconds after which to
        reconcile it.
        """
        key = self._key_of(resource, body)
        after_s = self._put(resource, key, body, gone) if key else None
        return None if key is None or after_s is None else (key, after_s)

    def newest_pulse(self, lease: RoundLease) -> tuple[RoundLease, float | None]:
        """The Round Lease with the last pulse that the watch has delivered, and when it arrived.

        None: a read of the Round Lease has shown a newer one.
        """
        pulse = self.pulses.get(lease.uid)
        if pulse is None:
            return lease, None
        if pulse.renew_time == lease.renew_time:
            return lease, pulse.at
        if pulse.version < int(lease.version):
            return lease, None
        return replace(lease, renew_time=pulse.renew_time), pulse.at

    def number_of_pods(self, key: Key) -> int:
        """How many pods have the label of this job name."""
        entry = self._entries.get(key)
        return len(entry.pods) if entry else 0

    def note_round(self, key: Key, seen: ObservedRound) -> None:
        """Take in the Round Lease as a pass has read it, with the pods that the pass has read,
        unless a watch has delivered a newer version or its end meanwhile."""
        entry = self._entries.get(key)
        if entry is None or self._has_ended(seen.uid, seen.version):
            return
        if entry.round is None or seen.version >= entry.round.version:
            _put_round(entry, seen)

    def listing(self, resource: Resource) -> Listing:
        """Begin to take in a whole collection, page by page."""
        return Listing(self, resource)

    def _key_of(self, resource: Resource, body: Json) -> Key | None:
        return self.unreadable.read(resource, body, lambda each: key_of(resource, each))

    def _put(self, resource: Resource, key: Key, body: Json, gone: bool) -> float | None:
        uid, version = body["metadata"]["uid"], _version(body)
        if gone:
            self._note_end(uid, version)
        elif self._has_ended(uid, version):
            return None
        entry = self._entries.setdefault(key, Entry())
        name, agents = body["metadata"]["name"], self.agents
        agents[key.namespace] -= _is_agent_running(entry, name)
        try:
            after_s = _UPDATES[resource.plural](entry, body, gone)
            if resource == LEASES and (fault := _fault_of(entry.round)):
                self.unreadable.note(resource, body, fault)
        except Exception as error:
            self.unreadable.note(resource, body, why(error))
            after_s = _note_unreadable(entry, name, why(error)) if resource == PODS else None
        agents[key.namespace] += _is_agent_running(entry, name)
        if not agents[key.namespace]:
            del agents[key.namespace]
        if entry.is_empty:
            del self._entries[key]
        return after_s

    def _has_ended(self, uid: str, version: int) -> bool:
        return version <= self._ended.get(uid, -1)

    def _note_end(self, uid: str, version: int) -> None:
        self._ended[uid] = version
        if len(self._ended) > KEPT_ENDS:
            del self._ended[next(iter(self._ended))]

    def _held(self, resource: Resource) -> Iterator[_Held]:
        for key, entry in self._entries.items():
            if resource == ELASTIC_JOBS and (job := entry.job) is not None:
                yield _Held(key, key.name, job["metadata"]["uid"], _version(job))
            elif resource == LEASES and (seen := entry.round) is not None:
                yield _Held(key, names.round_lease_name(key.name), seen.uid, seen.version)
            elif resource == PODS:
                for name, pod in entry.pods.items():
                    yield _Held(key, name, pod.uid, entry.versions[name])


class Listing:
    """A collection that is read in pages, of which each is taken in before the next one is read."""

    def __init__(self, cache: Cache, resource: Resource) -> None:
        self._cache = cache
        self._resource = resource
        self._found: set[tuple[Key, str]] = set()
        self._changed: set[Key] = set()

    def add(self, bodies: Iterable[Json]) -> None:
        """Take in a page."""
        for body in bodies:
            if key := self._cache._key_of(self._resource, body):
                self._found.add((key, body["metadata"]["name"]))
                if self._cache._put(self._resource, key, body, gone=False) is not None:
                    self._changed.add(key)

    def end(self, version: str) -> set[Key]:
        """Forget the objects that the collection no longer had at this version. Returns the keys
        that the collection changed.

        An object that was created after the list was read has a higher version, and stays.
        """
        for held in list(self._cache._held(self._resource)):
            if (held.key, held.name) not in self._found and held.version <= int(version):
                meta = {"name": held.name, "uid": held.uid, "resourceVersion": version}
                self._cache._put(self._resource, held.key, {"metadata": meta}, gone=True)
                self._changed.add(held.key)
        return self._changed


def key_of(resource: Resource, body: Json) -> Key | None:
    """The job that an object belongs to by its name; None if it belongs to none.

    Labels can be changed. A pod with another job in its label leaves the job that its name names,
    so the change must reach this job. Raises ValueError for an object without the form that all
    objects have.
    """
    meta = _object(body, "metadata")
    namespace, name = (_text(meta, field) for field in ("namespace", "name"))
    _text(meta, "uid")
    _version(body)
    if resource == ELASTIC_JOBS:
        return Key(namespace, name)
    if resource == PODS:
        return Key(namespace, names.job_name(name))
    labels = _object(meta, "labels")
    job = _text(labels, names.LABEL_JOB) if names.LABEL_JOB in labels else ""
    if resource == LEASES and name != names.round_lease_name(job):
        return None
    return Key(namespace, job) if job else None


def _is_agent_running(entry: Entry, pod_name: str) -> bool:
    pod = entry.pods.get(pod_name)
    return pod is not None and pod.container.state is ContainerState.RUNNING


def _update_job(entry: Entry, body: Json, gone: bool) -> float | None:
    for part in ("spec", "status"):
        _object(body, part)
    before = entry.job
    if gone:
        if before is None or before["metadata"]["uid"] != body["metadata"]["uid"]:
            return None  # of an older job of this name: kopf orders only the deliveries of one UID
        entry.job = None
        return AT_ONCE
    if before is None:
        entry.job = body
        return AT_ONCE
    if _version(body) < _version(before):
        return None  # an older version, or an older job of this name
    entry.job = body
    return pass_delay.after_job(before, body)


def _update_pod(entry: Entry, body: Json, gone: bool) -> float | None:
    name, version = body["metadata"]["name"], _version(body)
    if version < entry.versions.get(name, 0):
        return None
    seen = None if gone else parse.pod(body)
    before = entry.pods.pop(name, None)
    fault = entry.unreadable_pods.pop(name, None)
    entry.versions.pop(name, None)
    if seen is not None:
        entry.pods[name], entry.versions[name] = seen, version
    return AT_ONCE if before != seen or fault else None


def _update_round(entry: Entry, body: Json, gone: bool) -> float | None:
    before = entry.round
    if gone:
        if before is None or before.uid != body["metadata"]["uid"]:
            return None
        entry.round = None
        return AT_ONCE
    if before is not None and _version(body) < before.version:
        return None  # a newer version of this Round Lease is known, or a newer one of its name
    return _put_round(entry, observed_round(body, _reserved(entry)))


def _reserved(entry: Entry) -> Reserved:
    """The pods that the operator has reserved of the current job."""
    if entry.job is None:
        return Reserved("")
    return reserved(entry.job["metadata"]["uid"], entry.job.get("status"), entry.pods.values())


def _put_round(entry: Entry, seen: ObservedRound) -> float | None:
    before, entry.round = entry.round, seen
    if seen.lease is not None and not seen.excess:
        _keep_round(entry, seen, seen.lease)
    return pass_delay.after_round(before, seen)


def _fault_of(seen: ObservedRound | None) -> str:
    return (seen.why or seen.excess or seen.ignored) if seen else ""


def _keep_round(entry: Entry, seen: ObservedRound, lease: RoundLease) -> None:
    made = past(lease.round, seen.members)
    before: PastRound | None = None
    if entry.rounds_of != seen.job_uid:
        entry.rounds_of = seen.job_uid
        entry.rounds.clear()
    if entry.rounds and entry.rounds[-1].n == made.n:
        before = entry.rounds.pop()  # an agent may have replaced its cause by an earlier failure
    recovery = _recovery(lease) or (before.recovery if before else None)
    entry.rounds.append(replace(made, recovery=recovery))
    if len(entry.rounds) > KEPT_CAUSES:
        older = -KEPT_CAUSES - 1
        entry.rounds[older] = replace(entry.rounds[older], details=None)


def _recovery(lease: RoundLease) -> Recovery | None:
    found = lease.report.recovery if lease.report else None
    return found if found and found.n == lease.round.n else None


def _note_unreadable(entry: Entry, name: str, fault: str) -> float | None:
    """Keep the reason of a pod that cannot be read in place of the pod."""
    entry.versions.pop(name, None)
    was_known = entry.pods.pop(name, None) is not None
    before = entry.unreadable_pods.get(name)
    if before is None and len(entry.unreadable_pods) >= KEPT_FAULTS:
        return AT_ONCE if was_known else None
    entry.unreadable_pods[name] = fault
    return AT_ONCE if was_known or before != fault else None


_UPDATES = {
    ELASTIC_JOBS.plural: _update_job,
    PODS.plural: _update_pod,
    LEASES.plural: _update_round,
}


def _version(body: Json) -> int:
    version = whole_number(_text(body["metadata"], "resourceVersion"))
    if version is None:
        raise ValueError("metadata.resourceVersion is not a number")
    return version


def _object(owner: Json, field: str) -> Json:
    """A part of an object, empty if it is absent; raises ValueError."""
    found = owner.get(field) if isinstance(owner, dict) else owner
    if not isinstance(found, dict | None):
        raise ValueError(f"{field} is not an object")
    return found or {}


def _text(owner: Json, field: str) -> str:
    """A string in an object; raises ValueError."""
    found = owner.get(field)
    if not isinstance(found, str):
        raise ValueError(f"{field} is not a string")
    return found
