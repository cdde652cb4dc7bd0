"""Calls and watches as pure conversations: with an API server in memory, and a time in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Union

import pytest
from tests.support.agent_api import CUT, AgentApi, Talk
from tests.support.lease_server import LeaseServer, Piece, refusal, too_large
from tests.support.protocol import JOB, active, desired, identity, name

from elasticjob.agent.api.conversation import NextLine, Open, Pause, Time
from elasticjob.agent.api.messages import Request, Response
from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound, CreateLease, GetLease, Pulse, WriteState
from elasticjob.wire import lease as leases
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round

READY = AgentState(AgentPhase.READY, 0)
RUNNING = AgentState(AgentPhase.RUNNING, 1).to_json()
ROUND, MINE, OTHER = "demo-round", name("A"), name("B")

Fault = Union[str, Response]
"""What happens to a request: `ok`; `dead`: it does not arrive; `lost`: its answer does not arrive;
a Response: this answer, without effect."""


class Scene:
    """One agent and a server. faults: of the first requests; the others are answered."""

    def __init__(self, *faults: Fault, pods: int = 2) -> None:
        self.now = 1000.0
        self.faults = list(faults)
        self.events: list[events.Event] = []
        self.problems: list[str] = []
        self.pauses: list[Pause] = []
        self.at: list[float] = []  # of each request
        self.sent: list[Any] = []
        self.calls: list[Talk] = []
        self.lines: list[tuple[Talk, Piece]] = []
        self.server = LeaseServer(JOB)
        wanted = desired(wanted=[Pod(index, 0) for index in range(pods)])
        self.server.create(leases.round_manifest(JOB, wanted, Round()))
        self.api = AgentApi(
            JOB,
            identity(),
            post=lambda talk, event: self.events.append(event),
            time=lambda: Time(self.now, f"at {self.now:g}"),
            wait=self.wait,
            fail=self.problems.append,
            close=lambda talk: None,
        )

    # ---- the server ------------------------------------------------------------------------------

    def create(self, letter: str, nonce: str = "") -> None:
        """An agent's Lease exists."""
        pod = identity(letter).pod
        nonce = nonce or identity(letter).nonce
        self.server.create(leases.agent_manifest(JOB, "u", pod, nonce, READY, "then", 15.0))

    def version(self, lease_name: str = ROUND) -> str:
        return str(self.server.objects[lease_name]["metadata"]["resourceVersion"])

    def answer(self, need: Any, talk: Talk) -> Any:
        """Perform a request, as its fault allows."""
        self.at.append(self.now)
        self.sent.append(need)
        fault = self.faults.pop(0) if self.faults else "ok"
        if isinstance(fault, Response) or fault == "dead":
            return fault if isinstance(fault, Response) else CUT
        if isinstance(need, Open):
            found, _ = self.server.open(need, lambda piece: self.lines.append((talk, piece)))
        else:
            found = self.server.answer(need)
        return CUT if fault == "lost" else found

    # ---- the agent -------------------------------------------------------------------------------

    def run(self, *actions: Any) -> list[events.Event]:
        """Perform the actions to their end, and return the events."""
        for action in actions:
            self.api.call(action, self.server.round())
        while self.calls:
            self.step(self.calls.pop(0))
        return self.events

    def wait(self, talk: Talk, need: Any) -> None:
        """A call waits for its turn. Tests move the watch."""
        if not talk.number:
            self.calls.append(talk)

    def step(self, talk: Talk) -> None:
        """Give a conversation what it waits for; a pause takes its shortest time."""
        need = talk.need
        if isinstance(need, Pause):
            self.pauses.append(need)
            self.now += need.shortest_s
            self.api.answer(talk, False)
        elif isinstance(need, NextLine):
            self.next_line(talk)
        else:
            self.api.answer(talk, self.answer(need, talk))

    def next_line(self, talk: Talk) -> None:
        """Deliver the next piece of a watch. Without one the watch stays open."""
        if self.lines:
            _, piece = self.lines.pop(0)
            for line in piece:
                self.api.answer(talk, line)

    def watch(self, wide: bool = False) -> Talk:
        """Open a watch, and follow it until it waits for a line."""
        self.api.reopen(wide)
        talk = self.api.watches[-1]
        self.follow(talk)
        return talk

    def follow(self, talk: Talk) -> None:
        """Follow a watch until it waits for a line that the server does not have."""
        while not isinstance(talk.need, NextLine) or self.lines:
            self.step(talk)

    def paused(self, talk: Talk) -> Pause:
        """The pause for which a watch waits."""
        assert isinstance(talk.need, Pause), talk.need
        return talk.need


