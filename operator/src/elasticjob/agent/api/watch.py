"""A watch of Leases on a thread, which reopens its stream after each loss of the connection.

It begins with a consistent read of its scope (RoundSeen with Source.READ, and ViewComplete for the
holder), then posts an event for each change. It resumes after the last version that it received;
when the server has dropped that version (410), it begins again.
"""

from __future__ import annotations

import json
from typing import Callable, Protocol

from elasticjob.agent.api import backoff, calls
from elasticjob.agent.api.connection import Response, UnreachableError
from elasticjob.agent.api.http import Request, Stream
from elasticjob.agent.api.lease_requests import LeaseRequests, Selection, by_label, by_name
from elasticjob.agent.inbox import Message, SetupFailed, WatchEvent
from elasticjob.rendezvous import events
from elasticjob.rendezvous.timing import herd_delay_s
from elasticjob.wire import lease as leases
from elasticjob.wire.codec import Json, WireError, fields_of, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import pod_from_name
from elasticjob.wire.names import LABEL_JOB_UID
from elasticjob.wire.untrusted import decode_answer

INITIAL_END = "k8s.io/initial-events-end"
UNREACHABLE_S = 300.0  # without any response an agent ends, and its message reaches the status

_Initial = dict[str, Json]


class _ExpiredError(Exception):
    """The server has dropped the version from which this watch would resume."""


