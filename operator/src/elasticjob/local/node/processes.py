"""Containers as process trees that start without blocking the event loop and end completely.

This is the server's side; the other side, `pod.init`, starts and ends the processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import elasticjob
from elasticjob.local.node.process_table import (
    descendants,
    pids_with_env,
    read_parents,
    send_signal,
)
from elasticjob.wire.untrusted import WireError, decode

MARKER = "ELASTICJOB_LOCAL_POD"
"""The variable with <root>/<pod uid> in the environment of every process of a pod."""
SWEEP_PAUSE_S = 0.02
SWEEP_TRIES = 250

_FORK_SERVER = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from elasticjob.local.node.pod.init import main; main(int(sys.argv[2]))"
)


class StartError(Exception):
    """The main process could not be started. The text has the step and the reason."""


@dataclass(frozen=True)
class ProcessSpec:
    """The process to start for a container. Its environment is complete: nothing is inherited."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    log: str


@dataclass(frozen=True)
class Exit:
    """How a main process ended."""

    code: int  # of a signal: 128 + its number, as container runtimes report it
    known: bool = True  # False if the init was killed, so that the status was lost

    @classmethod
    def of(cls, status: int) -> Exit:
        """The exit of a wait status."""
        code = os.waitstatus_to_exitcode(status)
        return cls(128 - code if code < 0 else code)


class Process:
    """The processes of one running container."""

    def __init__(
        self,
        pids: Mapping[str, int],
        marker: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.pid = pids["pid"]
        self.init_pid = pids["init"]
        self._marker = marker
        self._reader = reader
        self._writer = writer
        self._exit = asyncio.create_task(self._read_exit(), name=f"process {self.pid}")

    async def wait(self) -> Exit:
        """Wait until the main process and everything that it started have ended."""
        return await asyncio.shield(self._exit)

    @property
    def has_ended(self) -> bool:
        """Whether all processes have ended."""
        return self._exit.done()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process only, unless it has ended."""
        if not self._writer.is_closing():
            self._writer.write(b"%d\n" % number)

    def kill_all(self) -> None:
        """Kill every process of the container with SIGKILL. Does not wait for their end."""
        if not self._writer.is_closing() and self._writer.can_write_eof():
            self._writer.write_eof()

    def freeze(self) -> None:
        """Suspend every process with SIGSTOP, like a node that hangs."""
        frozen: set[int] = set()
        while running := self.pids() - frozen:  # repeated: a process may fork before SIGSTOP
            send_signal(running, signal.SIGSTOP)
            frozen |= running

    def thaw(self) -> None:
        """Continue every process with SIGCONT."""
        send_signal(self.pids(), signal.SIGCONT)

    def pids(self) -> set[int]:
        """Every process of the container, regardless of its session and environment."""
        return descendants(read_parents(), {self.init_pid})

    async def _read_exit(self) -> Exit:
        try:
            line = await self._reader.readline()
        except ConnectionError:
            line = b""
        self._writer.close()
        status = _message(line).get("exited")
        if status is None:
            await sweep(self._marker)
            return Exit(128 + signal.SIGKILL, known=False)
        return Exit.of(status)


class Processes:
    """Starts containers through a fork server."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fork_server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """Start the fork server if it does not run; returns its socket. Containers survive it."""
        if self._socket is not None and self._fork_server is not None:
            if self._fork_server.poll() is None:
                return self._socket
            self._socket.close()
        ours, theirs = socket.socketpair()
        home = str(Path(elasticjob.__file__).parent.parent)
        with theirs:
            self._fork_server = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _FORK_SERVER, home, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={MARKER: f"{self._root}/"},
                start_new_session=True,
            )
        self._socket = ours
        return ours

    async def start(self, spec: ProcessSpec) -> Process:
        """Start a container, whose environment must contain MARKER. Raises StartError."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.open(), [b"+"], [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(json.dumps(asdict(spec)).encode() + b"\n")
            line = await reader.readline()
        except BaseException:
            writer.close()
            raise
        reply = _message(line) or {"error": "its init process has died"}
        if "error" in reply:
            writer.close()
            raise StartError(reply["error"])
        return Process(reply, spec.env[MARKER], reader, writer)

    def close(self) -> None:
        """End the fork server. The init processes continue until their containers have ended."""
        if self._fork_server is not None and self._socket is not None:
            self._socket.close()
            self._fork_server.wait()
            self._fork_server = self._socket = None


def _message(line: bytes) -> dict[str, Any]:
    """A message of an init; empty if it has died, also in the midst of a line."""
    try:
        found = decode(line, "the message")
    except WireError:
        return {}
    return found if isinstance(found, dict) else {}


async def sweep(marker: str) -> int:
    """Kill processes with this MARKER and their descendants; returns their number.

    These remain if their init was killed. The marker `<root>/<pod uid>` finds the processes of a
    pod, and `<root>/` finds those of every pod of an earlier run of the server.
    """
    seen: set[int] = set()
    for _ in range(SWEEP_TRIES):
        table = read_parents()
        found = pids_with_env(MARKER, marker) & set(table)
        found |= descendants(table, found)
        found.discard(os.getpid())
        if not found:
            break
        seen |= found
        send_signal(found, signal.SIGKILL)
        await asyncio.sleep(SWEEP_PAUSE_S)
    return len(seen)
