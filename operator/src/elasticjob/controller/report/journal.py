"""The Event objects of a job: one for each occurrence, within a bound.

As in client-go, equal events of a job are one object, whose count rises, and a job may have 25
events at once and one more every 300 s. client-go drops the others. Here each further event of a
reason is counted in one object of that reason, which has the last message. So an operator creates
within an hour at most 25 + 12 objects of any job, and one for each reason.

kubectl describe sorts events by the second, and those of one second by name. So names are in the
order of time, as those of client-go are: first the round, then the time in nanoseconds. The name
for the end of a round has no time, so that each operator finds it, and is the last of its round.
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
KEPT_NAMES = 40  # of objects whose count may rise: a job makes fewer within an hour
KEPT_ACTIONS = LARGEST_SET  # not yet reported, while the API server refuses the status


@dataclass(frozen=True)
class Note:
    """Something that happened to a job."""

    reason: str
    message: str
    warning: bool = False  # a person should look at it
    # The round whose end it reports, again when more is known. None: each is another occurrence.
    round: int | None = None
    is_correction: bool = False  # of what was reported, if the object still exists


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
    last: Entry | None = None  # of the last round whose end was reported
    # Of the last other objects, by a hash of reason and message, oldest first.
    names: Mapping[str, str] = field(default_factory=dict)
    named_ns: int = 0  # the time in the last name


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
    journal: Journal, job: Job, notes: Iterable[Note], now: float, time_ns: int
) -> tuple[Journal, tuple[Entry, ...]]:
    """What to write for these notes, in order, and the journal after it.

    now: monotonic seconds; time_ns: nanoseconds since 1970, for names.
    """
    found: dict[str, Entry] = {}
    for each in notes:
        journal = replace(journal, named_ns=max(time_ns, journal.named_ns + 1))
        journal, entry = _next(journal, job, each, now)
        before = found.pop(entry.name, None)
        count = entry.count + (before.count if before else 0)
        found[entry.name] = replace(entry, count=count)
    return journal, tuple(found.values())


def _next(journal: Journal, job: Job, note_: Note, now: float) -> tuple[Journal, Entry]:
    last = journal.last
    if last and note_.round is not None and note_.round == last.note.round:
        return journal, replace(last, note=note_, count=0)
    if note_.is_correction:
        return journal, Entry(_name(journal, job, note_), note_, count=0)
    spent = max(0.0, journal.spent - (now - journal.at) / EACH_S)
    if is_combined := spent + 1 > AT_ONCE:
        entry = Entry(f"{job.name}.{_digest(job, note_.reason)}", note_, is_combined=True)
    else:
        # The object for the end of a round stands for no other occurrence.
        count = 1 if note_.round is None else 0
        entry = Entry(_name(journal, job, note_), note_, count)
    known = journal.names
    if note_.round is None and not is_combined:
        known = {**known, _key(job, note_): entry.name}
        known = dict(list(known.items())[-KEPT_NAMES:])
    last = last if note_.round is None else entry
    spent = spent if is_combined else spent + 1
    return replace(journal, spent=spent, at=now, last=last, names=known), entry


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
    if not entry.is_combined:
        patch["reason"] = entry.note.reason  # an earlier failure may be of another kind
    return {**patch, "count": count, "lastTimestamp": timestamp(at)} if entry.count else patch


def _name(journal: Journal, job: Job, note_: Note) -> str:
    """The name of the object that stands for this note, and for equal ones of the last time."""
    if note_.round is not None:
        return f"{job.name}.{note_.round:014x}.f{_digest(job, f'{note_.round}')[1:]}"
    current = journal.reported.round or 0
    made = f"{job.name}.{current:014x}.{journal.named_ns:016x}"
    return journal.names.get(_key(job, note_), made)


def _key(job: Job, note_: Note) -> str:
    return _digest(job, f"{note_.reason} {note_.message}")


def _digest(job: Job, what: str) -> str:
    return hashlib.sha256(f"{job.uid} {what}".encode()).hexdigest()[:16]


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
