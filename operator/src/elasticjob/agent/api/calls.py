"""Performs the requests that the rendezvous decided; each ends in exactly one of its results.

A conversation is what one action says to the API server: a function of a Call and the action that
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
from elasticjob.wire import lease as leases
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import WireError
from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.names import round_lease_name, service_account_name

TRIES = 2  # of one request within T
REFUSED_S = 60.0  # authorizers' caches lag behind a fresh RoleBinding
BUSY = (429, 500, 502, 503, 504)
DENIED = (401, 403)

RequestAction = Union[CreateLease, WriteState, CasRound, Pulse, GetLease]


class SetupError(Exception):
    """This agent cannot do its work; the text says why, and what to look at."""


class Transport(Protocol):
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

    job: leases.Job
    identity: Identity
    address: Address
    clock: Clock
    log: Log
    jitter: Callable[[], float]

    def now_text(self) -> str:
        """For a renewTime."""
        return format_time(self.clock.wall_at())


class Call:
    """One conversation: its connection, and the Round as it was when it began."""

    def __init__(
        self, context: Context, transport: Transport, round_lease: leases.RoundLease
    ) -> None:
        self.context = context
        self.identity = context.identity
        self.round_lease = round_lease
        self.requests = LeaseRequests(context.job.namespace)
        self.round_name = round_lease_name(context.job.name)
        self._transport = transport

    @property
    def desired(self) -> Desired:
        """The job's numbers."""
        return self.round_lease.desired

    def send(self, request: Request) -> Response | None:
        """The answer after at most two tries; None: none, or only that the server is busy."""
        for attempt in range(1, TRIES + 1):
            response = self.send_once(request)
            if response is not None and response.status not in BUSY:
                return response
            if attempt < TRIES:
                self.context.clock.pause(self.wait_s(attempt, response))
        return None

    def send_once(self, request: Request) -> Response | None:
        """The answer to one try, or None. One that hangs for longer than T would miss a beat."""
        try:
            response = self._transport.send(replace(request, timeout_s=self.desired.heartbeat_s))
        except UnreachableError as error:
            self.context.log.problem(
                "api", f"API server {self.context.address} does not answer: {error}"
            )
            return None
        self.context.log.recovery("api", f"API server {self.context.address} answers again")
        return response

    def wait_s(self, failures: int, response: Response | None) -> float:
        """Before the next try. What the server asks for is honoured up to T."""
        wait_s = backoff.delay_s(failures, self.context.jitter())
        if response is not None and response.retry_after_s is not None:
            wait_s = max(wait_s, response.retry_after_s)
        return min(wait_s, self.desired.heartbeat_s)


# ---- the conversations ---------------------------------------------------------------------------


def write_state(call: Call, action: WriteState) -> Iterator[Event]:
    """Renew; a conflict shows what the Lease is now, before the renewal is said to have failed."""
    state = AgentState.from_json(action.state)
    change = leases.agent_patch(state, call.context.now_text(), action.version)
    response = call.send(call.requests.patch(call.identity.name, change))
    if response is not None and response.status == 200:
        yield RenewalReturned(_own_lease(call, response))
        return
    if response is not None and response.status == 409:
        yield from get_lease(call, GetLease(call.identity.name))
    elif response is not None and response.status == 404:
        yield LeaseGone(call.identity.name)
    yield RenewalReturned(None)


def get_lease(call: Call, action: GetLease) -> Iterator[Event]:
    """One Lease, as it is now."""
    response = call.send(call.requests.get(action.name))
    if response is not None and response.status == 200:
        yield _lease_event(call, action.name, response)
    elif response is not None and response.status == 404:
        yield LeaseGone(action.name, by_get=True)
    else:
        yield GetFailed(action.name)


def _lease_event(call: Call, name: str, response: Response) -> Event:
    """A stranger's broken record must not end this agent. Another job's Lease under this name is
    none of this job's, as if it were not there."""
    found = response.json()
    try:
        if leases.job_uid_of(found) != call.identity.job_uid:
            return LeaseGone(name, by_get=True)
        return LeaseSeen(leases.parse_agent(found, call.context.job), by_get=True)
    except WireError as error:
        log_ignored(call.context, name, error)
        return GetFailed(name)


def log_ignored(context: Context, name: str, error: WireError) -> None:
    """Logs why a Lease is ignored: once, however often it is delivered."""
    context.log.problem(f"lease {name}", f"Lease {name} is ignored: {error}")


