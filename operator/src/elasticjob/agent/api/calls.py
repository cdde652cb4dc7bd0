"""Performs the actions of the rendezvous that are requests; each ends in one of its result events.

A function for each type of action sends its requests through a Call and yields the events. It runs
on a thread and may block.

    SetupError    the agent cannot continue: it ends with code 75 and this text
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Protocol, Union

from elasticjob.agent.api import backoff
from elasticjob.agent.api.connection import Response, UnreachableError
from elasticjob.agent.api.http import Address, Request
from elasticjob.agent.api.lease_requests import LeaseRequests
from elasticjob.agent.clock import Clock, format_time
from elasticjob.agent.log import Log
from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound, CreateLease, GetLease, Pulse, WriteState
from elasticjob.rendezvous.state import Identity
from elasticjob.rendezvous.timing import SILENT_PULSES, silence_s
from elasticjob.wire import lease as leases
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.names import LABEL_JOB_UID, round_lease_name, service_account_name

TRIES = 2  # of a request
REFUSED_S = 60.0  # authorizers' caches lag behind a fresh RoleBinding
BUSY = (429, 500, 502, 503, 504)
DENIED = (401, 403)

RequestAction = Union[CreateLease, WriteState, CasRound, Pulse, GetLease]


class SetupError(Exception):
    """The agent cannot continue; the text names the reason and the cure."""


class Transport(Protocol):
    """A connection for requests: http.Session, or an object of a test."""

    def send(self, request: Request) -> Response:
        """Send a request, and return the response. Raises UnreachableError."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Context:
    """What calls and watches have in common."""

    job: leases.JobIdentity
    identity: Identity
    address: Address
    clock: Clock
    log: Log
    jitter: Callable[[], float]  # returns a new random number in [0, 1)

    def now_text(self) -> str:
        """Return the wall-clock time in the format of renewTime."""
        return format_time(self.clock.wall_at())


class Call:
    """The requests of one action, with the Round Lease from when the action was decided."""

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
        """The operator's part of the Round Lease."""
        return self.round_lease.desired

    def send(self, request: Request) -> Response | None:
        """Send at most twice. None: there was no response, or the server was busy."""
        for attempt in range(1, TRIES + 1):
            response = self.send_once(request)
            if response is not None and response.status not in BUSY:
                return response
            if attempt < TRIES:
                self.context.clock.pause(self.wait_s(attempt, response))
        return None

    def send_once(self, request: Request) -> Response | None:
        """Send once, within T: a request that hangs must not delay a renewal. None: no response."""
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
        """The delay before the next try; Retry-After counts up to T."""
        wait_s = backoff.delay_s(failures, self.context.jitter())
        if response is not None and response.retry_after_s is not None:
            wait_s = max(wait_s, response.retry_after_s)
        return min(wait_s, self.desired.heartbeat_s)


# ---- the actions ---------------------------------------------------------------------------------


def write_state(call: Call, action: WriteState) -> Iterator[events.Event]:
    """Renew this agent's Lease; after a conflict, first report the Lease as it is now."""
    state = AgentState.from_json(action.state)
    change = leases.agent_patch(state, call.context.now_text(), action.version)
    response = call.send(call.requests.patch(call.identity.name, change))
    if response is not None and response.status == 200:
        yield events.RenewalReturned(_own_lease(call, response))
        return
    if response is not None and response.status == 409:
        yield from get_lease(call, GetLease(call.identity.name))
    elif response is not None and response.status == 404:
        yield events.LeaseGone(call.identity.name)
    yield events.RenewalReturned(None)


def get_lease(call: Call, action: GetLease) -> Iterator[events.Event]:
    """Read one agent's Lease."""
    response = call.send(call.requests.get(action.name))
    if response is not None and response.status == 200:
        yield _lease_event(call, action.name, response)
    elif response is not None and response.status == 404:
        yield events.LeaseGone(action.name, by_get=True)
    else:
        yield events.GetFailed(action.name)


def _lease_event(call: Call, name: str, response: Response) -> events.Event:
    """Return the event for a Lease that was read; another job's Lease counts as absent.

    A Lease that cannot be read must not end this agent.
    """
    found = response.json()
    try:
        if leases.job_uid_of(found) != call.identity.job_uid:
            return events.LeaseGone(name, by_get=True)
        return events.LeaseSeen(leases.parse_agent(found, call.context.job), by_get=True)
    except WireError as error:
        log_ignored(call.context, name, error)
        return events.GetFailed(name)