def kinds(found: list[events.Event]) -> Iterator[str]:
    """The events in short."""
    for event in found:
        if isinstance(event, events.RoundSeen):
            yield f"RoundSeen {event.source.value} {event.lease.round.n}"
        elif isinstance(event, events.LeaseSeen):
            yield f"LeaseSeen {event.lease.state.phase.value} by_get={event.by_get}"
        elif isinstance(event, events.RenewalReturned):
            yield f"RenewalReturned {event.lease.state.phase.value if event.lease else None}"
        elif isinstance(event, (events.CasFailed, events.PulseFailed)):
            yield f"{type(event).__name__} conflict={event.conflict}"
        else:
            yield type(event).__name__


# ---- answers that are lost, refused or late ------------------------------------------------------

BUSY, LATER = refusal(503, "busy"), refusal(429, "later", retry_after_s=0.3)
FORBIDDEN, GONE = refusal(403, "may not"), refusal(404, "not found")
WRITE = WriteState(RUNNING, "2")
CAS = CasRound("1", round=active(1))
PULSE = Pulse("1", Report(0))
CREATE = CreateLease(READY.to_json())

TABLE: list[tuple[Any, list[Fault], list[str], int]] = [
    # the action, its faults, the events, the number of requests
    (WRITE, [], ["RenewalReturned running"], 1),
    (WRITE, ["dead"], ["RenewalReturned running"], 2),
    (WRITE, ["dead", "dead"], ["RenewalReturned None"], 2),
    # The write was applied: the second try is a conflict, and the agent takes what it wrote.
    (WRITE, ["lost"], ["LeaseSeen running by_get=True", "RenewalReturned None"], 3),
    (WRITE, ["lost", "dead"], ["RenewalReturned None"], 2),
    (WRITE, ["lost", "ok", "dead", "dead"], ["GetFailed", "RenewalReturned None"], 4),
    (WRITE, [LATER], ["RenewalReturned running"], 2),
    (WRITE, [BUSY, BUSY], ["RenewalReturned None"], 2),
    (WRITE, [FORBIDDEN], ["RenewalReturned None"], 1),
    (WRITE, [GONE], ["LeaseGone", "RenewalReturned None"], 1),
    (WRITE, [too_large("9")], ["RenewalReturned running"], 2),
    (CAS, [], ["RoundSeen answer 1"], 1),
    (CAS, ["dead"], ["RoundSeen answer 1"], 2),
    (CAS, ["dead", "dead"], ["CasFailed conflict=False"], 2),
    (CAS, ["lost"], ["CasFailed conflict=True"], 2),
    (CAS, ["lost", "lost"], ["CasFailed conflict=False"], 2),
    (CAS, [LATER], ["RoundSeen answer 1"], 2),
    (CAS, [BUSY, LATER], ["CasFailed conflict=False"], 2),
    (CAS, [FORBIDDEN], ["CasFailed conflict=False"], 1),
    (CAS, [GONE], ["CasFailed conflict=False"], 1),
    (PULSE, [], ["RoundSeen pulse 0"], 1),
    (PULSE, ["lost"], ["PulseFailed conflict=True"], 2),
    (PULSE, ["dead", "dead"], ["PulseFailed conflict=False"], 2),
    (PULSE, [BUSY], ["RoundSeen pulse 0"], 2),
    (GetLease(MINE), ["lost"], ["LeaseSeen ready by_get=True"], 2),
    (GetLease(OTHER), [], ["LeaseGone"], 1),
    (GetLease(MINE), [BUSY, BUSY], ["GetFailed"], 2),
]


@pytest.mark.parametrize(("action", "faults", "expected", "requests"), TABLE, ids=repr)
def test_a_call_ends_in_its_result_when_the_network_loses_requests_or_answers(
    action: Any, faults: list[Fault], expected: list[str], requests: int
) -> None:
    scene = Scene(*faults)
    scene.create("A")
    assert list(kinds(scene.run(action))) == expected
    assert len(scene.sent) == requests


