"""The measured kube-apiserver goes away and comes back; etcd, with all that it keeps, stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.cluster.bare import WITH_US
from dev.cluster.errors import ClusterError
from dev.cluster.processes import Processes, end

NAME = "kube-apiserver"


class ApiServer:
    """As `python -m dev.cluster bare` has started it. Raises ClusterError if it does not run."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It keeps its connections, accepts new ones, and says nothing."""
        self._processes.pause(NAME)
        try:
            yield
        finally:
            self._processes.resume(NAME)

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Every connection is refused; a new process follows, whose first answer is not waited for.

        A frozen one dies without a last word: it is not thawed first.
        """
        found = self._processes.find(NAME)
        if found is None:
            raise ClusterError(f"{NAME} does not run")
        words = Path(f"/proc/{found.pid}/cmdline").read_bytes().split(b"\0")[:-1]
        end([found])
        try:
            yield
        finally:
            self._processes.start(NAME, [*WITH_US, *(word.decode() for word in words)])
