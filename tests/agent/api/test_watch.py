from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.clocks import VirtualClock
from tests.support.protocol import (
    JOB,
    active,
    agent_object,
    identity,
    parsed_agent,
    parsed_round,
    round_object,
)
from tests.support.transports import (
    NO_RESPONSE,
    ScriptedStream,
    ScriptedStreamOrError,
    ScriptedStreamTransport,
)

from elasticjob.agent.api.calls import REFUSED_S
from elasticjob.agent.api.conversation import Context
from elasticjob.agent.api.drivers import Machine, WatchDriver
from elasticjob.agent.api.messages import Address
from elasticjob.agent.api.watch import UNREACHABLE_S, Watch, WatchScope
from elasticjob.agent.inbox import Message, SetupFailed, WatchEvent
from elasticjob.agent.log import Log
from elasticjob.rendezvous.events import (
    Event,
    LeaseGone,
    LeaseSeen,
    RoundGone,
    RoundSeen,
    Source,
    ViewComplete,
)
from elasticjob.wire import names
from elasticjob.wire.lease import JobIdentity

NARROW = WatchScope(False, "demo-round", JOB.uid)
WIDE = WatchScope(True, "demo-round", JOB.uid)
PATH = "/apis/coordination.k8s.io/v1/namespaces/team/leases"
BY_NAME = f"{PATH}?fieldSelector=metadata.name%3Ddemo-round"
INITIAL = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
WATCH = "&watch=true&allowWatchBookmarks=true"
OFF = ScriptedStream(status=422, body={"message": "sendInitialEvents is forbidden"})


def added(found: Any) -> Any:
    return {"type": "ADDED", "object": found}


def modified(found: Any) -> Any:
    return {"type": "MODIFIED", "object": found}


def deleted(found: Any) -> Any:
    return {"type": "DELETED", "object": found}


def bookmark(version: int, ends: bool = False) -> Any:
    notes = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends else {}
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version), **notes}}}


def error(code: int) -> Any:
    return {"type": "ERROR", "object": {"code": code, "message": "too old"}}


def begins(version: int = 5) -> list[Any]:
    """Return the first events of a narrow watch."""
    return [added(round_object(3)), bookmark(version, ends=True)]


class Scene:
    """A watch with a scripted transport, until the script ends."""

    def __init__(
        self, *script: ScriptedStreamOrError, kind: WatchScope = NARROW, is_first: bool = True
    ) -> None:
        self.clock = VirtualClock()
        self.messages: list[Message] = []
        self.lines: list[str] = []
        self.transport = ScriptedStreamTransport(*script)
        log = Log(self.lines.append)
        machine = Machine(self.clock, log, jitter=lambda: 0.5, post=self.messages.append)
        self.watch = Watch(Context(JOB, identity(), Address("10.96.0.1", 443)), kind, is_first)
        self.driver = WatchDriver(machine, self.transport, 1)
        self.transport.at_end = self.driver.close

    def run(self) -> list[Event]:
        """Run the watch, and return its events."""
        self.driver.run(self.watch.conversation(), "a watch")
        return [message.event for message in self.messages if isinstance(message, WatchEvent)]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.transport.requests]

    def setup_failure(self) -> str:
        """Return the reason for which the agent must end."""
        (message,) = [message for message in self.messages if isinstance(message, SetupFailed)]
        return message.reason


# ---- the beginning -------------------------------------------------------------------------------


def test_a_narrow_watch_reads_the_round_and_follows_it() -> None:
    scene = Scene(ScriptedStream(*begins(), modified(round_object(6, round_=active(1)))))
    assert scene.run() == [
        RoundSeen(parsed_round(3), Source.READ),
        RoundSeen(parsed_round(6, round_=active(1)), Source.WATCH),
    ]
    assert scene.paths == [BY_NAME + WATCH + INITIAL]


def test_a_wide_watch_has_a_view_once_its_initial_set_is_complete() -> None:
    stream = ScriptedStream(
        added(agent_object(1)),
        added(round_object(3)),
        added(agent_object(2, "B")),
        bookmark(5, ends=True),
        modified(agent_object(6)),
        deleted(agent_object(7, "B")),
    )
    assert Scene(stream, kind=WIDE).run() == [
        RoundSeen(parsed_round(3), Source.READ),
        ViewComplete((parsed_agent(1), parsed_agent(2, "B"))),
        LeaseSeen(parsed_agent(6)),
        LeaseGone("demo-1-0"),
    ]