class _RefusedError(Exception):
    """The server answered the request for a watch with an error."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class StreamTransport(Protocol):
    """What opens streams: http.Client, or an object of a test."""

    def stream(self, request: Request) -> Stream:
        """Send a request, and return the open response. Raises UnreachableError."""


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


class Watch:
    """Follows one scope until it is closed. is_first: the agent has not joined yet."""

    def __init__(
        self, context: calls.Context, transport: StreamTransport, scope: WatchScope, number: int,
        is_first: bool, post: Callable[[Message], None],
    ) -> None:  # fmt: skip
        self.number = number
        self._context = context
        self._transport = transport
        self._scope = scope
        self._post = post
        self._requests = LeaseRequests(context.job.namespace)
        self._stream: Stream | None = None
        self._closed = False
        self._is_joining = is_first
        self._began_at = context.clock.now()
        self._refused_at: float | None = None
        self._version: str | None = None  # None: begin with a consistent read
        self._initial: _Initial | None = None  # the initial events until they are complete
        self._must_list = False  # the server sends no initial events: list, then watch
        self._failures = 0  # in a row
        self._wanted_count = 1  # pods of the job

    def close(self) -> None:
        """End the watch; any thread may call this."""
        self._closed = True
        stream = self._stream  # the thread of the watch may remove it meanwhile
        if stream is not None:
            stream.close()

    def run(self) -> None:
        """Watch until closed, or until the agent cannot continue."""
        try:
            while not self._closed:
                self._pass()
        except calls.SetupError as error:
            self._post(SetupFailed(str(error)))
        except Exception as error:  # else the thread would end, and the loop would wait for ever
            if not self._closed:
                self._post(SetupFailed(f"internal error in a watch: {error!r}"))

    def _pass(self) -> None:
        """Follow one stream, and pause after a failure."""
        try:
            self._connect()
        except _ExpiredError:
            self._version = None
            self._context.clock.pause(self._spread_s())
        except UnreachableError as error:
            self._unreachable(error)
        except _RefusedError as error:
            self._refused(error.response)

    # ---- one connection --------------------------------------------------------------------------

    def _connect(self) -> None:
        """Open a stream and follow it to its end."""
        if self._version is None and self._must_list:
            self._list()
        self._initial = {} if self._version is None else None
        self._open(self._requests.watch(self._scope.selection, self._version))
        self._follow()
        if self._initial is not None:
            raise UnreachableError("the initial events are incomplete")

    def _open(self, request: Request) -> None:
        stream = self._transport.stream(request)
        if stream.status != 200:
            self._not_opened(stream.response())
            return
        self._stream = stream
        if self._closed:
            stream.close()

    def _not_opened(self, response: Response) -> None:
        """List instead if the server refuses initial events, with a 4xx that differs by release."""
        if response.status == 410:
            raise _ExpiredError
        is_invalid = 400 <= response.status < 500 and response.status not in (
            *calls.DENIED,
            *calls.BUSY,
        )
        if self._version is None and is_invalid and not self._must_list:
            self._must_list = True
            self._list()
            self._open(self._requests.watch(self._scope.selection, self._version))
            return
        raise _RefusedError(response)

    def _follow(self) -> None:
        assert self._stream is not None
        received = False
        try:
            for line in self._stream.lines():
                received = True
                self._receive(line)
        finally:
            self._stream.close()
            self._stream = None
        if not received:
            raise UnreachableError("it sent no event")

    def _list(self) -> None:
        """List the scope consistently, with the version from which to watch."""
        stream = self._transport.stream(self._requests.list(self._scope.selection))
        response = stream.response()
        if response.status != 200:
            raise _RefusedError(response)
        self._initial = None
        version, items = _collection(response.json())
        self._begin(items, version)

    # ---- events ----------------------------------------------------------------------------------

    def _receive(self, line: bytes) -> None:
        event = _event(line)
        if event.kind == "ERROR":
            if event.object.get("code") == 410:
                raise _ExpiredError
            raise UnreachableError(f"error event: {str(event.object.get('message'))[:200]}")
        if self._initial is None:
            self._version = event.version
            self._note_success()
            if event.kind != "BOOKMARK":
                self._post_event(self._changed(event))
        elif event.kind != "BOOKMARK":
            self._initial[event.name] = event.object
        elif event.ends_initial:
            initial, self._initial = self._initial, None
            self._begin(initial, event.version)

    def _begin(self, initial: _Initial, version: str) -> None:
        """Post the complete initial set. A joining agent waits until there is a Round Lease."""
        round_lease = self._round(initial.get(self._scope.round_name))
        if round_lease is None and self._is_joining:
            text = f"Round Lease {self._scope.round_name} does not exist"
            raise _RefusedError(Response(404, json.dumps({"message": text}).encode()))
        self._version = version
        self._is_joining = False
        self._note_success()
        self._post_event(
            events.RoundSeen(round_lease, events.Source.READ) if round_lease else events.RoundGone()
        )
        if self._scope.wide:
            initial.pop(self._scope.round_name, None)
            agents = (self._agent(name, found) for name, found in initial.items())
            self._post_event(events.ViewComplete(tuple(lease for lease in agents if lease)))

    def _changed(self, event: _Event) -> events.Event | None:
        if event.name == self._scope.round_name:
            if event.kind == "DELETED":
                return events.RoundGone()
            round_lease = self._round(event.object)
            return events.RoundSeen(round_lease, events.Source.WATCH) if round_lease else None
        if event.kind == "DELETED":
            is_pod = pod_from_name(event.name, self._context.job.name)
            return events.LeaseGone(event.name) if is_pod else None
        lease = self._agent(event.name, event.object)
        return events.LeaseSeen(lease) if lease else None

    def _post_event(self, event: events.Event | None) -> None:
        if event is not None:
            self._post(WatchEvent(self.number, event))

    def _round(self, found: Json | None) -> leases.RoundLease | None:
        """Parse the Round Lease. None: it is absent, or an older job of this name left it."""
        if found is None:
            return None
        try:
            if leases.job_uid_of(found) != self._scope.job_uid:
                return None
            round_lease = leases.parse_round(found)
        except WireError as error:
            raise calls.SetupError(
                f"Round Lease {self._scope.round_name} cannot be read: {error}"
            ) from None
        self._wanted_count = len(round_lease.desired.wanted)
        return round_lease

    def _agent(self, name: str, found: Json) -> leases.AgentLease | None:
        """Parse an agent Lease. None: it cannot be read, or is another job's with these labels."""
        try:
            return leases.parse_agent(found, self._context.job)
        except WireError as error:
            calls.log_ignored(self._context, name, error)
            return None

    # ---- failures --------------------------------------------------------------------------------

    def _note_success(self) -> None:
        self._failures, self._refused_at = 0, None
        self._context.log.recovery("watch", "watch is open again")

    def _unreachable(self, error: UnreachableError) -> None:
        if self._closed:
            return
        self._context.log.problem("watch", f"watch at {self._context.address} ended: {error}")
        if self._is_joining and self._context.clock.now() - self._began_at >= UNREACHABLE_S:
            address = self._context.address
            raise calls.SetupError(
                f"cannot reach API server {address}: {error}: check the NetworkPolicies"
            )
        self._wait()

    def _refused(self, response: Response) -> None:
        """After a minute of refusals end a joining agent, and freeze one that has joined.

        The watch then begins again with a consistent read, which ends the freeze.
        """
        text = calls.refusal_text(self._context, "watch", response)
        self._context.log.problem("watch", text)
        now = self._context.clock.now()
        self._refused_at = now if self._refused_at is None else self._refused_at
        if response.status not in calls.BUSY and now - self._refused_at >= calls.REFUSED_S:
            if self._is_joining:
                raise calls.SetupError(text)
            self._version = None
            self._post_event(events.RoundGone())
        self._wait(response.retry_after_s or 0.0)

    def _wait(self, at_least_s: float = 0.0) -> None:
        self._failures += 1
        delay_s = backoff.delay_s(self._failures, self._context.jitter())
        self._context.clock.pause(max(delay_s, self._spread_s(), at_least_s))

    def _spread_s(self) -> float:
        """The delay that keeps the job's agents from returning all at once after an outage."""
        return herd_delay_s(self._wanted_count, self._context.jitter())


@dataclass(frozen=True)
class _Event:
    """One event of a watch."""

    kind: str
    object: Json
    name: str  # empty: of a bookmark or an error
    version: str  # empty: of an error
    ends_initial: bool


def _event(line: bytes) -> _Event:
    """Parse a line. Raises UnreachableError if it is no watch event."""
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
        raise UnreachableError(f"not a watch event: {line[:40]!r}") from None


def _collection(found: Json) -> tuple[str, dict[str, Json]]:
    """The version and the objects by name of a list. Raises UnreachableError if it is none."""
    try:
        items = found.get("items") or []
        if not isinstance(items, list):
            raise WireError("items is not a list")
        version = text(fields_of(found.get("metadata"), "metadata"), "resourceVersion", "")
        objects = [fields_of(item, "an item") for item in items]
        names = [text(fields_of(each.get("metadata"), ""), "name", "") for each in objects]
        return version, dict(zip(names, objects))
    except WireError:
        raise UnreachableError("not a list of Leases") from None
