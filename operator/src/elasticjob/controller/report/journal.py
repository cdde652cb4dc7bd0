"""The Event objects of a job: one for each occurrence, within a bound.

As in client-go, equal events of a job are one object, whose count rises, and a job may have 25
events at once and one more every 300 s. client-go drops the others. Here each further event of a
reason is counted in one object of that reason, which has the last message. So an operator creates
within an hour at most 25 + 12 objects of any job, and one for each reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.plan.actions import Action, ActionResults
from elasticjob.controller.report.texts import ANY, COMBINED, EVENTS
from elasticjob.wire import names
from elasticjob.wire.codec import LARGEST_SET, Json
from elasticjob.wire.untrusted import plain

COMPONENT = "elasticjob-controller"
LONGEST_MESSAGE = 1000  # the API server allows 1,024 bytes
AT_ONCE = 25
EACH_S = 300.0
KEPT_ACTIONS = LARGEST_SET  # not yet reported, while the API server refuses the status


@dataclass(frozen=True)
class Note:
    """Something that happened to a job."""

    reason: str
    message: str
    warning: bool = False  # a person should look at it
    # What it is about, if it may be reported again as more is known; empty: each note is another
    # occurrence.
    action: str = ""


@dataclass(frozen=True)
class Entry:
    """What is to be written about one Event object."""

    name: str
    note: Note
    count: int = 1  # further occurrences; 0: the same one, of which more is known
    is_combined: bool = False  # the object stands for all further events of its reason


@dataclass(frozen=True)
class Journal:
    """What the operator remembers of the events of one job. A restart loses it without harm."""

    job_uid: str
    reported: ElasticJobStatus  # up to which events were written
    done: tuple[Action, ...] = ()  # not yet reported
    refused: Mapping[Action, str] = field(default_factory=dict)  # not yet reported
    restored: tuple[str, ...] = ()  # rights of agents; not yet reported
    spent: float = 0.0  # events that are not yet paid for
    at: float = 0.0  # of the last event, in monotonic seconds
    last: tuple[str, Entry] | None = None  # the last action, and its object


def note(of_reason: str, /, **fields: object) -> Note:
    """The note of a reason, with the text of the table."""
    warning, template = EVENTS.get(of_reason, EVENTS[ANY])
    return Note(of_reason, plain(template.format(**fields)), warning)


def after_actions(journal: Journal, results: ActionResults) -> Journal:
    """The journal with the results of a plan, which the next report contains."""
    done = (*journal.done, *results.done)[-KEPT_ACTIONS:]
    refused = {**journal.refused, **results.refused}
    kept = dict(list(refused.items())[-KEPT_ACTIONS:])
    restored = tuple(dict.fromkeys((*journal.restored, *results.restored)))
    return replace(journal, done=done, refused=kept, restored=restored)


def after_report(journal: Journal, reported: ElasticJobStatus) -> Journal:
    """The journal when all events up to this status are written."""
    return replace(journal, reported=reported, done=(), refused={}, restored=())


def entries(
    journal: Journal, job: Job, notes: Iterable[Note], now: float
) -> tuple[Journal, tuple[Entry, ...]]:
    """What to write for these notes, in order, and the journal after it."""
    found: dict[str, Entry] = {}
    for each in notes:
        journal, entry = _next(journal, job, each, now)
        before = found.pop(entry.name, None)
        count = entry.count + (before.count if before else 0)
        found[entry.name] = replace(entry, count=count)
    return journal, tuple(found.values())


def _next(journal: Journal, job: Job, note_: Note, now: float) -> tuple[Journal, Entry]:
    if journal.last and note_.action and note_.action == journal.last[0]:
        return journal, replace(journal.last[1], note=note_, count=0)
    spent = max(0.0, journal.spent - (now - journal.at) / EACH_S)
    is_combined = spent + 1 > AT_ONCE
    what = "" if is_combined else note_.action or note_.message
    # The object of an action stands for no other occurrence.
    count = 0 if note_.action and not is_combined else 1
    entry = Entry(event_name(job, note_.reason, what), note_, count, is_combined)
    last = (note_.action, entry) if note_.action else journal.last
    spent = spent if is_combined else spent + 1
    return replace(journal, spent=spent, at=now, last=last), entry


def manifest(job: Job, entry: Entry, at: datetime) -> Json:
    """The Event object of a first occurrence."""
    time = timestamp(at)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": entry.name, "namespace": job.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": job.namespace,
            "name": job.name,
            "uid": job.uid,
        },
        "type": _type(entry.note),
        "reason": entry.note.reason,
        "message": _message(entry, max(1, entry.count)),
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": max(1, entry.count),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }


def repeat(found: Json, entry: Entry, at: datetime) -> Json:
    """The merge patch that adds the entry to an Event object that exists."""
    count = int(found.get("count") or 1) + entry.count
    patch = {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "type": _type(entry.note),
        "message": _message(entry, count),
    }
    return {**patch, "count": count, "lastTimestamp": timestamp(at)} if entry.count else patch


def event_name(job: Job, reason: str, what: str) -> str:
    """The name of the Event object for this reason and occurrence of a job."""
    digest = hashlib.sha256(f"{job.uid} {reason} {what}".encode()).hexdigest()[:16]
    return f"{job.name}.{digest}"


def timestamp(at: datetime) -> str:
    """A time as metav1.Time: whole seconds, UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _type(note_: Note) -> str:
    return "Warning" if note_.warning else "Normal"


def _message(entry: Entry, count: int) -> str:
    """The message, with client-go's words before it if the object stands for several events."""
    is_one_of_several = entry.is_combined and count > 1
    text = f"{COMBINED}{entry.note.message}" if is_one_of_several else entry.note.message
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 3] + "..."
