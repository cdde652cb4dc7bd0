"""Signals, as PID 1 needs them.

The kernel gives PID 1 no default action: a signal without a handler is lost, SIGTERM among them.
So handlers are installed before anything else is imported or read, and this module imports next to
nothing. A handler only takes a note and wakes the loop; the loop decides.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

# As torchelastic ends on them. An image may name any of them as its STOPSIGNAL.
LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
FORWARD = (signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """What has arrived since the loop last looked. fd: readable when there is something."""

    def __init__(self) -> None:
        self.fd, self._wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)
        self._noted: list[int] = []
        handled = (*LEAVE, *FORWARD, signal.SIGCHLD)
        self._before = {number: signal.signal(number, self._note) for number in handled}
        self._fd_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def take(self) -> tuple[int, ...]:
        """The signals since the last call; SIGCHLD is left out, as the loop reaps anyway."""
        noted, self._noted = self._noted, []
        return tuple(number for number in noted if number != signal.SIGCHLD)

    def close(self) -> None:
        """Back to the handlers from before."""
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._wake)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted.append(number)
