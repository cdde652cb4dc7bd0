"""The log of one run of a container, in parts of limited size: `0.log`, `0.log.1`, `0.log.2` ...

As with a kubelet (containerLogMaxSize, containerLogMaxFiles), a part has about 10 MiB and the five
newest are kept. No part is renamed, so that a reader continues with the next one. This file is part
of the init process of containers, which imports little.
"""

from __future__ import annotations

import os
import re
from collections import deque

PART_BYTES = 10 << 20
PARTS = 5
_PIECE = 65536


class LogWriter:
    """Writes what a container prints into the parts of its log."""

    def __init__(self, path: str, part_bytes: int = PART_BYTES) -> None:
        """The file `path` exists or is created. Raises OSError."""
        self._path = path
        self._part_bytes = part_bytes
        self._number = 0
        self._kept = deque([path])
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        self._size = os.fstat(self._file).st_size

    def copy(self, source: int) -> bool:
        """Write what a pipe that does not block contains now; returns False at its end."""
        while True:
            try:
                data = os.read(source, _PIECE)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.write(data)
            if len(data) < _PIECE:
                return True

    def write(self, data: bytes) -> None:
        """Append to the newest part, and begin another one at the end of a line if it is full."""
        at = self._place_of_break(data)
        if at is not None:
            self._append(data[:at])
            self._begin_part()
            data = data[at:]
        self._append(data)

    def _place_of_break(self, data: bytes) -> int | None:
        """Where in these bytes another part begins; None: not in them. A line that is longer than a
        part is cut."""
        if self._size + len(data) <= self._part_bytes:
            return None
        line = data.find(b"\n", max(0, self._part_bytes - self._size)) + 1
        if line:
            return line
        return len(data) if self._size > 2 * self._part_bytes else None

    def _append(self, data: bytes) -> None:
        """Write these bytes. What the disk has no room for is lost, as with a kubelet."""
        while data:
            try:
                written = os.write(self._file, data)
            except OSError:
                return
            self._size += written
            data = data[written:]

    def _begin_part(self) -> None:
        """Begin the next part, and remove the oldest one. Nothing that exists is written to: the
        container may have put it there."""
        self._number += 1
        path = f"{self._path}.{self._number}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
            opened = os.open(path, flags, 0o644)
        except OSError:
            return
        os.close(self._file)
        self._file, self._size = opened, 0
        self._kept.append(path)
        while len(self._kept) > PARTS:
            try:
                os.unlink(self._kept.popleft())
            except OSError:
                pass  # it is gone


def numbers(path: str) -> list[int]:
    """The numbers of the parts of a log, the oldest first."""
    directory, name = os.path.split(path)
    part = re.compile(re.escape(name) + r"(?:\.([1-9][0-9]{0,8}))?")
    try:
        found = [part.fullmatch(each) for each in os.listdir(directory)]
    except OSError:
        return []
    return sorted(int(each[1] or 0) for each in found if each)


def part_path(path: str, number: int) -> str:
    """The path of a part."""
    return f"{path}.{number}" if number else path
