"""Following jobs until they end: their STATUS, events, and the output of their workers.

All lines form one stream, each with its source, as in the output of `docker compose up`.
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
from elasticjob.local.operator import SYSTEM_NAMESPACE
from elasticjob.wire.names import GROUP, PLURAL
from elasticjob.wire.untrusted import plain

LONGEST_LINE = 1 << 16
LAST_LINES_S = 5.0  # limits the time to read the last lines of pods that have ended

Logs = Callable[[Object, Call], AbstractContextManager[AsyncIterator[bytes]]]
PrintLine = Callable[[str, str], None]
"""Prints one line, given as (source, text)."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    name: str
    phase: str  # the last STATUS
    completed: bool


class Follower:
    """Follows jobs. It must be constructed before their first event."""

    def __init__(
        self, store: Store, logs: Logs, jobs: Iterable[Object], print_line: PrintLine
    ) -> None:
        self._store = store
        self._logs = logs
        self._print_line = print_line
        self._names = {job["metadata"]["uid"]: job["metadata"]["name"] for job in jobs}
        self._completed: dict[str, bool] = {}
        self._phases: dict[str, str] = {}
        self._all_ended = asyncio.Event()
        self._pods: dict[str, str] = {}
        self._events: dict[str, str] = {}  # the last line of each, by UID
        self._readers: dict[tuple[str, str], asyncio.Task[None]] = {}
        store.listeners.append(self._on_event)

    async def run(self) -> list[Outcome]:
        """Wait until all jobs have ended and the last lines of their pods are printed."""
        try:
            await self._all_ended.wait()
            if self._readers:
                await asyncio.wait(self._readers.values(), timeout=LAST_LINES_S)
        finally:
            self._store.listeners.remove(self._on_event)
            for reader in self._readers.values():
                reader.cancel()
        return [
            Outcome(name, self._phases.get(uid, ""), self._completed[uid])
            for uid, name in self._names.items()
        ]

    def _on_event(self, resource: Resource, event: Event) -> None:
        if resource.key == (GROUP, PLURAL) and event.object["metadata"]["uid"] in self._names:
            self._job_changed(event.object, deleted=event.type == "DELETED")
        elif resource == PODS:
            self._pod_changed(event.object)
        elif resource == EVENTS and event.type != "DELETED":
            self._event_written(event.object)

    def _job_changed(self, job: Object, *, deleted: bool) -> None:
        uid, status = job["metadata"]["uid"], job.get("status", {})
        phase = "deleted" if deleted else status.get("phase", "")
        if phase and phase != self._phases.get(uid):
            self._phases[uid] = phase
            self._print_line(self._names[uid], plain(phase))
        true = {
            entry["type"] for entry in status.get("conditions", ()) if entry["status"] == "True"
        }
        if deleted or true & {"Complete", "Failed"}:
            self._completed.setdefault(uid, "Complete" in true)
            if self._completed.keys() == self._names.keys():
                self._all_ended.set()

    def _pod_changed(self, pod: Object) -> None:
        """Start a task that reads the log of each run of a container of the jobs."""
        meta = pod["metadata"]
        if not any(owner["uid"] in self._names for owner in meta.get("ownerReferences", ())):
            return
        self._pods[meta["uid"]] = meta["name"]
        statuses = pod.get("status", {}).get("containerStatuses", [])
        for status in statuses:
            run = (meta["uid"], f"{status['name']}/{status['restartCount']}")
            if "running" in status["state"] and run not in self._readers:
                source = f"{meta['name']}/{status['name']}" if len(statuses) > 1 else meta["name"]
                reading = self._read(pod, status["name"], source)
                self._readers[run] = asyncio.get_running_loop().create_task(reading)

    def _event_written(self, event: Object) -> None:
        """Print the events of the jobs, and warnings about their pods and the operator."""
        about = event["involvedObject"]
        source = self._names.get(about.get("uid", ""))
        if source is None and event.get("type") == "Warning":
            source = self._pods.get(about.get("uid", ""))
            if about.get("namespace") == SYSTEM_NAMESPACE:
                source = about["name"]
        if source is not None:
            text = event.get("message")
            line = f"{event['reason']}: {text}" if text else event["reason"]
            uid = event["metadata"]["uid"]
            if self._events.get(uid) != line:  # else only its count has changed
                self._events[uid] = line
                self._print_line(source, plain(line))

    async def _read(self, pod: Object, container: str, source: str) -> None:
        query = {"container": container, "follow": "true"}
        try:
            with self._logs(pod, Call("GET", "", query)) as pieces:
                async for line in lines(pieces):
                    self._print_line(source, line)
                    await asyncio.sleep(0)  # a worker can write faster than this loop prints
        except ApiError:
            pass  # the pod was deleted before its log was opened


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a text in pieces, as `kubectl logs` prints them: with the control characters
    that the worker wrote. A line that is too long, or that no newline ends, is a line as well."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