def _own_lease(call: Call, response: Response) -> leases.AgentLease:
    """My Lease, as I have just written it. Raises WireError."""
    return leases.parse_agent(response.json(), call.context.job)


def cas_round(call: Call, action: CasRound) -> Iterator[Event]:
    """The next round, or the holder; both at once are one patch."""
    change: leases.Json = {}
    if action.round is not None:
        change = leases.round_patch(action.round, action.version, action.report)
    if action.holder is not None:
        holder = leases.holder_patch(action.holder, call.context.now_text(), action.version)
        change = {**holder, **change}
    yield _write_round(call, change, Source.ANSWER, CasFailed)


def pulse(call: Call, action: Pulse) -> Iterator[Event]:
    """The holder's sign of life, with its report."""
    change = leases.pulse_patch(action.report, call.context.now_text(), action.version)
    yield _write_round(call, change, Source.PULSE, PulseFailed)


def _write_round(
    call: Call, change: leases.Json, source: Source, failed: Callable[[bool], Event]
) -> Event:
    response = call.send(call.requests.patch(call.round_name, change))
    if response is not None and response.status == 200:
        return RoundSeen(leases.parse_round(response.json()), source)
    return failed(response is not None and response.status == 409)


def create_lease(call: Call, action: CreateLease) -> Iterator[Event]:
    """Tried until it is there. Found is as good as created: its nonce says whose it is (V11)."""
    failures, refused_at = 0, None
    while True:
        response = call.send_once(call.requests.create(_manifest(call, action)))
        if response is not None and response.status in (200, 201):
            yield LeaseSeen(_own_lease(call, response))
            return
        if response is not None and response.status == 409:
            found = _existing_lease(call)
            if found is not None:
                yield LeaseSeen(found, by_get=True)
                return
        refused_at = refused_since(call.context, "create", response, refused_at)
        failures += 1
        call.context.clock.pause(call.wait_s(failures, response))


def _manifest(call: Call, action: CreateLease) -> leases.Json:
    return leases.agent_manifest(
        call.context.job,
        call.round_lease.uid,
        call.identity.pod,
        call.identity.nonce,
        AgentState.from_json(action.state),
        call.context.now_text(),
        silence_s(call.desired.heartbeat_s, SILENT_PULSES),
    )


def _existing_lease(call: Call) -> leases.AgentLease | None:
    """The Lease that has our name; None: it is gone again, or was an older job's and is deleted."""
    response = call.send(call.requests.get(call.identity.name))
    if response is None or response.status != 200:
        return None
    found = response.json()
    job_uid = leases.job_uid_of(found)
    if not job_uid:
        raise SetupError(
            f"Lease {call.identity.name} has no label of ElasticJob: delete it, or rename the job"
        )
    if job_uid == call.identity.job_uid:
        return _own_lease(call, response)
    call.send(call.requests.delete(call.identity.name, found["metadata"]["uid"]))
    return None


def refused_since(
    context: Context, verb: str, response: Response | None, since: float | None
) -> float | None:
    """Since when the API server refuses. Raises SetupError after a minute of it.

    No answer, and being busy, is no refusal: it ends by itself.
    """
    if response is None or response.status in (*BUSY, 409):
        return None
    now = context.clock.now()
    if since is not None and now - since >= REFUSED_S:
        raise SetupError(refusal_text(context, verb, response))
    return now if since is None else since


def refusal_text(context: Context, verb: str, response: Response) -> str:
    """One line that names address, verb, object and what to look at."""
    message = str(response.json().get("message") or response.body[:200].decode("utf-8", "replace"))
    where = f"leases in namespace {context.job.namespace} at {context.address}"
    binding = service_account_name(context.job.name)  # both have the same name
    hint = f": check RoleBinding {binding}" if response.status in DENIED else ""
    return f"cannot {verb} {where}: {response.status} {message}{hint}"


# ---- on threads ----------------------------------------------------------------------------------

_HANDLERS: dict[type, Callable[[Call, Any], Iterator[Event]]] = {
    CreateLease: create_lease,
    WriteState: write_state,
    CasRound: cas_round,
    Pulse: pulse,
    GetLease: get_lease,
}


def perform(call: Call, action: RequestAction) -> Iterator[Event]:
    """The results of one action. Raises SetupError, also for a record that cannot be read."""
    try:
        yield from _HANDLERS[type(action)](call, action)
    except WireError as error:
        raise SetupError(str(error)) from None
