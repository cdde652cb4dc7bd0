"""Whether the kernel has killed a process of this container because its memory was used up.

The kubelet reports this of a container that ends. Behind a shell, or as a child of the worker, the
killed process ends the container neither at once nor with its own code. In a container,
/sys/fs/cgroup is the control group of this container alone.
"""

from __future__ import annotations

import os

from elasticjob import files
from elasticjob.wire.codec import whole_number

OUT_OF_MEMORY = "out of memory: the kernel killed a process of this container"
# Of versions 2 and 1 of control groups.
_FILES = ("memory.events", os.path.join("memory", "memory.oom_control"))
_LONGEST = 4096


class OomKills:
    """The kills since a round began. directory: of the control groups; empty: they are shared."""

    def __init__(self, directory: str) -> None:
        self._paths = [os.path.join(directory, name) for name in _FILES] if directory else []
        self._before = 0

    def begin(self) -> None:
        """Begin to count for a round."""
        self._before = self._count()

    def explain(self, message: str) -> str:
        """Return the message of a failure, after a line for what explains it."""
        return f"{OUT_OF_MEMORY}\n{message}" if self._count() > self._before else message

    def _count(self) -> int:
        for path in self._paths:
            found = files.read(path, _LONGEST)
            if found is not None:
                return oom_kills(found.data)
        return 0


def oom_kills(data: bytes) -> int:
    """Return the number after `oom_kill` in a file of a control group; 0 without it."""
    for line in data.decode("ascii", "replace").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return whole_number(value) or 0
    return 0
