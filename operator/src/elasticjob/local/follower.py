"""Following jobs to their end: what they become, what befalls their pods, what their workers print.

In one stream of lines, each with the name of who says it, as `docker compose up` has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import EVENTS, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store
from elasticjob.local.up import SYSTEM_NAMESPACE
from elasticjob.wire.names import GROUP, PLURAL

LAST_LINES_S = 5.0
"""How long the last lines of a pod that has ended may take."""

Logs = Callable[[Object, Call], AbstractContextManager[AsyncIterator[bytes]]]
Say = Callable[[str, str], None]
"""Who, and one line of text."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    name: str
    phase: str
    """The STATUS that people see."""
    completed: bool


class Follower:
    """Follows some jobs. Made before they do anything, so that nothing is missed."""

    def __init__(self, store: Store, logs: Logs, jobs: Iterable[Object], say: Say) -> None:
        self._store = store
        self._logs = logs
        self._say = say
        self._names = {job["metadata"]["uid"]: job["metadata"]["name"] for job in jobs}
        self._completed: dict[str, bool] = {}
        self._told: dict[str, str] = {}
        self._over = asyncio.Event()
        self._pods: dict[str, str] = {}
        self._readers: dict[tuple[str, str], asyncio.Task[None]] = {}
        store.listeners.append(self._heard)

    async def run(self) -> list[Outcome]:
        """Until the last of the jobs has ended, and its pods' last lines are read."""
        try:
            await self._over.wait()
            if self._readers:
                await asyncio.wait(self._readers.values(), timeout=LAST_LINES_S)
        finally:
            self._store.listeners.remove(self._heard)
            for reader in self._readers.values():
                reader.cancel()
        return [
            Outcome(name, self._told.get(uid, ""), self._completed[uid])
            for uid, name in self._names.items()
        ]

    def _heard(self, resource: Resource, event: Event) -> None:
        if resource.key == (GROUP, PLURAL) and event.object["metadata"]["uid"] in self._names:
            self._job_changed(event.object, deleted=event.type == "DELETED")
        elif resource == PODS:
            self._pod_changed(event.object)
        elif resource == EVENTS and event.type == "ADDED":
            self._event_written(event.object)

    def _job_changed(self, job: Object, *, deleted: bool) -> None:
        uid, status = job["metadata"]["uid"], job.get("status", {})
        phase = "deleted" if deleted else status.get("phase", "")
        if phase and phase != self._told.get(uid):
            self._told[uid] = phase
            self._say(self._names[uid], phase)
        true = {
            entry["type"] for entry in status.get("conditions", ()) if entry["status"] == "True"
        }
        if deleted or true & {"Complete", "Failed"}:
            self._completed.setdefault(uid, "Complete" in true)
            if self._completed.keys() == self._names.keys():
                self._over.set()

    def _pod_changed(self, pod: Object) -> None:
        """A container that has started has a log; each run of it is read by a task of its own."""
        meta = pod["metadata"]
        if not any(owner["uid"] in self._names for owner in meta.get("ownerReferences", ())):
            return
        self._pods[meta["uid"]] = meta["name"]
        statuses = pod.get("status", {}).get("containerStatuses", [])
        for status in statuses:
            run = (meta["uid"], f"{status['name']}/{status['restartCount']}")
            if "running" in status["state"] and run not in self._readers:
                who = f"{meta['name']}/{status['name']}" if len(statuses) > 1 else meta["name"]
                reading = self._read(pod, status["name"], who)
                self._readers[run] = asyncio.get_running_loop().create_task(reading)

    def _event_written(self, event: Object) -> None:
        """What is done about the jobs, and what goes wrong with their pods or the operator."""
        about = event["involvedObject"]
        who = self._names.get(about.get("uid", ""))
        if who is None and event.get("type") == "Warning":
            who = self._pods.get(about.get("uid", ""))
            if about.get("namespace") == SYSTEM_NAMESPACE:
                who = about["name"]
        if who is not None:
            text = event.get("message")
            self._say(who, f"{event['reason']}: {text}" if text else event["reason"])

    async def _read(self, pod: Object, container: str, who: str) -> None:
        query = {"container": container, "follow": "true"}
        try:
            with self._logs(pod, Call("GET", "", query)) as pieces:
                async for line in lines(pieces):
                    self._say(who, line)
        except ApiError:
            pass  # it was gone before it could be read


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Whole lines from pieces that end anywhere; the last one may have no end."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
