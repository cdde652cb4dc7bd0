"""What `kubectl describe` tells of a job: transitions, read off the status before and after.

One Event object per job and reason, under a name made from both: a repeat is a higher count and a
newer message, never another object, however often a job restarts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from elasticjob.api import launchers
from elasticjob.api.rules import worker_command_line
from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.plan.actions import (
    Action,
    CreatePod,
    CreateRound,
    DeletePod,
    EnsurePrerequisites,
    describe,
)
from elasticjob.wire import names

Json = dict[str, Any]

COMPONENT = "elasticjob-controller"
LONGEST_MESSAGE = 1000  # an Event's is cut at 1,024 bytes
_LISTED = 5
_NO_HINDRANCE = ("PodsStart", "NotWanted", "Ended")  # reasons of PodsReady=False that are no harm


@dataclass(frozen=True)
class Note:
    """One transition. warning: somebody should look at it."""

    reason: str
    message: str
    warning: bool = False


def of_status(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    """What has become different, in the order in which it happened."""
    if _truth(new, "Accepted") == "False" and _message(old, "Accepted") != _message(
        new, "Accepted"
    ):
        yield Note("Refused", _message(new, "Accepted"), warning=True)
    if new.last_failure and not _same_failure(old, new):
        yield Note("WorkersFailed", _failure(new), warning=True)
    if new.last_recovery and new.last_recovery != old.last_recovery:
        yield Note("Restarted", _recovery(new))
    if _became(old, new, "Running", "True"):
        yield Note("Running", _message(new, "Running"))
    if _became(old, new, "Unstable", "True"):
        yield Note("Unstable", _message(new, "Unstable"), warning=True)
    if _became(old, new, "Suspended", "True"):
        yield Note("Suspended", _message(new, "Suspended"))
    if _truth(old, "Suspended") == "True" and _became(old, new, "Suspended", "False"):
        yield Note("Resumed", "the job is not suspended any more")
    if (hindrance := _hindrance(new)) and hindrance != _hindrance(old):
        yield Note(hindrance[0], _message(new, "PodsReady"), warning=True)
    for end in ("Complete", "Failed"):
        if _became(old, new, end, "True"):
            yield Note(end, _message(new, end), warning=end == "Failed")


def of_spec(job: Job) -> Iterator[Note]:
    """What a person should know of a spec, once for each generation of it."""
    if job.spec is None or job.status.observed_generation == job.generation:
        return
    name = launchers.launcher_without_group(worker_command_line(job.body["spec"]))
    if name and job.spec.replicas * job.spec.nproc_per_node > 1:
        message = (
            f"the command starts {name} without the flags that connect it to the other pods, so"
            " each worker trains a model of its own: run the training program itself and set"
            " nprocPerNode to the processes per pod, or set nprocPerNode to 1 and pass"
            f" {launchers.GROUP_FLAGS[name]}"
        )
        yield Note("LauncherInCommand", message, warning=True)


def of_actions(actions: tuple[Action, ...]) -> Iterator[Note]:
    """Pods that were made and deleted: one note for many, never one for each."""
    made = [a for a in actions if isinstance(a, CreatePod)]
    first = [a for a in made if not a.replaces]
    again = [a for a in made if a.replaces]
    if first:
        yield Note("PodsCreated", f"created {_list([_short(a) for a in first])}")
    if again:
        yield Note("PodsReplaced", f"created {_list([_short(a) for a in again])} in place of lost")
    deleted = [a for a in actions if isinstance(a, DeletePod)]
    for why in dict.fromkeys(a.why for a in deleted):
        pods = [a.name for a in deleted if a.why == why]
        yield Note("PodsDeleted", f"deleted {_list(pods)}: {why}")


def of_refusals(refused: Mapping[Action, str]) -> Iterator[Note]:
    """What was refused, in the API server's words. Of pods that cannot be made the condition
    PodsReady tells."""
    of_pods = (EnsurePrerequisites, CreateRound, CreatePod)
    found = [(action, why) for action, why in refused.items() if not isinstance(action, of_pods)]
    if found:
        (action, why), more = found[0], len(found) - 1
        rest = f"; so were {more} more requests" if more else ""
        yield Note("RequestRefused", f"cannot {describe(action)}: {why}{rest}", warning=True)


def manifest(job: Job, note: Note, at: datetime) -> Json:
    """The Event of a first occurrence."""
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
    """The merge patch that makes an Event tell of one more occurrence."""
    return {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "count": int(found.get("count") or 1) + 1,
        "lastTimestamp": timestamp(at),
        "message": note.message[:LONGEST_MESSAGE],
    }


def event_name(job: Job, note: Note) -> str:
    """The same for all occurrences of a reason on this job."""
    digest = hashlib.sha256(f"{job.uid} {note.reason}".encode()).hexdigest()[:16]
    return f"{job.name}.{digest}"


def timestamp(at: datetime) -> str:
    """As metav1.Time: whole seconds, UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _became(old: ElasticJobStatus, new: ElasticJobStatus, type_: str, truth: str) -> bool:
    return _truth(new, type_) == truth != _truth(old, type_)


def _truth(status: ElasticJobStatus, type_: str) -> str:
    return next((c.status for c in status.conditions or [] if c.type == type_), "")


def _message(status: ElasticJobStatus, type_: str) -> str:
    return next((c.message for c in status.conditions or [] if c.type == type_), "")


def _hindrance(status: ElasticJobStatus) -> tuple[str, str] | None:
    """Why pods do not run, where something is wrong; None where they only take their time. The
    second part is another one where the API server refuses them in other words, but not where it
    refuses more or less of them."""
    for found in status.conditions or []:
        if found.type == "PodsReady" and found.status == "False":
            words = found.message.partition(": ")[2] if found.reason == "PodsRefused" else ""
            return None if found.reason in _NO_HINDRANCE else (found.reason, words)
    return None


def _same_failure(old: ElasticJobStatus, new: ElasticJobStatus) -> bool:
    before, after = old.last_failure, new.last_failure
    if before is None or after is None:
        return before is after
    return (before.round, before.pod) == (after.round, after.pod)


def _failure(status: ElasticJobStatus) -> str:
    found = status.last_failure
    assert found is not None
    who = found.pod or "a pod"
    rank = f", rank {found.rank}" if found.rank is not None else ""
    what = f": {found.message}" if found.message else ""
    return f"round {found.round} ended by {who}{rank}: {found.reason}{what}"


def _recovery(status: ElasticJobStatus) -> str:
    found = status.last_recovery
    assert found is not None
    parts = ("detect", "rendezvous", "start")
    each = ", ".join(f"{part} {getattr(found, f'{part}_millis') or 0}" for part in parts)
    return f"round {found.round} runs after {found.total_millis} ms ({each})"


def _short(action: CreatePod) -> str:
    return f"{action.pod.index}-{action.pod.generation}"


def _list(items: list[str]) -> str:
    shown = ", ".join(items[:_LISTED])
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return f"{shown}{more}"
