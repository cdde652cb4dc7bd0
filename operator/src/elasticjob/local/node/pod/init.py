"""The init process of every container, and the fork server that forks it.

The processes of a pod must not outlive the pod or the server, even if they leave their session,
clear their environment, or fork and exit. In a real container a PID namespace ensures this, but a
user may lack the permission to create one. A child subreaper needs no permission: every orphan
among its descendants becomes its child, so that all processes of a container descend from its init.

The server starts one fork server, which forks an init for each start of a container. A fork of this
small program takes a third of a millisecond and does not block the event loop of the server.

Server and init communicate by a stream socket:

    server -> init   one line of JSON with the process to start; then one line per signal for the
                     main process. At the end of the stream, the init kills all processes
    init -> server   {"init": pid, "pid": pid} or {"error": text}; then {"exited": wait status} when
                     all processes of the container have ended

The program uses the standard library and `wire` only, runs with `-I -S` in a separate session, and
ends when its server ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
from typing import Any, NoReturn

from elasticjob.local.node.log_parts import LogWriter
from elasticjob.local.node.process_table import descendants, read_parents, send_signal
from elasticjob.wire.untrusted import decode

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 1.0

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(fileno: int) -> None:
    """Run the fork server: for each socket received, fork an init that serves it."""
    requests = socket.socket(fileno=fileno)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the inits
    while True:
        data, fds, _, _ = socket.recv_fds(requests, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            # A received descriptor survives exec: the container would hold it when init has died.
            os.set_inheritable(fds[0], False)
            try:
                Init(socket.socket(fileno=fds[0])).run()
            finally:
                os._exit(0)
        os.close(fds[0])


class Init:
    """The init process of one run of a container."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._unread = b""
        self._main = 0
        self._output = -1  # the reading end of what the container prints; negative at its end
        self._log: LogWriter | None = None
        self._status: int | None = None
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler there is no wake-up
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """Start the main process, and run until all processes have ended."""
        os.setsid()
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        while b"\n" not in self._unread:
            if not self._receive():
                return
        try:
            self._main = self._start(decode(self._line(), "the process"))
        except StartError as error:
            self._send({"error": str(error)})
            return
        self._send({"init": os.getpid(), "pid": self._main})
        self._forward_signals()
        self._kill_all()
        self._copy_output()
        self._send({"exited": self._status})

    def _start(self, spec: dict[str, Any]) -> int:
        """Start the main process with its output in a pipe. Returns its PID. Raises StartError."""
        try:
            self._log = LogWriter(spec["log"])
        except OSError as error:
            raise StartError(f"log: {error.strerror}") from None
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        try:
            return start(spec, output)
        finally:
            os.close(output)

    def _copy_output(self) -> None:
        """Write into the log what the container has printed."""
        if self._output >= 0 and self._log is not None and not self._log.copy(self._output):
            os.close(self._output)
            self._output = -1

    def _forward_signals(self) -> None:
        """Forward signals and copy the output until the main process has ended or the server closes
        the stream."""
        while self._status is None:
            inputs = [self._server.fileno(), self._wake]
            inputs += [self._output] if self._output >= 0 else []
            ready, _, _ = select.select(inputs, [], [])
            if self._output in ready:
                self._copy_output()
            if self._server.fileno() in ready and not self._receive():
                return
            while b"\n" in self._unread:
                # The PID is not reused even if the process has died, because it is not reaped yet.
                os.kill(self._main, int(self._line()))
            self._reap()

    def _kill_all(self) -> None:
        """Kill all remaining processes, as the kernel does when PID 1 of a container ends.

        Repeats until no child is left, because a process may fork before it is killed.
        """
        pause_s = FIRST_PAUSE_S
        while self._reap():
            send_signal(descendants(read_parents(), {os.getpid()}), signal.SIGKILL)
            select.select([self._wake], [], [], pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _reap(self) -> bool:
        """Reap the children that have ended; returns whether a child is left."""
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            pass
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self._main:
                    self._status = status
        except ChildProcessError:
            return False

    def _receive(self) -> bool:
        """Read from the server; returns False at the end of the stream."""
        data = self._server.recv(65536)
        self._unread += data
        return bool(data)

    def _line(self) -> bytes:
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._server.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the server has died; all processes have ended


class StartError(Exception):
    """The main process could not be started. The text has the step and the reason."""


def start(spec: dict[str, Any], output: int) -> int:
    """Start the main process with argv, env and cwd of the spec. Returns its PID."""
    report, child_report = os.pipe()  # closed by a successful exec
    init = os.getpid()
    pid = os.fork()
    if pid == 0:
        _exec(spec, output, init, child_report)
    os.close(child_report)
    with os.fdopen(report, "rb") as reader:
        error = reader.read().decode()
    if error:
        os.waitpid(pid, 0)
        raise StartError(error)
    return pid


def _exec(spec: dict[str, Any], output: int, init: int, report: int) -> NoReturn:
    """In the child: execute the main process, or write the error to `report`."""
    step = "start"
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != init:
            os._exit(1)  # init died before PR_SET_PDEATHSIG was set
        _reset_signals()
        _redirect(output)
        step = f'workingDir "{spec["cwd"]}"'
        os.chdir(spec["cwd"])
        step = f'exec "{spec["argv"][0]}"'
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
    except BaseException as error:
        text = (isinstance(error, OSError) and error.strerror) or str(error)
        os.write(report, f"{step}: {text}".encode()[:4096])
    os._exit(1)


def _redirect(output: int) -> None:
    """Redirect standard input from /dev/null, and standard output and error to a pipe."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _reset_signals() -> None:
    """Reset all signals to their defaults, as in a container."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
