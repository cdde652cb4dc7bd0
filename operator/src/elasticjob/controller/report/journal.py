"""The Event objects of a job: one for each occurrence, within a bound.

As in client-go, equal events are one object, whose count rises, and a job may have 25 events at
once and one more every 300 s. client-go drops the others. Here each further event of a reason is
counted in one object of that reason, which has the last message. So an operator creates within an
hour at most 25 + 12 objects of any job, and one for each reason.

A name follows from the event, so that an operator that starts finds the object that an earlier one
has created: the round, the place of the reason, and a hash of reason and message. The end of a
round has a hash of its number, and is the last of its round. So names are in the order of rounds,
and those of one report in its order. Those of several reports in one round may not be.
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

# The reasons of other events than the end of a round: the start of the round, then the order in
# which a report has them. ANY: those of the condition PodsReady.
_PLACES = (
    "LauncherInCommand",
    "RoundsNotObserved",
    "Running",
    "Refused",
    "Unstable",
    "Obstructed",
    "Resumed",
    "TemplateChanged",
    "Complete",
    "Failed",
    "PodsDeleted",
    "PodsCreated",
    "PodsReplaced",
    "RightsRestored",
    "RequestRefused",
    ANY,
    "Suspended",
)


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
    """What to write for these notes, in order, and the journal after it. now: monotonic seconds."""
    found: dict[str, Entry] = {}
    for each in notes:
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
    last = last if note_.round is None else entry
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
    if not entry.is_combined:
        patch["reason"] = entry.note.reason  # an earlier failure may be of another kind
    return {**patch, "count": count, "lastTimestamp": timestamp(at)} if entry.count else patch


def _name(journal: Journal, job: Job, note_: Note) -> str:
    """The name of the object that stands for this note, and for equal ones in the same round."""
    if note_.round is not None:
        return f"{job.name}.{note_.round:014x}.f{_digest(job, f'{note_.round}')[1:]}"
    reason = note_.reason if note_.reason in _PLACES else ANY
    hashed = _digest(job, f"{note_.reason} {note_.message}")[2:]
    return f"{job.name}.{journal.reported.round or 0:014x}.{_PLACES.index(reason):02x}{hashed}"


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
