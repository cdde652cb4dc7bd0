"""The signal handlers of the agent, which is PID 1.

The kernel gives PID 1 no default action: it drops a signal without a handler, even SIGTERM.
So the agent installs handlers before it imports or reads anything else, and this module imports
very little. A handler only records the signal and wakes the loop; the loop acts on it.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

# As torchelastic ends on them. An image may name any of them as its STOPSIGNAL.
LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
FORWARD = (signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """Records the signals that arrive."""

    def __init__(self) -> None:
        self.fd, self._wake = os.pipe()  # fd is readable once a signal arrived
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)
        self._arrived: list[int] = []
        handled = (*LEAVE, *FORWARD, signal.SIGCHLD)
        self._before = {number: signal.signal(number, self._record) for number in handled}
        self._fd_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def take(self) -> tuple[int, ...]:
        """Return the signals since the last call, without SIGCHLD: the loop reaps in any case."""
        arrived, self._arrived = self._arrived, []
        return tuple(number for number in arrived if number != signal.SIGCHLD)

    def close(self) -> None:
        """Restore the handlers that this object replaced."""
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._wake)

    def _record(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append(number)
