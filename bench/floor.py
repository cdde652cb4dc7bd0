"""The least that a restart can cost here: one PATCH of a Lease, its delivery, kill, spawn.

So many processes each watch the Lease with a connection of their own; at every event each kills its
stub worker and starts the next. Nothing is decided, read or written. Forked from one process that
has imported everything, so they share its memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ledger import STUB, Ledger
from bench.site import LEASES, Site
from tests.support.api_client import Client

NAME = "floor"


def floor(site: Site, watchers: int, samples: int, root: Path) -> tuple[float, ...]:
    """Seconds from just before the PATCH until every watcher's next worker was exec'd."""
    ledger = Ledger(root / f"floor-{watchers}")
    made = site.made(LEASES, {"metadata": {"name": NAME}})
    try:
        with watching(site, watchers, made["metadata"]["resourceVersion"], ledger.file):
            ledger.wait(watchers, 0)
            return tuple(sample(site, watchers, ledger, number) for number in range(samples))
    finally:
        site.client.delete(f"{LEASES}/{NAME}")


def sample(site: Site, watchers: int, ledger: Ledger, number: int) -> float:
    """One PATCH, and how long it takes until all have started anew."""
    time.sleep(0.3)
    at = time.time()
    site.client.patch(f"{LEASES}/{NAME}", {"metadata": {"annotations": {"n": str(number)}}})
    return max(line.at for line in ledger.wait(watchers, at)) - at


@contextmanager
def watching(site: Site, watchers: int, version: str, file: Path) -> Iterator[None]:
    """The watchers as processes, forked by a process without threads."""
    order = {"kubeconfig": str(site.kubeconfig), "count": watchers, "version": version}
    command = [sys.executable, "-m", "bench.floor", json.dumps({**order, "file": str(file)})]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # watchers and workers are of the same group
        process.wait()


def watch(client: Client, rank: int, version: str, file: str) -> None:
    """One watcher: never returns."""
    query = {"fieldSelector": f"metadata.name={NAME}", "resourceVersion": version}
    with client.watch(LEASES, **query) as events:
        worker = spawn(0, rank, file)
        for number, _ in enumerate(events, start=1):
            os.kill(worker, signal.SIGTERM)
            os.waitpid(worker, 0)
            worker = spawn(number, rank, file)


def spawn(number: int, rank: int, file: str) -> int:
    """One stub worker."""
    environment = {"ELASTICJOB_ROUND": str(number), "RANK": str(rank), "BENCH_FILE": file}
    return os.posix_spawn("/bin/bash", ["bash", "-c", STUB], {**os.environ, **environment})


def main(order: str) -> None:
    """Forks the watchers and waits for its own end."""
    words = json.loads(order)
    client = Client.from_kubeconfig(Path(words["kubeconfig"]))
    for rank in range(words["count"]):
        if os.fork() == 0:
            watch(client, rank, words["version"], words["file"])
            os._exit(1)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
