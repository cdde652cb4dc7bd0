from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.clocks import VirtualClock
from tests.support.protocol import (
    DESIRED,
    JOB,
    active,
    agent_object,
    identity,
    parsed_agent,
    parsed_round,
    round_object,
)
from tests.support.transports import NO_RESPONSE, Script, ScriptedTransport, answer

from elasticjob.agent.api.calls import REFUSED_S, Call, RequestAction, perform
from elasticjob.agent.api.conversation import Context, SetupError
from elasticjob.agent.api.drivers import CallDriver, Machine
from elasticjob.agent.api.messages import Address, Response
from elasticjob.agent.inbox import Message, SetupFailed
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
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import JobIdentity
from elasticjob.wire.report import Progress, Report

STATE = AgentState(AgentPhase.READY, 0).to_json()
WRITE = WriteState(STATE, "7")
CREATE = CreateLease(STATE)
GET_OTHER = GetLease("demo-1-0")
PULSE = Pulse("7", Report(1))
CAS = CasRound("7", round=active(2))

MINE = agent_object(8)
OTHER = agent_object(8, "B")
BROKEN = agent_object(8, "B")
BROKEN["metadata"]["annotations"] = {}
FOREIGN = agent_object(8, "B", job=JobIdentity("team", "demo", "an-older-uid"))
FOREIGN_OWN = agent_object(8, job=JobIdentity("team", "demo", "an-older-uid"))
BUSY = answer(429, {"message": "too many requests"})


class Scene:
    """One call with a scripted transport."""

    def __init__(self, *script: Script) -> None:
        self.clock = VirtualClock()
        self.lines: list[str] = []
        self.transport = ScriptedTransport(*script)
        self.messages: list[Message] = []
        self.answers = 0
        log = Log(self.lines.append)
        machine = Machine(self.clock, log, jitter=lambda: 0.0, post=self.messages.append)
        self.driver = CallDriver(machine, self.transport, self.note_answer)
        self.call = Call(Context(JOB, identity(), Address("10.96.0.1", 443)), parsed_round())

    def note_answer(self) -> None:
        self.answers += 1

    def run(self, action: RequestAction) -> list[Message]:
        """Run one call, and return its events. Raises SetupError."""
        self.driver.run(perform(self.call, action), "a call")
        failures = [each.reason for each in self.messages if isinstance(each, SetupFailed)]
        if failures:
            raise SetupError(*failures)
        return self.messages

    def body(self, index: int = 0) -> Any:
        return json.loads(self.transport.requests[index].body)


# ---- one action, one result ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "script", "events"),
    [
        (WRITE, [answer(200, MINE)], [RenewalReturned(parsed_agent(8))]),
        (
            WRITE,
            [answer(409), answer(200, MINE)],
            [LeaseSeen(parsed_agent(8), by_get=True), RenewalReturned(None)],
        ),
        (
            WRITE,
            [answer(409), answer(404)],
            [LeaseGone("demo-0-0", by_get=True), RenewalReturned(None)],
        ),
        (
            WRITE,
            [answer(409), answer(200, FOREIGN_OWN)],
            [LeaseGone("demo-0-0", by_get=True), RenewalReturned(None)],
        ),
        (WRITE, [answer(404)], [LeaseGone("demo-0-0"), RenewalReturned(None)]),
        (WRITE, [NO_RESPONSE], [RenewalReturned(None)]),
        (WRITE, [answer(403)], [RenewalReturned(None)]),
        (GET_OTHER, [answer(200, OTHER)], [LeaseSeen(parsed_agent(8, "B"), by_get=True)]),
        (GET_OTHER, [answer(404)], [LeaseGone("demo-1-0", by_get=True)]),
        (GET_OTHER, [NO_RESPONSE], [GetFailed("demo-1-0")]),
        (GET_OTHER, [answer(200, BROKEN)], [GetFailed("demo-1-0")]),
        (GET_OTHER, [answer(200, FOREIGN)], [LeaseGone("demo-1-0", by_get=True)]),
        (CAS, [answer(200, round_object(8))], [RoundSeen(parsed_round(8), Source.ANSWER)]),
        (CAS, [answer(409)], [CasFailed(conflict=True)]),
        (CAS, [NO_RESPONSE], [CasFailed(conflict=False)]),
        (CAS, [answer(403)], [CasFailed(conflict=False)]),
        (PULSE, [answer(200, round_object(8))], [RoundSeen(parsed_round(8), Source.PULSE)]),
        (PULSE, [answer(409)], [PulseFailed(conflict=True)]),
        (PULSE, [NO_RESPONSE], [PulseFailed(conflict=False)]),
        (CREATE, [answer(201, MINE)], [LeaseSeen(parsed_agent(8))]),
    ],
)
def test_each_action_ends_in_its_result(
    action: RequestAction, script: list[Script], events: list[Event]
) -> None:
    assert Scene(*script).run(action) == events


