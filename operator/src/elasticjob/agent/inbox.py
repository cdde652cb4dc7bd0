"""How threads tell the loop something: a queue, and a pipe that wakes it."""

from __future__ import annotations

import os
from collections import deque
from typing import Union

from elasticjob.rendezvous.events import Event
from elasticjob.wire.dataclasses import dataclass


@dataclass(frozen=True)
class WatchEvent:
    """An event from the watch with this number: the loop drops those of watches that it closed."""

    number: int
    event: Event


@dataclass(frozen=True)
class SetupFailed:
    """Our own set-up failed for good: the agent must end."""

    reason: str


Message = Union[Event, WatchEvent, SetupFailed]


class Inbox:
    """Written by any thread, read by the loop. fd: readable when there is something."""

    def __init__(self) -> None:
        self.fd, self._wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)
        self._messages: deque[Message] = deque()

    def put(self, message: Message) -> None:
        """Adds a message, then wakes the loop."""
        self._messages.append(message)
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # the pipe is full: the loop is awake anyway

    def take(self) -> Message | None:
        """The oldest message, or None."""
        return self._messages.popleft() if self._messages else None

    def close(self) -> None:
        """For tests: the agent's inbox lives as long as the process."""
        os.close(self.fd)
        os.close(self._wake)
