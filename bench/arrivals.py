"""When the Leases of agents came into being, by a watch: creation times have whole seconds only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.site import LEASES, Site

from elasticjob.wire.names import LABEL_JOB, LABEL_LEASE, LEASE_AGENT

PATIENCE_S = 60.0


class Arrivals:
    """Wall times by Lease name. A Lease counts when it reaches a watcher."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._changed = threading.Condition()

    def note(self, name: str) -> None:
        """A Lease was added."""
        with self._changed:
            self._at.setdefault(name, time.time())
            self._changed.notify_all()

    def wait(self, count: int) -> dict[str, float]:
        """All of them, once there are so many."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._at) >= count, PATIENCE_S):
                raise TimeoutError(f"{len(self._at)} of {count} agents have joined")
            return dict(self._at)


@contextmanager
def arrivals(site: Site, job: str) -> Iterator[Arrivals]:
    """Follows the Leases of a job's agents."""
    found = Arrivals()
    version = site.client.get(LEASES).version
    selector = f"{LABEL_JOB}={job},{LABEL_LEASE}={LEASE_AGENT}"
    query = {"labelSelector": selector, "resourceVersion": version, "timeoutSeconds": "90"}

    def follow() -> None:
        with site.client.watch(LEASES, **query) as events:
            opened.set()
            try:
                for event in events:
                    if event.type == "ADDED":
                        found.note(event.name)
            except (OSError, ValueError, AttributeError):
                return  # closed: nobody listens any more

    opened = threading.Event()
    threading.Thread(target=follow, daemon=True).start()
    opened.wait(PATIENCE_S)
    yield found