# ---- what is sent --------------------------------------------------------------------------------


def test_a_renewal_is_a_merge_patch_against_a_version() -> None:
    scene = Scene(answer(200, MINE))
    scene.run(WRITE)
    request = scene.transport.requests[0]
    assert (request.method, request.content_type) == ("PATCH", "application/merge-patch+json")
    assert request.path == "/apis/coordination.k8s.io/v1/namespaces/team/leases/demo-0-0"
    assert scene.body()["metadata"]["resourceVersion"] == "7"
    assert scene.body()["spec"] == {"renewTime": "2023-11-14T22:30:00.000000Z"}


def test_a_new_round_and_a_new_holder_can_be_one_write() -> None:
    scene = Scene(answer(200, round_object(8)))
    scene.run(CasRound("7", round=active(2), holder="demo-0-0"))
    body = scene.body()
    assert body["metadata"]["resourceVersion"] == "7"
    assert body["spec"]["holderIdentity"] == "demo-0-0"
    assert len(body["metadata"]["annotations"]) == 1


def test_the_end_and_the_last_report_are_one_write() -> None:
    scene = Scene(answer(200, round_object(8)))
    scene.run(CasRound("7", round=active(2), report=Report(1, progress=Progress(9, 9))))
    annotations = scene.body()["metadata"]["annotations"]
    assert len(annotations) == 2
    assert Report.from_json(annotations[names.ANNOTATION_REPORT]).progress == Progress(9, 9)


def test_a_holder_is_cleared_by_null() -> None:
    scene = Scene(answer(200, round_object(8)))
    scene.run(CasRound("7", holder=""))
    assert scene.body()["spec"] == {"holderIdentity": None, "renewTime": None}


def test_a_new_lease_is_owned_by_the_round() -> None:
    scene = Scene(answer(201, MINE))
    scene.run(CREATE)
    body = scene.body()
    assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-of-round"
    assert body["spec"]["holderIdentity"] == "nonce-A"
    assert body["spec"]["leaseDurationSeconds"] == 2  # three heartbeat intervals of half a second


# ---- tries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [NO_RESPONSE, BUSY, answer(500), answer(503), answer(504)])
def test_a_request_has_two_tries(first: Script) -> None:
    scene = Scene(first, answer(200, MINE))
    assert scene.run(WRITE) == [RenewalReturned(parsed_agent(8))]
    assert scene.transport.methods == ["PATCH", "PATCH"]


def test_there_is_no_third_try() -> None:
    scene = Scene(BUSY)
    assert scene.run(CAS) == [CasFailed(conflict=False)]
    assert scene.transport.methods == ["PATCH", "PATCH"]


def test_a_refusal_is_not_tried_again() -> None:
    scene = Scene(answer(403))
    scene.run(CAS)
    assert scene.transport.methods == ["PATCH"]


@pytest.mark.parametrize(("retry_after_s", "waited_s"), [(0.3, 0.3), (60.0, DESIRED.heartbeat_s)])
def test_retry_after_counts_up_to_a_heartbeat_interval(
    retry_after_s: float, waited_s: float
) -> None:
    scene = Scene(answer(429, retry_after_s=retry_after_s), answer(200, MINE))
    scene.run(WRITE)
    assert scene.clock.pauses == [waited_s]


def test_no_request_takes_longer_than_a_heartbeat_interval() -> None:
    scene = Scene(NO_RESPONSE)
    scene.run(CAS)
    assert {request.timeout_s for request in scene.transport.requests} == {DESIRED.heartbeat_s}


# ---- joining -------------------------------------------------------------------------------------


