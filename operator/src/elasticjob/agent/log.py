"""The agent's log on stderr, which `kubectl logs` shows: one line for each change of state.

[elasticjob] agent received a round  n=3 phase=Active members=4 rank=2
"""

from __future__ import annotations

import threading
from typing import Callable

from elasticjob.wire.untrusted import plain

PREFIX = "[elasticjob]"


class Log:
    """Writes lines of the log; any thread may call it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write_line = write  # never blocks
        self._lock = threading.Lock()
        self._problems: dict[str, str] = {}  # the last message of each topic

    def write(self, message: str, /, **fields: object) -> None:
        """Write a constant message and its variable fields; a field that is None is left out."""
        self._write_line(line(message, fields))

    def problem(self, topic: str, message: str) -> None:
        """Write a message, unless it repeats the last one on this topic."""
        with self._lock:
            if self._problems.get(topic) == message:
                return
            self._problems[topic] = message
        self.write(message)

    def recovery(self, topic: str, message: str) -> None:
        """Write that a problem on this topic is over, if there was one."""
        with self._lock:
            if self._problems.pop(topic, None) is None:
                return
        self.write(message)


def line(message: str, fields: dict[str, object]) -> str:
    """Format one line of plain text; line feeds in values are escaped."""
    pairs = "".join(
        f" {name}={_value(value)}" for name, value in fields.items() if value is not None
    )
    return plain(f"{PREFIX} {message}{' ' if pairs else ''}{pairs}").replace("\n", "\\n")


def _value(value: object) -> str:
    text = str(value)
    return text if text.split() == [text] else repr(text)
