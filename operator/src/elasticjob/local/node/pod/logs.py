"""`/log` of a pod: the selection of container and run, and unsupported options."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from elasticjob.local.api.objects.errors import bad_request
from elasticjob.local.api.query import parse_bool, parse_int
from elasticjob.local.node import logs
from elasticjob.local.node.pod.container import Container
from elasticjob.local.node.pod.status import Waiting

REFUSED = ("sinceSeconds", "sinceTime", "limitBytes")


@dataclass(frozen=True)
class LogOptions:
    """The options of a request for a log."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    tail: int | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> LogOptions:
        """Parse a query. Raises 400 for unsupported options: log lines have no timestamps here."""
        wanted = [name for name in REFUSED if query.get(name)]
        if parse_bool(query.get("timestamps")):
            wanted.append("timestamps")
        if query.get("stream", "All") != "All":
            wanted.append("stream")
        if wanted:
            raise bad_request(f"{', '.join(wanted)}: not supported by the local mode")
        return cls(
            container=query.get("container", ""),
            follow=parse_bool(query.get("follow")),
            previous=parse_bool(query.get("previous")),
            tail=parse_int(query, "tailLines") if query.get("tailLines") else None,
        )


@contextmanager
def open_log(
    pod: str, containers: Sequence[Container], options: LogOptions
) -> Iterator[AsyncIterator[bytes]]:
    """Open the requested log. Raises 400 if there is none."""
    container = _chosen(pod, containers, options.container)
    run = container.status.restarts - options.previous
    never_started = (
        isinstance(container.status.state, Waiting) and container.status.last_termination is None
    )
    log = None if never_started else logs.Log.open(container.log_path(run), options.tail)
    if log is None:
        raise bad_request(_refusal(pod, container, options))
    follow = options.follow and not options.previous
    try:
        yield logs.read(log, (lambda: _is_running(container, run)) if follow else None)
    finally:
        log.close()


def _chosen(pod: str, containers: Sequence[Container], name: str) -> Container:
    named = {container.name: container for container in containers}
    if not name and len(named) > 1:
        choice = ", ".join(named)
        raise bad_request(
            f"a container name must be specified for pod {pod}, choose one of: [{choice}]"
        )
    if name and name not in named:
        raise bad_request(f"container {name} is not valid for pod {pod}")
    return named[name] if name else containers[0]


def _refusal(pod: str, container: Container, options: LogOptions) -> str:
    where = f'container "{container.name}" in pod "{pod}"'
    if options.previous:
        return f"previous terminated {where} not found"
    state = container.status.state
    reason = state.reason if isinstance(state, Waiting) else "not started"
    return f"{where} is waiting to start: {reason}"


def _is_running(container: Container, run: int) -> bool:
    return container.status.is_running and container.status.restarts == run