def test_a_create_is_tried_until_the_lease_exists() -> None:
    scene = Scene(NO_RESPONSE, NO_RESPONSE, BUSY, answer(500), answer(201, MINE))
    assert scene.run(CREATE) == [LeaseSeen(parsed_agent(8))]
    assert scene.transport.methods == ["POST"] * 5


def test_a_create_without_a_response_finds_its_lease() -> None:
    scene = Scene(NO_RESPONSE, answer(409), answer(200, MINE))
    assert scene.run(CREATE) == [LeaseSeen(parsed_agent(8), by_get=True)]


def test_an_agent_waits_until_the_lease_of_an_older_job_is_deleted() -> None:
    old = agent_object(5, job=JobIdentity("team", "demo", "an-older-uid"))
    exists = (answer(409), answer(200, old))
    scene = Scene(*exists, *exists, answer(201, MINE))
    assert scene.run(CREATE) == [LeaseSeen(parsed_agent(8))]
    assert scene.transport.methods == ["POST", "GET", "POST", "GET", "POST"]
    (line,) = scene.lines
    assert "Lease demo-0-0 is ignored: an older job left it" in line


def test_the_lease_of_another_program_is_not_changed() -> None:
    other = {"metadata": {"name": "demo-0-0", "uid": "u", "resourceVersion": "1"}}
    scene = Scene(answer(409), answer(200, other))
    with pytest.raises(SetupError, match="demo-0-0 has no label"):
        scene.run(CREATE)
    assert scene.transport.methods == ["POST", "GET"]


def test_a_late_rolebinding_is_no_error() -> None:
    scene = Scene(*[answer(403)] * 5, answer(201, MINE))
    assert scene.run(CREATE) == [LeaseSeen(parsed_agent(8))]


@pytest.mark.parametrize("status", [401, 403, 422])
def test_a_minute_of_refusals_ends_the_agent_with_the_cure(status: int) -> None:
    scene = Scene(answer(status, {"message": "may not"}))
    with pytest.raises(SetupError) as caught:
        scene.run(CREATE)
    assert 0 <= scene.clock.now() - 1000.0 - REFUSED_S < 6
    text = str(caught.value)
    assert "cannot create leases in namespace team at 10.96.0.1:443" in text
    assert f"{status} may not" in text
    assert ("RoleBinding elasticjob-demo" in text) == (status != 422)


def test_a_missing_response_is_no_refusal() -> None:
    """An agent that joins survives ten minutes without an API server."""
    refusals: list[Script] = [NO_RESPONSE] * 200
    scene = Scene(answer(403), *refusals, answer(403), answer(201, MINE))
    assert scene.run(CREATE) == [LeaseSeen(parsed_agent(8))]
    assert scene.clock.now() - 1000.0 > REFUSED_S


# ---- the log -------------------------------------------------------------------------------------


def test_an_outage_is_one_line_and_its_end_another() -> None:
    scene = Scene(NO_RESPONSE, NO_RESPONSE, NO_RESPONSE, answer(201, MINE))
    scene.run(CREATE)
    assert scene.lines == [
        "[elasticjob] API server 10.96.0.1:443 does not answer: timed out",
        "[elasticjob] API server 10.96.0.1:443 answers again",
    ]


def test_a_refused_write_is_one_line_with_the_cure_and_its_end_another() -> None:
    refused = answer(403, {"message": "leases is forbidden"})
    scene = Scene(refused, refused, answer(409, {}))
    for _ in range(2):
        assert scene.run(PULSE)[-1] == PulseFailed(conflict=False)
    assert scene.lines == [
        "[elasticjob] cannot write leases in namespace team at 10.96.0.1:443: 403 leases is"
        " forbidden: check RoleBinding elasticjob-demo"
    ]
    scene.run(PULSE)
    assert scene.lines[1:] == [
        "[elasticjob] the API server allows this agent to write"
        " /apis/coordination.k8s.io/v1/namespaces/team/leases/demo-round again"
    ]


def test_an_unreadable_round_ends_the_agent() -> None:
    found = round_object(8)
    found["metadata"]["annotations"].clear()
    with pytest.raises(SetupError, match="annotation"):
        Scene(Response(200, json.dumps(found).encode())).run(CAS)
