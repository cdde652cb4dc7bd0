from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from tests.support.jobs import elastic_job

from elasticjob.local.api.call import Call
from elasticjob.local.api.kinds import jobs
from elasticjob.local.api.objects.builtins import EVENTS, NAMESPACES, PODS
from elasticjob.local.api.objects.errors import bad_request
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.server import new_store, preload
from elasticjob.local.follower import LONGEST_LINE, Follower, Outcome, lines
from elasticjob.local.operator import SYSTEM_NAMESPACE
from elasticjob.wire.names import GROUP, PLURAL


class World:
    """A store in which a test writes as operator, kubelet and workers."""

    def __init__(self, *names: str) -> None:
        self.store: Store = new_store("PEM", jobs.admission())
        preload(self.store, jobs.definitions())
        for namespace in ("team", SYSTEM_NAMESPACE):
            self.store.create(NAMESPACES, "", {"metadata": {"name": namespace}})
        self.resource = self.store.resources[GROUP, PLURAL]
        self.jobs = [self._job(name) for name in names]
        self.printed_lines: list[str] = []
        self.printed: dict[str, list[bytes]] = {}
        self.follower = Follower(self.store, self.logs, self.jobs, self.print_line)

    def _job(self, name: str) -> Object:
        job = elastic_job(name)
        del job["metadata"]["uid"]
        return self.store.create(self.resource, "team", job)

    @contextmanager
    def logs(self, pod: Object, call: Call) -> Iterator[AsyncIterator[bytes]]:
        assert call.query["follow"] == "true"
        name = pod["metadata"]["name"]
        if name not in self.printed:
            raise bad_request("gone")

        async def pieces() -> AsyncIterator[bytes]:
            for piece in self.printed[name]:
                yield piece

        yield pieces()

    def print_line(self, source: str, text: str) -> None:
        self.printed_lines.append(f"{source}: {text}")

    def status(self, name: str, phase: str, *true: str) -> None:
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": "Test",
                "message": "",
                "lastTransitionTime": "2026-03-01T12:00:00Z",
            }
            for kind in true
        ]
        status = {"phase": phase, "conditions": conditions}
        self.store.update(
            self.resource, "team", name, lambda old: {**old, "status": status}, "status"
        )

    def pod(self, name: str, job: Object, containers: int = 1) -> None:
        owner = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": job["metadata"]["uid"]}
        specs = [{"name": f"c{number}", "image": "i"} for number in range(containers)]
        pod = {
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {"containers": specs},
        }
        self.store.create(PODS, "team", pod)
        running = {"running": {"startedAt": "t"}}
        statuses = [{"name": spec["name"], "restartCount": 0, "state": running} for spec in specs]
        status = {"containerStatuses": statuses}
        self.store.update(PODS, "team", name, lambda old: {**old, "status": status}, "status")

    def event(self, about: Object, kind: str, reason: str, namespace: str = "team") -> None:
        meta = about["metadata"]
        involved = {"uid": meta["uid"], "name": meta["name"], "namespace": namespace}
        event = {
            "metadata": {"generateName": "e."},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": "text",
        }
        self.store.create(EVENTS, namespace, event)

    async def follow(self) -> list[Outcome]:
        return await asyncio.wait_for(self.follower.run(), 5)


async def test_a_job_is_followed_to_its_end() -> None:
    world = World("demo")
    world.status("demo", "Starting")
    world.status("demo", "Running")
    world.status("demo", "Running", "Running")  # said once
    world.status("demo", "Complete", "Complete")
    assert await world.follow() == [Outcome("demo", "Complete", True)]
    assert world.printed_lines == ["demo: Starting", "demo: Running", "demo: Complete"]


@pytest.mark.parametrize("end", ["Failed", "deleted"])
async def test_a_failed_or_deleted_job_is_not_completed(end: str) -> None:
    world = World("demo")
    if end == "deleted":
        world.store.delete(world.resource, "team", "demo")
    else:
        world.status("demo", "Failed: WorkerFailed", "Failed")
    (outcome,) = await world.follow()
    assert not outcome.completed
    assert outcome.phase.startswith(end)