def test_no_event_is_posted_before_the_initial_set_is_complete() -> None:
    stream = ScriptedStream(added(round_object(3)), bookmark(4), cut=True)
    assert Scene(stream, ScriptedStream(*begins())).run() == [
        RoundSeen(parsed_round(3), Source.READ)
    ]


@pytest.mark.parametrize("is_wide", [False, True])
def test_where_there_are_no_initial_events_it_lists_then_watches(is_wide: bool) -> None:
    """Kubernetes 1.33 and releases below 1.32 answer 422."""
    found = {
        "metadata": {"resourceVersion": "9"},
        "items": [round_object(3), agent_object(4)] if is_wide else [round_object(3)],
    }
    listed = ScriptedStream(body=found)
    scene = Scene(
        OFF, listed, ScriptedStream(modified(round_object(10))), kind=WIDE if is_wide else NARROW
    )
    view = [ViewComplete((parsed_agent(4),))] if is_wide else []
    assert scene.run() == [
        RoundSeen(parsed_round(3), Source.READ),
        *view,
        RoundSeen(parsed_round(10), Source.WATCH),
    ]
    assert scene.paths[1].startswith(PATH)
    assert "watch" not in scene.paths[1]
    assert scene.paths[2].endswith(WATCH + "&resourceVersion=9")


# ---- losses --------------------------------------------------------------------------------------


def test_it_resumes_after_the_last_version_bookmarks_included() -> None:
    scene = Scene(
        ScriptedStream(*begins(5), bookmark(8), cut=True),
        ScriptedStream(modified(round_object(9)), cut=True),
        ScriptedStream(),
    )
    scene.run()
    assert scene.paths[1] == BY_NAME + WATCH + "&resourceVersion=8"
    assert scene.paths[2] == BY_NAME + WATCH + "&resourceVersion=9"


@pytest.mark.parametrize(
    "gone",
    [ScriptedStream(error(410)), ScriptedStream(status=410)],
    ids=["in the stream", "at once"],
)
def test_after_an_expired_version_the_watch_begins_again(gone: ScriptedStream) -> None:
    scene = Scene(ScriptedStream(*begins(), cut=True), gone, ScriptedStream(*begins(20)))
    assert scene.run() == [RoundSeen(parsed_round(3), Source.READ)] * 2
    assert scene.paths[2] == BY_NAME + WATCH + INITIAL


def test_an_outage_has_growing_pauses() -> None:
    scene = Scene(ScriptedStream(*begins(), cut=True), *[NO_RESPONSE] * 8, ScriptedStream())
    scene.run()
    pauses = scene.clock.pauses
    assert pauses[:9] == sorted(pauses[:9])
    assert pauses[0] < 0.1
    assert pauses[8] == 3.75  # five seconds, shortened by jitter
    assert scene.lines == [
        "[elasticjob] watch at 10.96.0.1:443 ended: the connection was closed",
        "[elasticjob] watch at 10.96.0.1:443 ended: timed out",
    ]


def test_there_is_a_pause_after_a_watch_that_ends_at_once() -> None:
    scene = Scene(ScriptedStream(*begins()), *[ScriptedStream()] * 4)
    scene.run()
    assert len(scene.clock.pauses) == 3  # the script closes the fourth


def test_an_error_in_the_stream_is_a_loss() -> None:
    scene = Scene(ScriptedStream(*begins(), error(500)), ScriptedStream(bookmark(9)))
    scene.run()
    assert scene.paths[1].endswith("&resourceVersion=5")


def test_an_invalid_event_is_a_loss() -> None:
    scene = Scene(ScriptedStream(*begins(), b"<html>"), ScriptedStream(bookmark(9)))
    scene.run()
    assert scene.paths[1].endswith("&resourceVersion=5")


# ---- the Round Lease comes and goes --------------------------------------------------------------


def test_a_deleted_round_is_gone_and_may_come_back() -> None:
    stream = ScriptedStream(*begins(), deleted(round_object(6)), added(round_object(7)))
    assert Scene(stream).run()[1:] == [RoundGone(), RoundSeen(parsed_round(7), Source.WATCH)]


def test_a_round_that_is_absent_after_a_new_read_is_gone() -> None:
    fresh = ScriptedStream(bookmark(9, ends=True))
    scene = Scene(ScriptedStream(*begins(), error(410)), fresh)
    assert scene.run()[1:] == [RoundGone()]


