"""The watch of Leases as a conversation, which opens its stream again after each loss.

It begins with a consistent read of its scope (RoundSeen with Source.READ, and ViewComplete for the
holder), then yields an event for each change. It resumes after the last version that it received;
when the server has dropped that version (410), it begins again.
"""

from __future__ import annotations

import json

from elasticjob.agent.api import backoff, calls
from elasticjob.agent.api.conversation import (
    BUSY,
    DENIED,
    NEXT_LINE,
    READ_CLOCK,
    Answer,
    Context,
    Conversation,
    Line,
    NoAnswer,
    Open,
    Pause,
    Problem,
    Recovery,
    SetupError,
    Time,
    ignored,
)
from elasticjob.agent.api.lease_requests import LeaseRequests, Selection, by_label, by_name
from elasticjob.agent.api.messages import LONGEST_WAIT_S, Request, Response
from elasticjob.rendezvous import events
from elasticjob.rendezvous.timing import herd_delay_s
from elasticjob.wire import lease as leases
from elasticjob.wire.codec import Json, WireError, fields_of, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import pod_from_name
from elasticjob.wire.names import LABEL_JOB_UID, round_lease_name
from elasticjob.wire.untrusted import decode_answer

INITIAL_END = "k8s.io/initial-events-end"
UNREACHABLE_S = 300.0  # without any response an agent ends, and its message reaches the status

_Initial = dict[str, Json]


class _ExpiredError(Exception):
    """The server has dropped the version from which this watch would resume."""


class _LostError(Exception):
    """There is no stream: no response, a cut connection, or lines that are no events."""