def log_ignored(context: Context, name: str, why: object) -> None:
    """Log why a Lease is ignored, once."""
    context.log.problem(f"lease {name}", f"Lease {name} is ignored: {why}")


def _own_lease(call: Call, response: Response) -> leases.AgentLease:
    """Parse this agent's Lease. Raises WireError."""
    return leases.parse_agent(response.json(), call.context.job)


def cas_round(call: Call, action: CasRound) -> Iterator[events.Event]:
    """Write the next round, the holder, or both in one patch."""
    change: Json = {}
    if action.round is not None:
        change = leases.round_patch(action.round, action.version, action.report)
    if action.holder is not None:
        holder = leases.holder_patch(action.holder, call.context.now_text(), action.version)
        change = {**holder, **change}
    yield _write_round(call, change, events.Source.ANSWER, events.CasFailed)


def pulse(call: Call, action: Pulse) -> Iterator[events.Event]:
    """Write the holder's pulse, with its report."""
    change = leases.pulse_patch(action.report, call.context.now_text(), action.version)
    yield _write_round(call, change, events.Source.PULSE, events.PulseFailed)


def _write_round(
    call: Call, change: Json, source: events.Source, failed: Callable[[bool], events.Event]
) -> events.Event:
    response = call.send(call.requests.patch(call.round_name, change))
    if response is not None and response.status == 200:
        return events.RoundSeen(leases.parse_round(response.json()), source)
    return failed(response is not None and response.status == 409)


def create_lease(call: Call, action: CreateLease) -> Iterator[events.Event]:
    """Create this agent's Lease, and try until it exists. A Lease that exists already is reported;
    its nonce identifies the incarnation that created it (V11)."""
    failures, refused_at = 0, None
    while True:
        response = call.send_once(call.requests.create(_manifest(call, action)))
        if response is not None and response.status in (200, 201):
            yield events.LeaseSeen(_own_lease(call, response))
            return
        if response is not None and response.status == 409:
            found = _existing_lease(call)
            if found is not None:
                yield events.LeaseSeen(found, by_get=True)
                return
        refused_at = refused_since(call.context, "create", response, refused_at)
        failures += 1
        call.context.clock.pause(call.wait_s(failures, response))


def _manifest(call: Call, action: CreateLease) -> Json:
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
    """Read the Lease that exists already. None: there is none, or an older job left it.

    Garbage collection deletes the Lease of an older job. An agent has no right to delete Leases:
    else it could remove the operator's mark.
    """
    response = call.send(call.requests.get(call.identity.name))
    if response is None or response.status != 200:
        return None
    found = response.json()
    job_uid = leases.job_uid_of(found)
    if not job_uid:
        raise SetupError(
            f"Lease {call.identity.name} has no label {LABEL_JOB_UID}: delete it, or rename the job"
        )
    if job_uid == call.identity.job_uid:
        return _own_lease(call, response)
    log_ignored(call.context, call.identity.name, "an older job left it, and it is not deleted yet")
    return None


def refused_since(
    context: Context, verb: str, response: Response | None, since: float | None
) -> float | None:
    """Return the time of the first refusal. Raises SetupError after a minute of refusals.

    A missing response and a busy server are not refusals: they end by themselves.
    """
    if response is None or response.status in (*BUSY, 409):
        return None
    now = context.clock.now()
    if since is not None and now - since >= REFUSED_S:
        raise SetupError(refusal_text(context, verb, response))
    return now if since is None else since


def refusal_text(context: Context, verb: str, response: Response) -> str:
    """Return one line that names the verb, the objects, the address and the cure."""
    message = str(response.json().get("message") or response.body[:200].decode("utf-8", "replace"))
    where = f"leases in namespace {context.job.namespace} at {context.address}"
    binding = service_account_name(context.job.name)  # the account's name is also the binding's
    hint = f": check RoleBinding {binding}" if response.status in DENIED else ""
    return f"cannot {verb} {where}: {response.status} {message}{hint}"


_HANDLERS: dict[type, Callable[[Call, Any], Iterator[events.Event]]] = {
    CreateLease: create_lease,
    WriteState: write_state,
    CasRound: cas_round,
    Pulse: pulse,
    GetLease: get_lease,
}


def perform(call: Call, action: RequestAction) -> Iterator[events.Event]:
    """Perform one action and yield its results. Raises SetupError."""
    try:
        yield from _HANDLERS[type(action)](call, action)
    except WireError as error:
        raise SetupError(str(error)) from None
