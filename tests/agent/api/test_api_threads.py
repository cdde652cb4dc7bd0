from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.protocol import JOB, agent_object, identity, parsed_round, round_object
from tests.support.scripted_api import ScriptedApi, Stream, reply, scripted_api, token_directory

from elasticjob.agent.api.api_threads import ApiThreads
from elasticjob.agent.api.conversation import Context
from elasticjob.agent.api.credentials import Credentials
from elasticjob.agent.api.drivers import Machine
from elasticjob.agent.api.http import Client
from elasticjob.agent.api.messages import Address
from elasticjob.agent.clock import SystemClock
from elasticjob.agent.inbox import Message, SetupFailed, WatchEvent
from elasticjob.agent.log import Log
from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CreateLease, GetLease

PATIENCE_S = 5.0
END = {"metadata": {"resourceVersion": "5", "annotations": {"k8s.io/initial-events-end": "true"}}}
BEGINS = ({"type": "ADDED", "object": round_object(3)}, {"type": "BOOKMARK", "object": END})


def changed(version: int) -> Any:
    return {"type": "MODIFIED", "object": round_object(version)}


class EndlessClock(SystemClock):
    """A clock whose pauses end only by their event, if they have one."""

    def __init__(self) -> None:
        self.paused = threading.Event()

    def pause(self, seconds: float, until: threading.Event | None = None) -> bool:
        if until is None:
            return False
        self.paused.set()
        return until.wait()


class Scene:
    """ApiThreads with a scripted server."""

    def __init__(self, api: ScriptedApi, directory: str) -> None:
        self.api = api
        self.messages: queue.Queue[Message] = queue.Queue()
        address = Address(api.host, api.port)
        self.clock = clock = EndlessClock()
        machine = Machine(clock, Log(lambda line: None), lambda: 0.0, self.messages.put)
        client = Client(address, Credentials(directory), clock)
        self.threads = ApiThreads(Context(JOB, identity(), address), client, machine)
        self.streams: list[Stream] = []

    def open(self, wide: bool, *sent: Any) -> Stream:
        """Open a watch whose stream begins with these events."""
        stream = Stream()
        stream.send(*sent)
        self.streams.append(stream)
        self.api.answer(stream)
        self.threads.reopen(wide)
        return stream

    def next(self) -> Message:
        return self.messages.get(timeout=PATIENCE_S)

    def next_event(self) -> WatchEvent:
        message = self.next()
        assert isinstance(message, WatchEvent), message
        return message


@pytest.fixture
def scene(tmp_path: Any) -> Iterator[Scene]:
    with scripted_api() as api:
        scene = Scene(api, str(token_directory(tmp_path)))
        yield scene
        scene.threads.close()
        for stream in scene.streams:
            stream.end()


def test_the_current_watch_continues_until_the_next_one_has_an_event(scene: Scene) -> None:
    old = scene.open(False, *BEGINS)
    first = scene.next_event()
    assert scene.threads.is_current(first)
    new = scene.open(True)
    old.send(changed(6))
    assert scene.threads.is_current(scene.next_event())
    new.send(*BEGINS)
    read, view = scene.next_event(), scene.next_event()
    assert (read.event, view.event) == (
        events.RoundSeen(parsed_round(3), events.Source.READ),
        events.ViewComplete(()),
    )
    assert scene.threads.is_current(read)
    assert scene.threads.is_current(view)
    assert not scene.threads.is_current(WatchEvent(first.number, events.RoundGone()))


def test_a_watch_that_is_still_opening_is_replaced(scene: Scene) -> None:
    scene.open(False)
    scene.api.wait_for(1)
    scene.open(True, *BEGINS)
    read = scene.next_event()
    assert read.number == 2
    assert scene.threads.is_current(read)
    assert not scene.threads.is_current(WatchEvent(1, events.RoundGone()))


def test_the_answer_to_a_call_opens_a_lost_watch_again(scene: Scene) -> None:
    old = scene.open(False, *BEGINS)
    assert scene.threads.is_current(scene.next_event())
    old.raw(b"not an event\n")  # the watch is lost
    old.end()
    assert scene.clock.paused.wait(PATIENCE_S)
    scene.threads.call(GetLease("demo-1-0"), parsed_round())
    new = Stream()
    new.send(changed(6))
    scene.streams.append(new)
    scene.api.answer(reply(404), new)
    assert isinstance(scene.next(), events.LeaseGone)
    seen = scene.next_event()
    assert seen.event == events.RoundSeen(parsed_round(6), events.Source.WATCH)
    assert [request.path.partition("?")[0][-6:] for request in scene.api.requests] == [
        "leases", "mo-1-0", "leases",
    ]  # fmt: skip


def test_results_of_calls_are_posted(scene: Scene) -> None:
    scene.api.answer(reply(200, agent_object(8, "B")), reply(404))
    scene.threads.call(GetLease("demo-1-0"), parsed_round())
    assert isinstance(scene.next(), events.LeaseSeen)
    scene.threads.call(GetLease("demo-1-0"), parsed_round())
    assert scene.next() == events.LeaseGone("demo-1-0", by_get=True)


def test_a_setup_error_ends_the_agent(scene: Scene) -> None:
    other = {"metadata": {"name": "demo-0-0", "uid": "u", "resourceVersion": "1"}}
    scene.api.answer(reply(409), reply(200, other))
    state = agent_object()["metadata"]["annotations"].popitem()[1]
    scene.threads.call(CreateLease(state), parsed_round())
    message = scene.next()
    assert isinstance(message, SetupFailed)
    assert "no label elasticjob.dev/job-uid" in message.reason


def test_an_error_in_a_thread_ends_the_agent(scene: Scene) -> None:
    scene.threads.call(CreateLease("no JSON"), parsed_round())
    message = scene.next()
    assert isinstance(message, SetupFailed)
    assert "not JSON" in message.reason
    assert threading.active_count() >= 1
