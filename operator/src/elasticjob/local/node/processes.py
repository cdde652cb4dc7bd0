"""Containers as process trees: started without stopping the event loop, ended without a trace.

The work is done by `pod_init`; this is the server's side of it.
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
from elasticjob.local.node.process_table import descendants, parents, pids_with_env, send

MARKER = "ELASTICJOB_LOCAL_POD"
"""In the environment of every process of a pod: <root>/<pod uid>."""
SWEEP_PAUSE_S = 0.02
SWEEP_TRIES = 250

_NURSERY = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from elasticjob.local.node.pod.init import main; main(int(sys.argv[2]))"
)


class StartError(Exception):
    """The main process could not be started; the text says at which step and why."""


@dataclass(frozen=True)
class Order:
    """What to start. The environment is complete: nothing is added to it, nothing inherited."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    log: str


@dataclass(frozen=True)
class Exit:
    """How a main process ended. The code of a signal is 128 + its number, as runtimes report it."""

    code: int
    known: bool = True
    """False when the init was killed from outside, so that nobody could see the status."""

    @classmethod
    def of(cls, status: int) -> Exit:
        """From a wait status."""
        code = os.waitstatus_to_exitcode(status)
        return cls(128 - code if code < 0 else code)


class Process:
    """One running container."""

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
        self._end = asyncio.create_task(self._read_end(), name=f"process {self.pid}")

    async def wait(self) -> Exit:
        """Until the main process has ended and nothing that it started is alive."""
        return await asyncio.shield(self._end)

    @property
    def ended(self) -> bool:
        """Whether `wait` returns at once."""
        return self._end.done()

    def signal(self, number: signal.Signals) -> None:
        """To the main process only; without effect once it has ended."""
        if not self._writer.is_closing():
            self._writer.write(b"%d\n" % number)

    def end(self) -> None:
        """SIGKILL to every process of the container; `wait` tells when they are gone."""
        if not self._writer.is_closing() and self._writer.can_write_eof():
            self._writer.write_eof()

    def freeze(self) -> None:
        """Stop every process where it stands, as a host does that hangs."""
        frozen: set[int] = set()
        while living := self.living() - frozen:  # again: one may fork before it is reached
            send(living, signal.SIGSTOP)
            frozen |= living

    def thaw(self) -> None:
        """Let them go on."""
        send(self.living(), signal.SIGCONT)

    def living(self) -> set[int]:
        """Every process of the container, whatever its session and its environment."""
        return descendants(parents(), {self.init_pid})

    async def _read_end(self) -> Exit:
        try:
            line = await self._reader.readline()
        except ConnectionError:
            line = b""
        self._writer.close()
        status = json.loads(line)["exited"] if line else None
        if status is None:
            await sweep(self._marker)
            return Exit(128 + signal.SIGKILL, known=False)
        return Exit.of(status)


class Processes:
    """Starts containers, through one nursery."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._nursery: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """The nursery's socket. One that was killed is replaced: no container depends on it."""
        if self._socket is not None and self._nursery is not None:
            if self._nursery.poll() is None:
                return self._socket
            self._socket.close()
        ours, theirs = socket.socketpair()
        home = str(Path(elasticjob.__file__).parent.parent)
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _NURSERY, home, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={MARKER: f"{self._root}/"},
                start_new_session=True,
            )
        self._socket = ours
        return ours

    async def start(self, order: Order) -> Process:
        """Start a container, or raise StartError. Its environment must carry the marker."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.open(), [b"+"], [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(json.dumps(asdict(order)).encode() + b"\n")
            line = await reader.readline()
        except BaseException:
            writer.close()
            raise
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its init has died"}
        if "error" in answer:
            writer.close()
            raise StartError(answer["error"])
        return Process(answer, order.env[MARKER], reader, writer)

    def close(self) -> None:
        """End the nursery. Inits live on until their containers are ended."""
        if self._nursery is not None and self._socket is not None:
            self._socket.close()
            self._nursery.wait()
            self._nursery = self._socket = None


async def sweep(marker: str) -> int:
    """Kill whatever carries the marker, and its descendants; returns how many there were.

    For what an init could not end because it was itself killed. `marker` with a pod's UID finds
    that pod's processes, `<root>/` finds those of every pod of an earlier life of the server.
    """
    seen: set[int] = set()
    for _ in range(SWEEP_TRIES):
        table = parents()
        found = pids_with_env(MARKER, marker) & set(table)
        found |= descendants(table, found)
        found.discard(os.getpid())
        if not found:
            break
        seen |= found
        send(found, signal.SIGKILL)
        await asyncio.sleep(SWEEP_PAUSE_S)
    return len(seen)
