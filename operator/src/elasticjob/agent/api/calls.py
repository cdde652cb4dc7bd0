"""Performs the requests that the rendezvous decided; each ends in exactly one of its results.

A conversation is what one action says to the API server: a function of a Talk and the action that
gives its result events. It runs on a thread of its own and may take its time.

    SetupError    no use in going on: the agent ends with code 75 and this text
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Protocol, Union

from elasticjob.agent.api import backoff
from elasticjob.agent.api.connection import Response, UnreachableError
from elasticjob.agent.api.http import Address, Request
from elasticjob.agent.api.requests import LeaseRequests
from elasticjob.agent.clock import Clock, format_time
from elasticjob.agent.log import Log
from elasticjob.rendezvous.actions import CasRound, CreateLease, GetLease, Pulse, WriteState
from elasticjob.rendezvous.events import (
    CasFailed,
    Event,
    GetFailed,
    LeaseGone,
    LeaseSeen,
    PulseFailed,
    RenewalReturned,
    RoundSeen,
    Source,
)
from elasticjob.rendezvous.state import Identity
from elasticjob.rendezvous.timing import SILENT_PULSES, silence_s
from elasticjob.wire import lease as wire
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import WireError
from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.names import round_lease_name

TRIES = 2  # of one request within T
REFUSED_S = 60.0  # authorizers' caches lag behind a fresh RoleBinding
BUSY = (429, 500, 502, 503, 504)
DENIED = (401, 403)

Call = Union[CreateLease, WriteState, CasRound, Pulse, GetLease]
CALLS = (CreateLease, WriteState, CasRound, Pulse, GetLease)


class SetupError(Exception):
    """This agent cannot do its work; the text says why, and what to look at."""


class Sender(Protocol):
    """The transport: http.Session, or a test's."""

    def send(self, request: Request) -> Response:
        """The answer. Raises UnreachableError."""

    def close(self) -> None:
        """Ends its connection."""


@dataclass(frozen=True)
class Context:
    """What conversations need to know beside their action.

    jitter: a random number in [0, 1), a new one each time.
    """

    job: wire.Job
    who: Identity
    address: Address
    clock: Clock
    log: Log
    jitter: Callable[[], float]

    def now_text(self) -> str:
        """For a renewTime."""
        return format_time(self.clock.wall_at())


class Talk:
    """One conversation: its connection, and the Round as it was when it began."""

    def __init__(self, context: Context, sender: Sender, round_lease: wire.RoundLease) -> None:
        self.context = context
        self.who = context.who
        self.round = round_lease
        self.requests = LeaseRequests(context.job.namespace)
        self.round_name = round_lease_name(context.job.name)
        self._sender = sender

    @property
    def desired(self) -> Desired:
        """The job's numbers."""
        return self.round.desired

    def ask(self, request: Request) -> Response | None:
        """The answer after at most two tries; None: none, or only that the server is busy."""
        for attempt in range(1, TRIES + 1):
            response = self.try_once(request)
            if response is not None and response.status not in BUSY:
                return response
            if attempt < TRIES:
                self.context.clock.pause(self.wait_s(attempt, response))
        return None

    def try_once(self, request: Request) -> Response | None:
        """The answer to one try, or None. One that hangs for longer than T would miss a beat."""
        try:
            response = self._sender.send(replace(request, within_s=self.desired.heartbeat_s))
        except UnreachableError as error:
            self.context.log.state("api", f"no answer from {self.context.address}: {error}")
            return None
        self.context.log.well("api", f"{self.context.address} answers again")
        return response

    def wait_s(self, failures: int, response: Response | None) -> float:
        """Before the next try. What the server asks for is honoured up to T."""
        wait_s = backoff.delay_s(failures, self.context.jitter())
        if response is not None and response.retry_after_s is not None:
            wait_s = max(wait_s, response.retry_after_s)
        return min(wait_s, self.desired.heartbeat_s)


# ---- the conversations ---------------------------------------------------------------------------


def write_state(talk: Talk, action: WriteState) -> Iterator[Event]:
    """Renew; a conflict shows what the Lease is now, before the renewal is said to have failed."""
    state = AgentState.from_json(action.state)
    change = wire.agent_patch(state, talk.context.now_text(), action.version)
    response = talk.ask(talk.requests.patch(talk.who.name, change))
    if response is not None and response.status == 200:
        yield RenewalReturned(_own(talk, response))
        return
    if response is not None and response.status == 409:
        yield from get_lease(talk, GetLease(talk.who.name))
    elif response is not None and response.status == 404:
        yield LeaseGone(talk.who.name)
    yield RenewalReturned(None)


def get_lease(talk: Talk, action: GetLease) -> Iterator[Event]:
    """One Lease, as it is now."""
    response = talk.ask(talk.requests.get(action.name))
    if response is not None and response.status == 200:
        yield _lease(talk, action.name, response)
    elif response is not None and response.status == 404:
        yield LeaseGone(action.name, by_get=True)
    else:
        yield GetFailed(action.name)


