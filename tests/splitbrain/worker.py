"""A worker that records its start and its end, and fails after a random time.

    worker.py FILE MEAN_MS

It appends to FILE, which the workers of one pod share, and holds a lock on it while it lives: so a
worker that starts next to an older one of its pod records this, also if the older one is killed
before it can record its end. Python 3.9, started with `-I -S`: thousands of them start.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sys
import time

STUBBORN = 0.05  # of all workers ignore SIGTERM


def main() -> None:
    """Record the start, wait, record the end, and fail."""
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    environ = os.environ
    common = (environ["ELASTICJOB_ROUND"], environ["RANK"], environ["INCARNATION"], os.getpid())

    def record(what: str, *more: object) -> None:
        words = (what, *common, time.monotonic(), *more)
        os.write(file, (" ".join(map(str, words)) + "\n").encode())

    def end(number: int, frame: object) -> None:
        record("end")
        os._exit(128 + number)

    is_stubborn = random.random() < STUBBORN
    signal.signal(signal.SIGTERM, signal.SIG_IGN if is_stubborn else end)
    world, group = environ["WORLD_SIZE"], environ["MASTER_ADDR"] + ":" + environ["MASTER_PORT"]
    record("start", world, group, "alone" if locks(file) else "overlaps")
    time.sleep(random.expovariate(1000 / (float(sys.argv[2]) * int(world))))
    record("end")
    os._exit(1)


def locks(file: int) -> bool:
    """Whether the lock is free; the kernel frees it when the process that holds it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    main()
