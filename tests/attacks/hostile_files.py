"""A worker that puts something at each path that its agent and the kubelet read and write.

    hostile_files.py ATTACK REGISTER

It signs in to REGISTER, waits for the file REGISTER.crash in round 1, and exits with code 3. In
each later round it waits for REGISTER.end, and exits with code 0.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import time


def fifo(path: str) -> None:
    os.mkfifo(path)


def full_directory(path: str) -> None:
    os.makedirs(os.path.join(path, "a", "b"))


def deep_directory(path: str) -> None:
    os.mkdir(path)
    here = os.open(path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)


def link(path: str) -> None:
    os.symlink("/etc/passwd", path)


def second_name(path: str) -> None:
    os.link(f"{REGISTER}.foreign", path)


def unix_socket(path: str) -> None:
    os.chdir(os.path.dirname(path))
    socket.socket(socket.AF_UNIX).bind(os.path.basename(path))


def device(path: str) -> None:
    os.symlink("/dev/zero", path)


def sparse(path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 30)


def brackets(path: str) -> None:
    with open(path, "w") as file:
        file.write("[" * 2000)


def controls(path: str) -> None:
    with open(path, "w") as file:
        file.write('{"step": 1, "message": "\\u001b[2J\\u0007\\r\\u202e \\ud800 bad"}')


def closed(path: str) -> None:
    os.chmod(os.path.dirname(path), 0)


def timers() -> None:
    """Write lines without an end, and timers of all other processes that have expired."""
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    pids |= set(range(-1, 100_000))
    timer = {"version": 1, "scope_id": "\x1b[2J", "expiration_time": 0, "signal": 9}
    with open(os.environ["TORCHELASTIC_TIMER_FILE"], "wb", buffering=0) as file:
        for text in (b"\xff" * 1_000_000, b"\n" * 1_000_000, b"[" * 1_000_000, b"\n"):
            write(file, text)
        for pid in pids - {os.getpid()}:
            write(file, json.dumps({**timer, "pid": pid}).encode() + b"\n")


def write(file: io.FileIO, text: bytes) -> None:
    while text:
        text = text[file.write(text) or 0 :]


ATTACK, REGISTER = sys.argv[1:]
PATHS = (
    "ELASTICJOB_PROGRESS_FILE", "TORCHELASTIC_ERROR_FILE", "TORCHELASTIC_TIMER_FILE",
    "ELASTICJOB_TERMINATION_LOG",
)  # fmt: skip


def replace_files() -> None:
    termination_log = os.environ["ELASTICJOB_TERMINATION_LOG"]
    log = termination_log.replace(".message", ".log")  # of the local kubelet
    for path in [*map(os.environ.__getitem__, PATHS), log]:
        if os.path.lexists(path) and not os.path.isdir(path):
            os.unlink(path)
        if not os.path.lexists(path):
            globals()[ATTACK](path)


def main() -> None:
    """Attack, sign in, wait, and exit."""
    n = int(os.environ["ELASTICJOB_ROUND"])
    if ATTACK == "timers":
        timers()
    else:
        replace_files()
    with open(REGISTER, "a") as file:
        file.write(f"{n} {os.environ['RANK']} {os.getpid()} {time.monotonic()}\n")
    wanted = f"{REGISTER}.crash" if n == 1 else f"{REGISTER}.end"
    while not os.path.exists(wanted):
        time.sleep(0.01)
    sys.exit(3 if n == 1 else 0)


main()