@pytest.mark.parametrize(
    ("faults", "by_get"),
    [
        ([], False), (["dead"] * 20, False), (["lost"], True), (["lost", "dead"], True),
        ([BUSY, LATER, "dead"], False), ([FORBIDDEN] * 5, False), (["lost", "ok", "lost"], True),
        (["lost", "ok", "dead", "dead"], True),
    ],
)  # fmt: skip
def test_a_lease_is_created_once_and_found_by_its_nonce(faults: list[Fault], by_get: bool) -> None:
    scene = Scene(*faults)
    (event,) = scene.run(CREATE)
    assert isinstance(event, events.LeaseSeen)
    assert (event.lease.nonce, event.by_get) == (identity().nonce, by_get)


def test_the_lease_of_another_incarnation_is_reported_with_its_nonce() -> None:
    """The agent then exits (rule 2)."""
    scene = Scene()
    scene.create("A", nonce="another")
    (event,) = scene.run(CREATE)
    assert isinstance(event, events.LeaseSeen)
    assert (event.lease.nonce, event.by_get) == ("another", True)


def test_after_a_lost_answer_the_watch_delivers_the_agents_own_round() -> None:
    scene = Scene()
    talk = scene.watch()
    scene.faults = ["lost"]
    scene.run(CAS)
    scene.next_line(talk)
    assert list(kinds(scene.events)) == [
        "RoundSeen read 0",
        "CasFailed conflict=True",
        "RoundSeen watch 1",
    ]


# ---- watches -------------------------------------------------------------------------------------


def path(sent: Any) -> str:
    """The end of the path that a watch requested."""
    request: Request = sent.request if isinstance(sent, Open) else sent
    return request.path.rpartition("&")[2]


INITIAL = "resourceVersionMatch=NotOlderThan"

# What the server answers when the watch is opened again after version 1, the paths of that and the
# later requests, and the shortest pauses between them.
REOPENED: list[tuple[list[Fault], list[str], list[float]]] = [
    ([], ["resourceVersion=1"], [0.05]),
    (["dead"], ["resourceVersion=1"] * 2, [0.05, 0.1]),
    ([BUSY], ["resourceVersion=1"] * 2, [0.05, 0.1]),
    ([refusal(429, "later", 3.0)], ["resourceVersion=1"] * 2, [0.05, 3.0]),
    # A server that lags behind: the same version again, after the time that the server states.
    ([too_large("1")] * 3, ["resourceVersion=1"] * 4, [0.05, 1.0, 1.0, 1.0]),
    ([refusal(410, "too old")], ["resourceVersion=1", INITIAL], [0.05, 0.0]),
    ([refusal(410, "too old")] * 2, ["resourceVersion=1", INITIAL, INITIAL], [0.05, 0.0, 0.1]),
    ([FORBIDDEN], ["resourceVersion=1"] * 2, [0.05, 0.1]),
]


@pytest.mark.parametrize(("faults", "paths", "pauses"), REOPENED)
def test_a_watch_that_was_cut_is_resumed(
    faults: list[Fault], paths: list[str], pauses: list[float]
) -> None:
    scene = Scene()
    talk = scene.watch()
    scene.faults = list(faults)
    scene.api.answer(talk, CUT)
    scene.follow(talk)
    assert [path(sent) for sent in scene.sent[1:]] == paths
    assert [pause.shortest_s for pause in scene.pauses] == pytest.approx(pauses)
    assert not any(isinstance(event, events.RoundGone) for event in scene.events)


def test_a_server_that_lags_in_the_middle_of_a_stream_is_asked_for_the_same_version() -> None:
    scene = Scene()
    talk = scene.watch()
    details = b'"details":{"retryAfterSeconds":2}'
    status = b'{"code":504,"message":"Too large resource version",%s}' % details
    scene.api.answer(talk, b'{"type":"ERROR","object":%s}' % status)
    pause = scene.paused(talk)
    assert (pause.shortest_s, pause.until_answer) == (2.0, False)
    scene.follow(talk)
    assert path(scene.sent[-1]) == "resourceVersion=1"


