"""The Events of a job: transitions, found by comparing the status before and after a pass.

A job has one Event object per reason, with a name made from both. Each further occurrence raises
its count and replaces its message, so the objects of a job stay few however often it restarts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from elasticjob.api import launchers
from elasticjob.api.rules import worker_command_line
from elasticjob.api.v1alpha1 import ElasticJobStatus, LastFailure
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.plan.actions import (
    Action,
    CreatePod,
    CreateRound,
    DeletePod,
    EnsurePrerequisites,
    describe,
)
from elasticjob.controller.report import failure
from elasticjob.controller.report.texts import ANY, DELETIONS, EVENTS
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.untrusted import plain

COMPONENT = "elasticjob-controller"
LONGEST_MESSAGE = 1000  # the API server allows 1,024 bytes
_LISTED = 5
_NO_PROBLEM = ("PodsStart", "NotWanted", "Ended")  # reasons of PodsReady=False without a problem
_SHOWN_AS_EVENTS = ("Running", "Unstable", "Obstructed", "Suspended")  # conditions that become True


@dataclass(frozen=True)
class Note:
    """One occurrence of an Event."""

    reason: str
    message: str
    warning: bool = False  # a person should look at it


def of_status(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    """The transitions from one status to the other, in the order in which they happened."""
    if _truth(new, "Accepted") == "False" and _message(old, "Accepted") != _message(
        new, "Accepted"
    ):
        yield _note("Refused", message=_message(new, "Accepted"))
    yield from _of_round(old, new)
    for type_ in _SHOWN_AS_EVENTS:
        if _became(old, new, type_, "True"):
            yield _note(type_, message=_message(new, type_))
    if _truth(old, "Suspended") == "True" and _became(old, new, "Suspended", "False"):
        yield _note("Resumed")
    if (problem := _problem(new)) and problem != _problem(old):
        yield _note(problem[0], message=_message(new, "PodsReady"))
    for end in ("Complete", "Failed"):
        if _became(old, new, end, "True"):
            yield _note(end, message=_message(new, end))


def of_spec(job: Job) -> Iterator[Note]:
    """Warnings about a spec, once for each generation of it."""
    if job.spec is None or job.status.observed_generation == job.generation:
        return
    name = launchers.launcher_without_group(worker_command_line(job.body["spec"]))
    if name and job.spec.replicas * job.spec.nproc_per_node > 1:
        yield _note("LauncherInCommand", launcher=name, flags=launchers.GROUP_FLAGS[name])


def of_actions(job: Job, actions: tuple[Action, ...]) -> Iterator[Note]:
    """Pods that were created and deleted: one note for all of one kind."""
    created = [a for a in actions if isinstance(a, CreatePod)]
    for reason, replaces in (("PodsCreated", False), ("PodsReplaced", True)):
        if pods := [job.pod_name(a.pod) for a in created if a.replaces == replaces]:
            yield _note(reason, pods=_list(pods))
    deleted = [a for a in actions if isinstance(a, DeletePod)]
    for why in dict.fromkeys(a.why for a in deleted):
        pods = [a.name for a in deleted if a.why is why]
        yield _note("PodsDeleted", pods=_list(pods), why=DELETIONS[why])


def of_refusals(refused: Mapping[Action, str]) -> Iterator[Note]:
    """The first refused request, with the API server's message and the number of the others.

    The condition PodsReady reports pods that cannot be created.
    """
    of_pods = (EnsurePrerequisites, CreateRound, CreatePod)
    found = [(action, why) for action, why in refused.items() if not isinstance(action, of_pods)]
    if found:
        (action, why), more = found[0], len(found) - 1
        requests = "request was" if more == 1 else "requests were"
        rest = f"; {more} more {requests} refused" if more else ""
        yield _note("RequestRefused", request=describe(action), why=why + rest)


def manifest(job: Job, note: Note, at: datetime) -> Json:
    """The Event object of a first occurrence."""
    time = timestamp(at)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(job, note), "namespace": job.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": job.namespace,
            "name": job.name,
            "uid": job.uid,
        },
        "type": "Warning" if note.warning else "Normal",
        "reason": note.reason,
        "message": note.message[:LONGEST_MESSAGE],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }


def repeat(found: Json, note: Note, at: datetime) -> Json:
    """The merge patch that adds one more occurrence to an Event object."""
    return {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "count": int(found.get("count") or 1) + 1,
        "lastTimestamp": timestamp(at),
        "message": note.message[:LONGEST_MESSAGE],
    }


def event_name(job: Job, note: Note) -> str:
    """The name of the Event object for this reason and job."""
    digest = hashlib.sha256(f"{job.uid} {note.reason}".encode()).hexdigest()[:16]
    return f"{job.name}.{digest}"


def timestamp(at: datetime) -> str:
    """A time as metav1.Time: whole seconds, UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _note(of_reason: str, /, **fields: object) -> Note:
    warning, template = EVENTS.get(of_reason, EVENTS[ANY])
    return Note(of_reason, plain(template.format(**fields)), warning)


def _became(old: ElasticJobStatus, new: ElasticJobStatus, type_: str, truth: str) -> bool:
    return _truth(new, type_) == truth != _truth(old, type_)


def _truth(status: ElasticJobStatus, type_: str) -> str:
    return next((c.status for c in status.conditions or [] if c.type == type_), "")


def _message(status: ElasticJobStatus, type_: str) -> str:
    return next((c.message for c in status.conditions or [] if c.type == type_), "")


def _problem(status: ElasticJobStatus) -> tuple[str, str] | None:
    """Why pods do not run, by the condition PodsReady; None if they are only starting.

    Of refused pods the second part is the API server's message, which makes another event. It does
    not contain the number of refused pods, which makes none.
    """
    for found in status.conditions or []:
        if found.type == "PodsReady" and found.status == "False":
            words = found.message.partition(": ")[2] if found.reason == "PodsRefused" else ""
            return None if found.reason in _NO_PROBLEM else (found.reason, words)
    return None


def _of_round(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    """The failure that ended a round, and the start of the next round."""
    failed, recovery = new.last_failure, new.last_recovery
    if failed and not _is_same(old.last_failure, failed):
        yield _note(
            "WorkersFailed",
            culprit=failure.culprit(failed) or "a pod",
            round=failed.round,
            reason=failed.reason,
            details=f": {failed.message}" if failed.message else "",
        )
    if recovery and recovery != old.last_recovery:
        parts = ("detect", "stop", "rendezvous", "start", "total")
        times = {part: getattr(recovery, f"{part}_millis") or 0 for part in parts}
        yield _note("Restarted", round=recovery.round, **times)


def _is_same(old: LastFailure | None, new: LastFailure) -> bool:
    return old is not None and (old.round, old.pod) == (new.round, new.pod)


def _list(items: list[str]) -> str:
    shown = ", ".join(items[:_LISTED])
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return f"{shown}{more}"
