"""A queue of messages from the agent's threads to its loop, with a pipe that wakes the loop."""

from __future__ import annotations

import os
from collections import deque
from typing import Union

from elasticjob.rendezvous.events import Event
from elasticjob.wire.dataclasses import dataclass


@dataclass(frozen=True)
class WatchEvent:
    """An event from a watch. The loop drops events of watches that it has replaced."""

    number: int  # of the watch
    event: Event


@dataclass(frozen=True)
class SetupFailed:
    """The set-up of this agent has failed: the agent must end."""

    reason: str


Message = Union[Event, WatchEvent, SetupFailed]


class Inbox:
    """A queue that any thread writes and the loop reads."""

    def __init__(self) -> None:
        self.fd, self._wake = os.pipe()  # fd is readable once a message was added
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)
        self._messages: deque[Message] = deque()

    def put(self, message: Message) -> None:
        """Add a message, then wake the loop."""
        self._messages.append(message)
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # the pipe is full: the loop is awake anyway

    def take(self) -> Message | None:
        """Remove and return the oldest message, or None."""
        return self._messages.popleft() if self._messages else None

    def close(self) -> None:
        """Close the pipe. Only tests call this: the inbox lives as long as the process."""
        os.close(self.fd)
        os.close(self._wake)