class _RefusedError(Exception):
    """The server answered the request for a watch with an error."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True)
class WatchScope:
    """The Leases that a watch selects."""

    wide: bool  # all Leases of the job; else the Round Lease alone
    round_name: str
    job_uid: str

    @property
    def selection(self) -> Selection:
        """The parameter of the request."""
        return by_label(LABEL_JOB_UID, self.job_uid) if self.wide else by_name(self.round_name)


def scope_of(job: leases.JobIdentity, wide: bool) -> WatchScope:
    """Return the scope of a watch of this job."""
    return WatchScope(wide, round_lease_name(job.name), job.uid)


class Succession:
    """Which of an agent's watches counts: the current one, until the next one has an event, so that
    no change is missed. Watches have numbers from 1."""

    def __init__(self) -> None:
        self._last = 0
        self._current = 0  # 0: none
        self._next = 0

    @property
    def is_first(self) -> bool:
        """Whether no watch has had an event yet."""
        return self._current == 0

    def open(self) -> int:
        """Return the number of a new watch, which replaces one that has no event yet."""
        self._last += 1
        self._next = self._last
        return self._next

    def accept(self, number: int) -> bool:
        """Whether an event of this watch counts; the first one makes the next watch the current."""
        if number == self._next:
            self._current = number
        return number == self._current

    def is_replaced(self, number: int) -> bool:
        """Whether no event of this watch counts any more."""
        return number not in (self._current, self._next)


class Watch:
    """One watch, and what it has received so far. is_first: the agent has not joined yet."""

    def __init__(self, context: Context, scope: WatchScope, is_first: bool) -> None:
        self._context = context
        self._scope = scope
        self._requests = LeaseRequests(context.job.namespace)
        self._is_joining = is_first
        self._began_at: float | None = None
        self._refused_at: float | None = None
        self._version: str | None = None  # None: begin with a consistent read
        self._initial: _Initial | None = None  # the initial events until they are complete
        self._must_list = False  # the server sends no initial events: list, then watch
        self._failures = 0  # in a row
        self._wanted_count = 1  # pods of the job

    def conversation(self) -> Conversation[None]:
        """Watch for ever. Raises SetupError once the agent cannot continue."""
        while True:
            try:
                yield from self._connect()
            except _ExpiredError:
                yield self._backoff() if self._version is None else self._spread()
                self._version = None
            except _LostError as error:
                yield from self._lost(str(error))
            except _RefusedError as error:
                yield from self._refused(error.response)

    # ---- one connection --------------------------------------------------------------------------

    def _connect(self) -> Conversation[None]:
        """Open a stream and follow it to its end."""
        if self._version is None and self._must_list:
            yield from self._list()
        self._initial = {} if self._version is None else None
        yield from self._open(self._requests.watch(self._scope.selection, self._version))
        yield from self._follow()
        if self._initial is not None:
            raise _LostError("the initial events are incomplete")

    def _open(self, request: Request) -> Conversation[None]:
        answer: Answer = yield Open(request)
        if isinstance(answer, NoAnswer):
            raise _LostError(answer.reason)
        if answer.status != 200:
            yield from self._not_opened(answer)

    def _not_opened(self, response: Response) -> Conversation[None]:
        """List instead if the server refuses initial events, with a 4xx that differs by release."""
        if response.status == 410:
            raise _ExpiredError
        is_invalid = 400 <= response.status < 500 and response.status not in (*DENIED, *BUSY)
        if self._version is None and is_invalid and not self._must_list:
            self._must_list = True
            yield from self._list()
            yield from self._open(self._requests.watch(self._scope.selection, self._version))
            return
        raise _RefusedError(response)

    def _follow(self) -> Conversation[None]:
        received = False
        while True:
            line: Line = yield NEXT_LINE
            if isinstance(line, NoAnswer):
                raise _LostError(line.reason)
            if line is None:
                break
            received = True
            yield from self._receive(line)
        if not received:
            raise _LostError("it sent no event")

    def _list(self) -> Conversation[None]:
        """List the scope consistently, with the version from which to watch."""
        answer: Answer = yield self._requests.list(self._scope.selection)
        if isinstance(answer, NoAnswer):
            raise _LostError(answer.reason)
        if answer.status != 200:
            raise _RefusedError(answer)
        self._initial = None
        version, items = _collection(answer.json())
        yield from self._begin(items, version)

    # ---- events ----------------------------------------------------------------------------------

    def _receive(self, line: bytes) -> Conversation[None]:
        event = _event(line)
        if event.kind == "ERROR":
            raise _error_of(event.object)
        if self._initial is None:
            self._version = event.version
            yield from self._succeed()
            if event.kind != "BOOKMARK":
                yield from self._changed(event)
        elif event.kind != "BOOKMARK":
            self._initial[event.name] = event.object
        elif event.ends_initial:
            initial, self._initial = self._initial, None
            yield from self._begin(initial, event.version)

    def _begin(self, initial: _Initial, version: str) -> Conversation[None]:
        """Report the complete initial set. A joining agent waits until there is a Round Lease."""
        round_lease = self._round(initial.get(self._scope.round_name))
        if round_lease is None and self._is_joining:
            text = f"Round Lease {self._scope.round_name} does not exist"
            raise _RefusedError(Response(404, json.dumps({"message": text}).encode()))
        self._version = version
        self._is_joining = False
        yield from self._succeed()
        read = events.Source.READ
        yield events.RoundSeen(round_lease, read) if round_lease else events.RoundGone()
        if self._scope.wide:
            initial.pop(self._scope.round_name, None)
            agents = []
            for name, found in initial.items():
                agents.append((yield from self._agent(name, found)))
            yield events.ViewComplete(tuple(lease for lease in agents if lease))

    def _changed(self, event: _Event) -> Conversation[None]:
        if event.name == self._scope.round_name:
            round_lease = None if event.kind == "DELETED" else self._round(event.object)
            if event.kind == "DELETED":
                yield events.RoundGone()
            elif round_lease:
                yield events.RoundSeen(round_lease, events.Source.WATCH)
        elif event.kind == "DELETED":
            if pod_from_name(event.name, self._context.job.name):
                yield events.LeaseGone(event.name)
        else:
            lease = yield from self._agent(event.name, event.object)
            if lease:
                yield events.LeaseSeen(lease)

    def _round(self, found: Json | None) -> leases.RoundLease | None:
        """Parse the Round Lease. None: it is absent, or an older job of this name left it."""
        if found is None:
            return None
        try:
            if leases.job_uid_of(found) != self._scope.job_uid:
                return None
            round_lease = leases.parse_round(found)
        except WireError as error:
            raise SetupError(
                f"Round Lease {self._scope.round_name} cannot be read: {error}"
            ) from None
        self._wanted_count = len(round_lease.desired.wanted)
        return round_lease

    def _agent(self, name: str, found: Json) -> Conversation[leases.AgentLease | None]:
        """Parse an agent Lease. None: it cannot be read, or is another job's with these labels."""
        try:
            return leases.parse_agent(found, self._context.job)
        except WireError as error:
            yield ignored(name, error)
            return None

    # ---- failures --------------------------------------------------------------------------------

    def _succeed(self) -> Conversation[None]:
        self._began_at = None
        if self._failures:
            self._failures, self._refused_at = 0, None
            yield Recovery("watch", "watch is open again")

    def _lost(self, reason: str) -> Conversation[None]:
        """Wait, but no longer than until the API server answers another request of this agent."""
        yield Problem("watch", f"watch at {self._context.address} ended: {reason}")
        time: Time = yield READ_CLOCK
        self._began_at = time.at if self._began_at is None else self._began_at
        if self._is_joining and time.at - self._began_at >= UNREACHABLE_S:
            address = self._context.address
            raise SetupError(
                f"cannot reach API server {address}: {reason}: check the NetworkPolicies"
            )
        if (yield self._backoff(until_answer=True)):
            yield self._spread()

    def _refused(self, response: Response) -> Conversation[None]:
        """After a minute of refusals end a joining agent, and freeze one that has joined.

        The watch then begins again with a consistent read, which ends the freeze.
        """
        text = calls.refusal_text(self._context, "watch", response)
        yield Problem("watch", text)
        time: Time = yield READ_CLOCK
        self._refused_at = time.at if self._refused_at is None else self._refused_at
        if response.status not in BUSY and time.at - self._refused_at >= calls.REFUSED_S:
            if self._is_joining:
                raise SetupError(text)
            self._version = None
            yield events.RoundGone()
        yield self._backoff(response.retry_after_s or 0.0)

    def _backoff(self, at_least_s: float = 0.0, until_answer: bool = False) -> Pause:
        """Return the pause after one more failure: at most the longest of back-off and spread."""
        self._failures += 1
        pause, spread = backoff.pause(self._failures, at_least_s), self._spread()
        return Pause(pause.shortest_s, max(pause.longest_s, spread.longest_s), until_answer)

    def _spread(self) -> Pause:
        """Return the pause that keeps the job's agents from returning at once after an outage."""
        return Pause(0.0, herd_delay_s(self._wanted_count, jitter=1.0))