def test_a_lagging_server_never_freezes_an_agent() -> None:
    """Two API servers, of which one lags: no minute of such answers is a refusal."""
    scene = Scene()
    talk = scene.watch()
    scene.faults = [too_large("1")] * 200
    scene.api.answer(talk, CUT)
    scene.follow(talk)
    assert scene.now - 1000.0 > 200.0
    assert list(kinds(scene.events)) == ["RoundSeen read 0"]


def test_what_happens_while_a_watch_is_cut_is_delivered_when_it_is_resumed() -> None:
    scene = Scene()
    talk = scene.watch()
    scene.api.answer(talk, CUT)
    scene.lines.clear()
    scene.server.patch(ROUND, leases.round_patch(active(1), "1"))
    scene.lines.clear()
    scene.follow(talk)
    assert list(kinds(scene.events)) == ["RoundSeen read 0", "RoundSeen watch 1"]


# ---- the first answer after an outage ------------------------------------------------------------


def test_the_first_answer_to_a_request_opens_the_watch_again() -> None:
    """The back-off of the watch has reached its longest; a renewal succeeds."""
    scene = Scene()
    scene.create("A")
    talk = scene.watch()
    scene.faults = ["dead"] * 12
    scene.api.answer(talk, CUT)
    while scene.faults:
        scene.step(talk)
    assert scene.paused(talk).longest_s == 5.0
    scene.run(WriteState(RUNNING, scene.version(MINE)))
    assert scene.paused(talk) == Pause(0.0, 2 / 400)  # the spread of a job of two pods
    began = scene.now
    scene.follow(talk)
    assert scene.now - began <= 0.5


@pytest.mark.parametrize(("pods", "longest_s"), [(8, 0.02), (100, 0.25), (500, 1.25)])
def test_many_agents_do_not_open_their_watches_at_the_same_instant(
    pods: int, longest_s: float
) -> None:
    scene = Scene(pods=pods)
    talk = scene.watch()
    scene.faults = ["dead", "dead", "dead"]
    scene.api.answer(talk, CUT)
    while scene.faults:
        scene.step(talk)
    scene.paused(talk)
    scene.run(GetLease(OTHER))
    assert scene.paused(talk) == Pause(0.0, longest_s)


@pytest.mark.parametrize("answer", [BUSY, LATER, "dead", "lost"])
def test_no_answer_and_a_busy_server_leave_the_watch_in_its_pause(answer: Fault) -> None:
    scene = Scene()
    talk = scene.watch()
    scene.faults = ["dead", answer, answer]
    scene.api.answer(talk, CUT)
    scene.step(talk)
    scene.step(talk)
    pause = scene.paused(talk)
    scene.run(GetLease(OTHER))
    assert talk.need is pause


@pytest.mark.parametrize("refused", [BUSY, LATER, FORBIDDEN, too_large("1")])
def test_a_server_that_refuses_the_watch_is_not_asked_again_at_each_answer(refused: Fault) -> None:
    scene = Scene()
    talk = scene.watch()
    scene.faults = [refused]
    scene.api.answer(talk, CUT)
    scene.step(talk)
    scene.step(talk)
    pause = scene.paused(talk)
    assert not pause.until_answer
    scene.run(GetLease(OTHER))
    assert talk.need is pause


def test_an_answer_counts_once() -> None:
    """A watch that fails while requests succeed is opened at most once for each answer."""
    scene = Scene()
    talk = scene.watch()
    scene.faults = ["dead"]
    scene.api.answer(talk, CUT)
    scene.step(talk)
    scene.step(talk)
    scene.run(GetLease(OTHER))
    scene.step(talk)  # the spread
    scene.faults = ["dead"]
    scene.step(talk)
    assert scene.paused(talk).longest_s == pytest.approx(0.4)


def test_an_answer_that_arrives_while_the_watch_is_being_opened_counts() -> None:
    """The request for the watch was sent before the server was back, and times out after it."""
    scene = Scene()
    talk = scene.watch()
    scene.api.answer(talk, CUT)
    scene.step(talk)  # the pause
    scene.run(GetLease(OTHER))
    scene.api.answer(talk, CUT)
    assert scene.paused(talk) == Pause(0.0, 2 / 400)


def test_answers_before_the_watch_was_cut_do_not_count() -> None:
    scene = Scene()
    talk = scene.watch()
    scene.run(GetLease(OTHER))
    scene.api.answer(talk, CUT)
    assert scene.paused(talk).shortest_s == 0.05
