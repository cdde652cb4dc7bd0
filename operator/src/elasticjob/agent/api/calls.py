"""The actions of the rendezvous that are requests, as conversations: each ends in one of its result
events.

A function for each type of action yields its requests and its events (conversation.py).
"""

from __future__ import annotations

from typing import Any, Callable, Union

from elasticjob.agent.api import backoff
from elasticjob.agent.api.conversation import (
    BUSY,
    DENIED,
    READ_CLOCK,
    Answer,
    Context,
    Conversation,
    NoAnswer,
    Pause,
    Problem,
    Recovery,
    SetupError,
    Time,
    ignored,
)
from elasticjob.agent.api.lease_requests import LeaseRequests
from elasticjob.agent.api.messages import Request, Response
from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound, CreateLease, GetLease, Pulse, WriteState
from elasticjob.rendezvous.timing import SILENT_PULSES, silence_s
from elasticjob.wire import lease as leases
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.names import LABEL_JOB_UID, round_lease_name, service_account_name

TRIES = 2  # of a request
REFUSED_S = 60.0  # authorizers' caches lag behind a fresh RoleBinding

RequestAction = Union[CreateLease, WriteState, CasRound, Pulse, GetLease]


class Call:
    """What the requests of one action need, with the Round Lease from when it was decided."""

    def __init__(self, context: Context, round_lease: leases.RoundLease) -> None:
        self.context = context
        self.identity = context.identity
        self.round_lease = round_lease
        self.requests = LeaseRequests(context.job.namespace)
        self.round_name = round_lease_name(context.job.name)

    @property
    def desired(self) -> Desired:
        """The operator's part of the Round Lease."""
        return self.round_lease.desired


def send(call: Call, request: Request) -> Conversation[Response | None]:
    """Send at most twice. None: there was no response, or the server was busy."""
    for attempt in range(1, TRIES + 1):
        response = yield from send_once(call, request)
        if response is not None and response.status not in BUSY:
            yield _line_on_rights(call, request, response)
            return response
        if attempt < TRIES:
            yield pause(call, attempt, response)
    return None


def send_once(call: Call, request: Request) -> Conversation[Response | None]:
    """Send once, within T: a request that hangs must not delay a renewal. None: no response."""
    server = f"API server {call.context.address}"
    answer: Answer = yield replace(request, timeout_s=call.desired.heartbeat_s)
    if isinstance(answer, NoAnswer):
        yield Problem("api", f"{server} does not answer: {answer.reason}")
        return None
    yield Recovery("api", f"{server} answers again")
    return answer


def _line_on_rights(call: Call, request: Request, response: Response) -> Problem | Recovery:
    """The line of the log on a refused request, or on one that is allowed again."""
    verb = "read" if request.method == "GET" else "write"
    if response.status in DENIED:
        return Problem(request.path, refusal_text(call.context, verb, response))
    return Recovery(
        request.path, f"the API server allows this agent to {verb} {request.path} again"
    )


def pause(call: Call, failures: int, response: Response | None) -> Pause:
    """Return the pause before the next try; Retry-After counts up to T."""
    retry_after_s = response.retry_after_s if response is not None else None
    return backoff.pause(failures, retry_after_s or 0.0, call.desired.heartbeat_s)


# ---- the actions ---------------------------------------------------------------------------------


def write_state(call: Call, action: WriteState) -> Conversation[None]:
    """Renew this agent's Lease; after a conflict, first report the Lease as it is now.

    After a write whose answer was lost, the second try is such a conflict.
    """
    time: Time = yield READ_CLOCK
    change = leases.agent_patch(AgentState.from_json(action.state), time.text, action.version)
    response = yield from send(call, call.requests.patch(call.identity.name, change))
    if response is not None and response.status == 200:
        yield events.RenewalReturned(_own_lease(call, response))
        return
    if response is not None and response.status == 409:
        yield from get_lease(call, GetLease(call.identity.name))
    elif response is not None and response.status == 404:
        yield events.LeaseGone(call.identity.name)
    yield events.RenewalReturned(None)


def get_lease(call: Call, action: GetLease) -> Conversation[None]:
    """Read one agent's Lease."""
    response = yield from send(call, call.requests.get(action.name))
    if response is not None and response.status == 200:
        yield from _found_lease(call, action.name, response)
    elif response is not None and response.status == 404:
        yield events.LeaseGone(action.name, by_get=True)
    else:
        yield events.GetFailed(action.name)