async def test_the_follower_waits_for_its_jobs_only() -> None:
    world = World("a", "b")
    world._job("other")
    world.status("other", "Failed", "Failed")
    world.status("b", "Failed", "Failed")
    world.status("a", "Complete", "Complete")
    assert [(one.name, one.completed) for one in await world.follow()] == [
        ("a", True),
        ("b", False),
    ]
    assert not any(line.startswith("other") for line in world.printed_lines)


async def test_lines_of_pods_have_their_names() -> None:
    world = World("demo")
    world.printed = {"demo-0-0": [b"one\ntw", b"o\nthree"], "demo-1-0": [b"\xff\n"]}
    world.pod("demo-0-0", world.jobs[0])
    world.pod("demo-1-0", world.jobs[0], containers=2)
    world.pod("stranger", {"metadata": {"uid": "another"}})
    world.pod("demo-2-0", world.jobs[0])  # gone before it could be read
    world.status("demo", "Complete", "Complete")
    await world.follow()
    assert sorted(world.printed_lines) == [
        "demo-0-0: one",
        "demo-0-0: three",
        "demo-0-0: two",
        "demo-1-0/c0: �",
        "demo-1-0/c1: �",
        "demo: Complete",
    ]


async def test_events_of_jobs_and_warnings_of_pods_and_operator_are_printed() -> None:
    world = World("demo")
    (job,) = world.jobs
    world.pod("demo-0-0", job)
    pod = world.store.get(PODS, "team", "demo-0-0")
    operator = {"metadata": {"uid": "u", "name": "operator"}}
    world.event(job, "Normal", "PodsCreated")
    world.event(pod, "Normal", "Started")
    world.event(pod, "Warning", "BackOff")
    world.event({"metadata": {"uid": "?", "name": "?"}}, "Warning", "Elsewhere")
    world.event(operator, "Normal", "Started", SYSTEM_NAMESPACE)
    world.event(operator, "Warning", "BackOff", SYSTEM_NAMESPACE)
    world.status("demo", "Complete", "Complete")
    await world.follow()
    assert world.printed_lines == [
        "demo: PodsCreated: text",
        "demo-0-0: BackOff: text",
        "operator: BackOff: text",
        "demo: Complete",
    ]


async def test_an_event_is_printed_again_if_its_text_has_changed() -> None:
    """That of a round that has ended is completed when all members run again."""
    world = World("demo")
    (job,) = world.jobs
    world.event(job, "Warning", "WorkersFailed")
    (name,) = (event["metadata"]["name"] for event in world.store.list(EVENTS, "team"))
    for change in ({"count": 2}, {"message": "text; all run"}, {"count": 3}):
        world.store.update(EVENTS, "team", name, lambda old, new=change: {**old, **new})
    world.status("demo", "Complete", "Complete")
    await world.follow()
    assert world.printed_lines == [
        "demo: WorkersFailed: text",
        "demo: WorkersFailed: text; all run",
        "demo: Complete",
    ]


def test_lines_of_pieces() -> None:
    async def collect(*pieces: bytes) -> list[str]:
        async def source() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        return [line async for line in lines(source())]

    assert asyncio.run(collect(b"a", b"b\n\nc\nd", b"\ne")) == ["ab", "", "c", "d", "e"]
    assert asyncio.run(collect()) == []


async def test_other_tasks_run_while_a_worker_prints_without_end() -> None:
    """Among them are the API server, and the handler of Ctrl-C."""
    world = World("demo")
    world.printed = {"demo-0-0": [b"y\n" * 1000]}
    world.pod("demo-0-0", world.jobs[0])
    for _ in range(10):
        await asyncio.sleep(0)
    assert 0 < len(world.printed_lines) < 100
    world.status("demo", "Complete", "Complete")
    await world.follow()
    assert world.printed_lines.count("demo-0-0: y") == 1000


def test_a_line_without_an_end_is_printed_in_parts() -> None:
    """The local mode keeps no more of it in memory."""

    async def source() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * LONGEST_LINE

    async def collect() -> list[int]:
        return [len(line) async for line in lines(source())]

    found = asyncio.run(collect())
    assert max(found) <= 2 * LONGEST_LINE
    assert sum(found) == 50 * LONGEST_LINE
