"""The agent's connection and watch, with the certificates and initial events of the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import pytest
from dev.kube_client import Client as Api
from tests.support.protocol import DESIRED, active, forming, identity

from elasticjob.agent.api.conversation import Context
from elasticjob.agent.api.credentials import Credentials
from elasticjob.agent.api.drivers import Machine, WatchDriver
from elasticjob.agent.api.http import Client
from elasticjob.agent.api.lease_requests import LeaseRequests
from elasticjob.agent.api.messages import Address
from elasticjob.agent.api.watch import Watch, scope_of
from elasticjob.agent.clock import SystemClock
from elasticjob.agent.inbox import Message, WatchEvent
from elasticjob.agent.log import Log
from elasticjob.rendezvous.events import Event, RoundSeen, Source, ViewComplete
from elasticjob.wire import lease as wire
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.slow

WITHIN_S = 20


@pytest.fixture
def client(api: Api, tmp_path: Path) -> Client:
    """The agent's client, with an address and a directory with token and ca.crt, as in a pod."""
    (tmp_path / "token").write_text(api.token)
    (tmp_path / "ca.crt").write_bytes(api.ca)
    place = urlsplit(api.url)
    address = Address(str(place.hostname), int(place.port or 443))
    return Client(address, Credentials(str(tmp_path)), SystemClock())


@pytest.fixture
def job(api: Api, namespace: str, leases: str) -> wire.JobIdentity:
    """A job whose Round Lease exists."""
    job = wire.JobIdentity(namespace, "demo", "job-uid")
    manifest = wire.round_manifest(job, DESIRED, forming())
    del manifest["metadata"]["ownerReferences"]  # the collector would look for the owner
    assert api.post(leases, manifest).code == 201
    return job


@pytest.fixture
def watched(client: Client, job: wire.JobIdentity) -> Iterator[Callable[[bool], Queue[Event]]]:
    """A function that opens a watch on a thread and returns the queue of its events."""
    running: list[tuple[WatchDriver, threading.Thread]] = []

    def open_watch(wide: bool) -> Queue[Event]:
        events: Queue[Event] = Queue()

        def post(message: Message) -> None:
            assert isinstance(message, WatchEvent), message
            events.put(message.event)

        machine = Machine(SystemClock(), Log(lambda line: None), lambda: 0.0, post)
        driver = WatchDriver(machine, client, 1)
        watch = Watch(Context(job, identity(), client.address), scope_of(job, wide), True)
        thread = threading.Thread(target=driver.run, args=(watch.conversation(), "a watch"))
        thread.start()
        running.append((driver, thread))
        return events

    yield open_watch
    for driver, thread in running:
        driver.close()
        thread.join()


@pytest.mark.parametrize("wide", [False, True])
def test_a_watch_delivers_existing_objects_and_then_changes(
    client: Client, job: wire.JobIdentity, watched: Callable[[bool], Queue[Event]], wide: bool
) -> None:
    events = watched(wide)
    first = events.get(timeout=WITHIN_S)
    assert isinstance(first, RoundSeen)
    assert (first.lease.round, first.source) == (forming(), Source.READ)
    if wide:
        assert isinstance(events.get(timeout=WITHIN_S), ViewComplete)
    session = client.session()
    patch = wire.round_patch(active(1), first.lease.version)
    request = LeaseRequests(job.namespace).patch(f"{job.name}-round", patch)
    assert session.send(request).status == 200
    second = events.get(timeout=WITHIN_S)
    assert isinstance(second, RoundSeen)
    assert (second.lease.round.phase, second.source) == (Phase.ACTIVE, Source.WATCH)
    assert session.send(request).status == 409
    session.close()
