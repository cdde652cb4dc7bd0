"""A worker that puts something at each path that its agent and the kubelet read and write.

    hostile_files.py ATTACK REGISTER

It signs in to REGISTER, waits for the file REGISTER.crash in round 1, and exits with code 3. In
each later round it waits for REGISTER.end, and exits with code 0.
"""

from __future__ import annotations

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


ATTACK, REGISTER = sys.argv[1:]
PATHS = ("ELASTICJOB_PROGRESS_FILE", "TORCHELASTIC_ERROR_FILE", "ELASTICJOB_TERMINATION_LOG")


def main() -> None:
    """Attack, sign in, wait, and exit."""
    n = int(os.environ["ELASTICJOB_ROUND"])
    log = os.environ["ELASTICJOB_TERMINATION_LOG"].replace(
        ".message", ".log"
    )  # of the local kubelet
    for path in [*map(os.environ.__getitem__, PATHS), log]:
        if os.path.lexists(path) and not os.path.isdir(path):
            os.unlink(path)
        if not os.path.lexists(path):
            globals()[ATTACK](path)
    with open(REGISTER, "a") as file:
        file.write(f"{n} {os.environ['RANK']} {os.getpid()} {time.monotonic()}\n")
    wanted = f"{REGISTER}.crash" if n == 1 else f"{REGISTER}.end"
    while not os.path.exists(wanted):
        time.sleep(0.01)
    sys.exit(3 if n == 1 else 0)


main()
