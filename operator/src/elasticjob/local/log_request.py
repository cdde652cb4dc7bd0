"""What `kubectl logs` asks for, as far as it can be answered; the rest is refused by name.

An option that is silently ignored would be a wrong answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from elasticjob.local.errors import bad_request
from elasticjob.local.query import number, truth
from elasticjob.local.resource import Object

NOT_SERVED = ("limitBytes", "sinceSeconds", "sinceTime", "timestamps")


@dataclass(frozen=True)
class LogRequest:
    """One container's log; `tail_lines` None is all of it."""

    container: str
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None

    @classmethod
    def parse(cls, pod: Object, query: Mapping[str, str]) -> LogRequest:
        """From a query; 400 for what cannot be answered."""
        for option in NOT_SERVED:
            if query.get(option, "false") != "false":
                raise bad_request(f"the local server cannot honour {option}: leave it out")
        tail = query.get("tailLines")
        return cls(
            container=_container(pod, query.get("container", "")),
            follow=truth(query.get("follow")),
            previous=truth(query.get("previous")),
            tail_lines=None if tail in (None, "-1") else number(query, "tailLines"),
        )


LogSource = Callable[[Object, LogRequest], AsyncGenerator[bytes, None]]
"""(pod, request) to the chunks of a log. May raise ApiError, but when called, not later."""


def _container(pod: Object, wanted: str) -> str:
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    known = [item["name"] for item in (*spec.get("initContainers", ()), *spec["containers"])]
    if not wanted and len(known) > 1:
        choice = " ".join(known)
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{choice}]"
        )
    if wanted and wanted not in known:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted or known[0]