@dataclass(frozen=True)
class _Event:
    """One event of a watch."""

    kind: str
    object: Json
    name: str  # empty: of a bookmark or an error
    version: str  # empty: of an error
    ends_initial: bool


def _event(line: bytes) -> _Event:
    """Parse a line. Raises _LostError if it is no watch event."""
    try:
        event = fields_of(decode_answer(line, "the event"), "the event")
        kind, found = text(event, "type", "the event"), fields_of(event.get("object"), "the object")
        if kind == "ERROR":
            return _Event(kind, found, "", "", False)
        meta = fields_of(found.get("metadata"), "metadata")
        version, notes = text(meta, "resourceVersion", ""), meta.get("annotations") or {}
        name = "" if kind == "BOOKMARK" else text(meta, "name", "")
        is_last = fields_of(notes, "annotations").get(INITIAL_END) == "true"
        return _Event(kind, found, name, version, is_last)
    except WireError:
        raise _LostError(f"not a watch event: {line[:40]!r}") from None


def _error_of(status: Json) -> Exception:
    """The error of an ERROR event. A server that lags behind the version from which a watch resumes
    sends 504: the same version is requested again, after the time that it states."""
    code = status.get("code")
    if code == 410:
        return _ExpiredError()
    if code in BUSY:
        details = status.get("details")
        wait_s = details.get("retryAfterSeconds") if isinstance(details, dict) else None
        retry_after_s = min(float(wait_s), LONGEST_WAIT_S) if type(wait_s) is int else None
        body = json.dumps({"message": str(status.get("message"))[:200]}).encode()
        return _RefusedError(Response(code, body, retry_after_s))
    return _LostError(f"error event: {str(status.get('message'))[:200]}")


def _collection(found: Json) -> tuple[str, dict[str, Json]]:
    """The version and the objects by name of a list. Raises _LostError if it is none."""
    try:
        items = found.get("items") or []
        if not isinstance(items, list):
            raise WireError("items is not a list")
        version = text(fields_of(found.get("metadata"), "metadata"), "resourceVersion", "")
        objects = [fields_of(item, "an item") for item in items]
        names = [text(fields_of(each.get("metadata"), ""), "name", "") for each in objects]
        return version, dict(zip(names, objects))
    except WireError:
        raise _LostError("not a list of Leases") from None