def test_an_older_jobs_round_of_this_name_is_ignored() -> None:
    other = round_object(3, job=JobIdentity("team", "demo", "an-older-uid"))
    late = ScriptedStream(added(other), bookmark(4, ends=True))
    assert Scene(late, ScriptedStream(*begins())).run() == [RoundSeen(parsed_round(3), Source.READ)]


def test_a_round_that_cannot_be_read_ends_the_agent() -> None:
    newer = round_object(3)
    notes = newer["metadata"]["annotations"]
    for key in notes:
        notes[key] = notes[key].replace('"v":1', '"v":2')
    scene = Scene(ScriptedStream(added(newer), bookmark(4, ends=True)))
    scene.run()
    assert "Round Lease demo-round cannot be read" in scene.setup_failure()
    assert "more than one release apart" in scene.setup_failure()


def test_an_agents_lease_that_cannot_be_read_is_logged_and_left_out() -> None:
    broken = agent_object(2, "B")
    broken["metadata"]["annotations"] = {}
    stream = ScriptedStream(
        added(broken), added(round_object(3)), bookmark(4, ends=True), modified(broken)
    )
    scene = Scene(stream, kind=WIDE)
    assert scene.run() == [RoundSeen(parsed_round(3), Source.READ), ViewComplete(())]
    assert sum("Lease demo-1-0 is ignored" in line for line in scene.lines) == 1


@pytest.mark.parametrize("name", ["evil-0-0", "demo-00-0", "demo-2-0-0", "other"])
def test_a_lease_with_the_jobs_labels_and_another_name_is_ignored(name: str) -> None:
    """Code in another job can label its Lease like one of this job, but cannot choose its name."""
    foreign = agent_object(2)
    foreign["metadata"]["name"] = name
    stream = ScriptedStream(
        added(agent_object(1)), added(foreign), added(round_object(3)), bookmark(5, ends=True),
        modified(foreign), deleted(foreign), modified(agent_object(6)),
    )  # fmt: skip
    scene = Scene(stream, kind=WIDE)
    assert scene.run() == [
        RoundSeen(parsed_round(3), Source.READ),
        ViewComplete((parsed_agent(1),)),
        LeaseSeen(parsed_agent(6)),
    ]
    assert scene.lines == [
        f"[elasticjob] Lease {name} is ignored: the Lease '{name}' is not named like a pod of demo"
    ]


def test_an_agents_lease_that_is_labelled_as_the_round_is_ignored() -> None:
    broken = agent_object(2, "B")
    broken["metadata"]["labels"][names.LABEL_LEASE] = names.LEASE_ROUND
    stream = ScriptedStream(
        added(broken), added(round_object(3)), bookmark(4, ends=True), modified(broken)
    )
    assert Scene(stream, kind=WIDE).run() == [
        RoundSeen(parsed_round(3), Source.READ),
        ViewComplete(()),
    ]


# ---- refusals ------------------------------------------------------------------------------------


def refused(status: int) -> Callable[[], ScriptedStream]:
    return lambda: ScriptedStream(status=status, body={"message": "may not"})


@pytest.mark.parametrize("status", [401, 403])
def test_joining_ends_after_a_minute_of_refusals(status: int) -> None:
    scene = Scene(*[refused(status)() for _ in range(100)])
    scene.run()
    assert scene.setup_failure() == (
        f"cannot watch leases in namespace team at 10.96.0.1:443: {status} may not: "
        "check RoleBinding elasticjob-demo"
    )
    assert 0 <= scene.clock.now() - 1000.0 - REFUSED_S < 6


def test_a_late_rolebinding_is_no_error() -> None:
    scene = Scene(*[refused(403)() for _ in range(5)], ScriptedStream(*begins()))
    assert scene.run() == [RoundSeen(parsed_round(3), Source.READ)]


def test_joining_ends_after_a_minute_without_a_round() -> None:
    scene = Scene(*[ScriptedStream(bookmark(4, ends=True)) for _ in range(100)])
    scene.run()
    assert "Round Lease demo-round does not exist" in scene.setup_failure()


def test_joining_ends_after_five_minutes_without_an_answer() -> None:
    scene = Scene(*[NO_RESPONSE] * 500)
    scene.run()
    assert scene.setup_failure() == (
        "cannot reach API server 10.96.0.1:443: timed out: check the NetworkPolicies"
    )
    assert 0 <= scene.clock.now() - 1000.0 - UNREACHABLE_S < 6


