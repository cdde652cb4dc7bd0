"""The agent's own log: one line per change of state, on stderr.

[elasticjob] round 3 Active  members=4 rank=2
"""

from __future__ import annotations

import threading
from typing import Callable

PREFIX = "[elasticjob]"


class Log:
    """Written by any thread. write: takes a line and never blocks."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write_line = write
        self._lock = threading.Lock()
        self._states: dict[str, str] = {}

    def write(self, message: str, /, **fields: object) -> None:
        """A message that stays the same, and what differs as fields; None is left out."""
        self._write_line(line(message, fields))

    def problem(self, topic: str, message: str) -> None:
        """Says it only if the last thing said of this topic was another."""
        with self._lock:
            if self._states.get(topic) == message:
                return
            self._states[topic] = message
        self.write(message)

    def recovery(self, topic: str, message: str) -> None:
        """Says it only if something was said of this topic that is over now."""
        with self._lock:
            if self._states.pop(topic, None) is None:
                return
        self.write(message)


def line(message: str, fields: dict[str, object]) -> str:
    """One line; a line feed in a value must not begin a second."""
    pairs = "".join(
        f" {name}={_value(value)}" for name, value in fields.items() if value is not None
    )
    return f"{PREFIX} {message}{' ' if pairs else ''}{pairs}".replace("\n", "\\n")


def _value(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text
