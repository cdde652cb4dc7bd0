"""The init process of every container, and the nursery that they are forked from.

A pod's processes must not outlive the pod, nor the server, whatever they do: leave their session,
clear their environment, fork behind a parent that exits. A PID namespace gives a real container
that; it needs rights which a user may not have. A child subreaper needs none: every orphan below
it becomes its child, so all processes of the container stay below its init.

One nursery, started once, forks an init for each container start: to fork this small program takes
a third of a millisecond, and the server's event loop never stands still for it.

Between server and init, one stream socket:

    server -> init   one line of JSON, the container to start; then a signal number per line, for
                     the main process. End of stream, as the server says so or has died: end all
    init -> server   {"init": pid, "pid": pid} or {"error": text}; then {"exited": wait status} once
                     nothing of the container is alive

Standard library only; runs with `-I -S`, below its own session, and dies with its server.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
from typing import Any, NoReturn

from elasticjob.local.node.process_table import descendants, parents, send

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 1.0

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(fileno: int) -> None:
    """The nursery: for each socket received, fork an init that serves it. Ends with its server."""
    nursery = socket.socket(fileno=fileno)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # inits that have ended are reaped by the kernel
    while True:
        data, fds, _, _ = socket.recv_fds(nursery, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            nursery.close()
            # A received descriptor survives exec: held by the container, it hides init's death.
            os.set_inheritable(fds[0], False)
            try:
                Init(socket.socket(fileno=fds[0])).run()
            finally:
                os._exit(0)
        os.close(fds[0])


class Init:
    """One run of one container."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._unread = b""
        self._main = 0
        self._status: int | None = None
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the wake-up is written
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """From the order to start until nothing is alive."""
        os.setsid()
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        while b"\n" not in self._unread:
            if not self._receive():
                return
        try:
            self._main = start(json.loads(self._line()))
        except StartError as error:
            self._tell({"error": str(error)})
            return
        self._tell({"init": os.getpid(), "pid": self._main})
        self._attend()
        self._end_everything()
        self._tell({"exited": self._status})

    def _attend(self) -> None:
        """Pass signals on until the main process has ended or the end is asked for."""
        while self._status is None:
            ready, _, _ = select.select([self._server.fileno(), self._wake], [], [])
            if self._server.fileno() in ready and not self._receive():
                return
            while b"\n" in self._unread:
                # Not yet reaped, so the number is still its own, even if it is dead.
                os.kill(self._main, int(self._line()))
            self._reap()

    def _end_everything(self) -> None:
        """Kill all that is left, as the kernel does when PID 1 of a container ends.

        Again until no child is left: one may fork while it is looked for; its orphans come here.
        """
        pause_s = FIRST_PAUSE_S
        while self._reap():
            send(descendants(parents(), {os.getpid()}), signal.SIGKILL)
            select.select([self._wake], [], [], pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _reap(self) -> bool:
        """Collect the dead; says whether a child is left."""
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
        """Take what the server has sent; False at the end of the stream."""
        data = self._server.recv(65536)
        self._unread += data
        return bool(data)

    def _line(self) -> bytes:
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._server.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the server is gone; what matters, that nothing is left, has been done


class StartError(Exception):
    """The main process could not be started: which step, and why."""


def start(order: dict[str, Any]) -> int:
    """Start the main process: argv, env, cwd and log are the order's. Returns its PID."""
    report, child_report = os.pipe()  # closed by a successful exec
    init = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(order, init, child_report)
    os.close(child_report)
    with os.fdopen(report, "rb") as reader:
        error = reader.read().decode()
    if error:
        os.waitpid(pid, 0)
        raise StartError(error)
    return pid


def _become(order: dict[str, Any], init: int, report: int) -> NoReturn:
    """In the child: turn into the main process, or say why not."""
    step = "start"
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != init:
            os._exit(1)  # init died before the kernel was told to watch it
        _reset_signals()
        step = "log"
        _redirect(order["log"])
        step = f'workingDir "{order["cwd"]}"'
        os.chdir(order["cwd"])
        step = f'exec "{order["argv"][0]}"'
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except BaseException as error:
        text = (isinstance(error, OSError) and error.strerror) or str(error)
        os.write(report, f"{step}: {text}".encode()[:4096])
    os._exit(1)


def _redirect(log: str) -> None:
    """Standard input is empty, output and errors go to the log."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(opened, 1)
    os.dup2(opened, 2)


def _reset_signals() -> None:
    """As a container finds them: what Python or the server's terminal ignores is not ignored."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