def test_after_joining_an_outage_never_ends_the_agent() -> None:
    scene = Scene(ScriptedStream(*begins(), cut=True), *[NO_RESPONSE] * 500)
    scene.run()
    assert not any(isinstance(message, SetupFailed) for message in scene.messages)
    assert scene.clock.now() - 1000.0 > 5 * UNREACHABLE_S


def test_after_joining_a_minute_of_refusals_freezes_until_a_new_read() -> None:
    refusals = [refused(403)() for _ in range(25)]
    scene = Scene(ScriptedStream(*begins(), cut=True), *refusals, ScriptedStream(*begins(9)))
    events = scene.run()
    assert events[1] == RoundGone()
    assert events[-1] == RoundSeen(parsed_round(3), Source.READ)
    assert scene.paths[-1] == BY_NAME + WATCH + INITIAL


def test_retry_after_of_a_busy_server_delays_the_next_watch() -> None:
    busy = ScriptedStream(status=429, retry_after_s=3.0)
    scene = Scene(busy, ScriptedStream(*begins()))
    scene.run()
    assert scene.clock.pauses[0] == 3.0


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"[" * 5000, b"1", b"[]", b"null", b"\xff", b'{"type": 1, "object": {}}',
        {"type": "ADDED"}, {"object": {}}, added(None), added([]), added({}),
        added({"metadata": []}), added({"metadata": {"name": "demo-round"}}),
        added({"metadata": {"name": 1, "resourceVersion": "9"}}),
        added({"metadata": {"resourceVersion": "9"}}), modified({"metadata": {"name": "x"}}),
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": 5}}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "5", "annotations": [1]}}},
        {"type": "ERROR", "object": "no"}, error(500), {"type": "ERROR", "object": {"code": []}},
    ],
    ids=repr,
)  # fmt: skip
def test_an_event_that_cannot_be_read_costs_the_connection_only(broken: Any) -> None:
    if isinstance(broken, dict):
        broken = json.dumps(broken).encode()
    scene = Scene(ScriptedStream(broken), ScriptedStream(*begins(), broken), ScriptedStream())
    assert scene.run() == [RoundSeen(parsed_round(3), Source.READ)]
    assert len(scene.paths) == 3
    assert not any(isinstance(message, SetupFailed) for message in scene.messages)


@pytest.mark.parametrize(
    "broken",
    [
        [], {}, {"items": {}}, {"items": [1], "metadata": {"resourceVersion": "5"}},
        {"items": [{}], "metadata": {"resourceVersion": "5"}}, {"items": [], "metadata": "5"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_read_again(broken: Any) -> None:
    whole = {"items": [round_object(3)], "metadata": {"resourceVersion": "5"}}
    scene = Scene(
        OFF, ScriptedStream(body=broken), ScriptedStream(body=whole), ScriptedStream(), kind=NARROW
    )
    assert scene.run() == [RoundSeen(parsed_round(3), Source.READ)]


def test_one_lease_that_is_nested_too_deep_does_not_cost_the_watch() -> None:
    deep: Any = agent_object(6, "B")
    deep["metadata"]["managedFields"] = "DEEP"
    line = json.dumps(modified(deep)).replace('"DEEP"', "[" * 5000 + "]" * 5000).encode()
    scene = Scene(ScriptedStream(*begins(), line, modified(agent_object(7))), kind=WIDE)
    assert scene.run()[2:] == [LeaseSeen(parsed_agent(6, "B")), LeaseSeen(parsed_agent(7))]


def test_an_unexpected_exception_reaches_the_loop() -> None:
    """A thread that ends in silence leaves an agent that waits for ever."""
    scene = Scene(ScriptedStream(*begins()), KeyError("metadata"), ScriptedStream())
    scene.run()
    assert scene.setup_failure() == "internal error in a watch: KeyError('metadata')"


def test_an_exception_of_a_watch_that_was_replaced_ends_nothing() -> None:
    scene = Scene(ScriptedStream(*begins()), KeyError("metadata"))
    scene.run()  # closed before the second stream opens
    assert not any(isinstance(message, SetupFailed) for message in scene.messages)


def test_lines_are_json() -> None:
    """The scripted stream sends the same bytes as a server."""
    assert json.loads(next(ScriptedStream(bookmark(1)).lines()))["type"] == "BOOKMARK"