def _lease(talk: Talk, name: str, response: Response) -> Event:
    """A stranger's broken record must not end this agent. Another job's Lease under this name is
    none of this job's, as if it were not there."""
    found = response.json()
    try:
        if wire.job_uid_of(found) != talk.who.job_uid:
            return LeaseGone(name, by_get=True)
        return LeaseSeen(wire.parse_agent(found, talk.context.job), by_get=True)
    except WireError as error:
        ignored(talk.context, name, error)
        return GetFailed(name)


def ignored(context: Context, name: str, error: WireError) -> None:
    """Logs why a Lease is ignored: once, however often it is delivered."""
    context.log.state(f"lease {name}", f"Lease {name} is ignored: {error}")


def _own(talk: Talk, response: Response) -> wire.AgentLease:
    """My Lease, as I have just written it. Raises WireError."""
    return wire.parse_agent(response.json(), talk.context.job)


def cas_round(talk: Talk, action: CasRound) -> Iterator[Event]:
    """The next round, or the holder; both at once are one patch."""
    change: wire.Json = {}
    if action.round is not None:
        change = wire.round_patch(action.round, action.version, action.report)
    if action.holder is not None:
        holder = wire.holder_patch(action.holder, talk.context.now_text(), action.version)
        change = {**holder, **change}
    yield _round_answer(talk, change, Source.ANSWER, CasFailed)


def pulse(talk: Talk, action: Pulse) -> Iterator[Event]:
    """The holder's sign of life, with its report."""
    change = wire.pulse_patch(action.report, talk.context.now_text(), action.version)
    yield _round_answer(talk, change, Source.PULSE, PulseFailed)


def _round_answer(
    talk: Talk, change: wire.Json, source: Source, failed: Callable[[bool], Event]
) -> Event:
    response = talk.ask(talk.requests.patch(talk.round_name, change))
    if response is not None and response.status == 200:
        return RoundSeen(wire.parse_round(response.json()), source)
    return failed(response is not None and response.status == 409)


def create_lease(talk: Talk, action: CreateLease) -> Iterator[Event]:
    """Tried until it is there. Found is as good as created: its nonce says whose it is (V11)."""
    failures, refused_since = 0, None
    while True:
        response = talk.try_once(talk.requests.create(_manifest(talk, action)))
        if response is not None and response.status in (200, 201):
            yield LeaseSeen(_own(talk, response))
            return
        if response is not None and response.status == 409:
            found = _found(talk)
            if found is not None:
                yield LeaseSeen(found, by_get=True)
                return
        refused_since = refusal(talk.context, "create", response, refused_since)
        failures += 1
        talk.context.clock.pause(talk.wait_s(failures, response))


def _manifest(talk: Talk, action: CreateLease) -> wire.Json:
    return wire.agent_manifest(
        talk.context.job,
        talk.round.uid,
        talk.who.pod,
        talk.who.nonce,
        AgentState.from_json(action.state),
        talk.context.now_text(),
        silence_s(talk.desired.heartbeat_s, SILENT_PULSES),
    )


def _found(talk: Talk) -> wire.AgentLease | None:
    """The Lease that has our name; None: it is gone again, or was an older job's and is deleted."""
    response = talk.ask(talk.requests.get(talk.who.name))
    if response is None or response.status != 200:
        return None
    found = response.json()
    job_uid = wire.job_uid_of(found)
    if not job_uid:
        raise SetupError(f"Lease {talk.who.name} is not ElasticJob's: delete it, or rename the job")
    if job_uid == talk.who.job_uid:
        return _own(talk, response)
    talk.ask(talk.requests.delete(talk.who.name, found["metadata"]["uid"]))
    return None


def refusal(
    context: Context, verb: str, response: Response | None, since: float | None
) -> float | None:
    """Since when the API server refuses. Raises SetupError after a minute of it.

    No answer, and being busy, is no refusal: it ends by itself.
    """
    if response is None or response.status in (*BUSY, 409):
        return None
    now = context.clock.now()
    if since is not None and now - since >= REFUSED_S:
        raise SetupError(refused(context, verb, response))
    return now if since is None else since


def refused(context: Context, verb: str, response: Response) -> str:
    """One line that names address, verb, object and what to look at."""
    message = str(response.json().get("message") or response.body[:200].decode("utf-8", "replace"))
    where = f"leases in namespace {context.job.namespace} at {context.address}"
    hint = ": is the RoleBinding there? NetworkPolicy?" if response.status in DENIED else ""
    return f"cannot {verb} {where}: {response.status} {message}{hint}"


# ---- on threads ----------------------------------------------------------------------------------

_CONVERSATIONS: dict[type, Callable[[Talk, Any], Iterator[Event]]] = {
    CreateLease: create_lease,
    WriteState: write_state,
    CasRound: cas_round,
    Pulse: pulse,
    GetLease: get_lease,
}


def converse(talk: Talk, action: Call) -> Iterator[Event]:
    """The results of one action. Raises SetupError, also for a record that cannot be read."""
    try:
        yield from _CONVERSATIONS[type(action)](talk, action)
    except WireError as error:
        raise SetupError(str(error)) from None