def _found_lease(call: Call, name: str, response: Response) -> Conversation[None]:
    """Report a Lease that was read; another job's Lease counts as absent.

    A Lease that cannot be read must not end this agent.
    """
    found = response.json()
    try:
        if leases.job_uid_of(found) != call.identity.job_uid:
            yield events.LeaseGone(name, by_get=True)
            return
        lease = leases.parse_agent(found, call.context.job)
    except WireError as error:
        yield ignored(name, error)
        yield events.GetFailed(name)
        return
    yield events.LeaseSeen(lease, by_get=True)


def _own_lease(call: Call, response: Response) -> leases.AgentLease:
    """Parse this agent's Lease. Raises WireError."""
    return leases.parse_agent(response.json(), call.context.job)


def cas_round(call: Call, action: CasRound) -> Conversation[None]:
    """Write the next round, the holder, or both in one patch.

    After a write whose answer was lost, the second try is a conflict: the agent finds its own
    round, which its watch delivers.
    """
    change: Json = {}
    if action.round is not None:
        change = leases.round_patch(action.round, action.version, action.report)
    if action.holder is not None:
        time: Time = yield READ_CLOCK
        change = {**leases.holder_patch(action.holder, time.text, action.version), **change}
    yield from _write_round(call, change, events.Source.ANSWER, events.CasFailed)


def pulse(call: Call, action: Pulse) -> Conversation[None]:
    """Write the holder's pulse, with its report."""
    time: Time = yield READ_CLOCK
    change = leases.pulse_patch(action.report, time.text, action.version)
    yield from _write_round(call, change, events.Source.PULSE, events.PulseFailed)


def _write_round(
    call: Call, change: Json, source: events.Source, failed: Callable[[bool], events.Event]
) -> Conversation[None]:
    response = yield from send(call, call.requests.patch(call.round_name, change))
    if response is not None and response.status == 200:
        yield events.RoundSeen(leases.parse_round(response.json()), source)
    else:
        yield failed(response is not None and response.status == 409)


def create_lease(call: Call, action: CreateLease) -> Conversation[None]:
    """Create this agent's Lease, and try until it exists. A Lease that exists already is reported;
    its nonce identifies the incarnation that created it (V11)."""
    failures, refused_at = 0, None
    while True:
        time: Time = yield READ_CLOCK
        manifest = _manifest(call, action, time.text)
        response = yield from send_once(call, call.requests.create(manifest))
        if response is not None and response.status in (200, 201):
            yield events.LeaseSeen(_own_lease(call, response))
            return
        if response is not None and response.status == 409:
            found = yield from _existing_lease(call)
            if found is not None:
                yield events.LeaseSeen(found, by_get=True)
                return
        refused_at = refused_since(call.context, "create", response, refused_at, time.at)
        failures += 1
        yield pause(call, failures, response)


def _manifest(call: Call, action: CreateLease, now_text: str) -> Json:
    return leases.agent_manifest(
        call.context.job,
        call.round_lease.uid,
        call.identity.pod,
        call.identity.nonce,
        AgentState.from_json(action.state),
        now_text,
        silence_s(call.desired.heartbeat_s, SILENT_PULSES),
    )


def _existing_lease(call: Call) -> Conversation[leases.AgentLease | None]:
    """Read the Lease that exists already. None: there is none, or an older job left it.

    Garbage collection deletes the Lease of an older job. An agent has no right to delete Leases:
    else it could remove the operator's mark.
    """
    name = call.identity.name
    response = yield from send(call, call.requests.get(name))
    if response is None or response.status != 200:
        return None
    found = response.json()
    job_uid = leases.job_uid_of(found)
    if not job_uid:
        raise SetupError(f"Lease {name} has no label {LABEL_JOB_UID}: delete it, or rename the job")
    if job_uid == call.identity.job_uid:
        return _own_lease(call, response)
    yield ignored(name, "an older job left it, and it is not deleted yet")
    return None


def refused_since(
    context: Context, verb: str, response: Response | None, since: float | None, now: float
) -> float | None:
    """Return the time of the first refusal. Raises SetupError after a minute of refusals.

    A missing response and a busy server are not refusals: they end by themselves.
    """
    if response is None or response.status in (*BUSY, 409):
        return None
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


_CONVERSATIONS: dict[type, Callable[[Call, Any], Conversation[None]]] = {
    CreateLease: create_lease,
    WriteState: write_state,
    CasRound: cas_round,
    Pulse: pulse,
    GetLease: get_lease,
}


def perform(call: Call, action: RequestAction) -> Conversation[None]:
    """Perform one action, and yield its results. Raises SetupError."""
    try:
        yield from _CONVERSATIONS[type(action)](call, action)
    except WireError as error:
        raise SetupError(str(error)) from None
