"""`make bench-stderr`: what it costs a worker that its stderr passes through the agent.

A worker writes to stderr as fast as it can: in pieces of 64 KB or as single lines of 100 bytes,
and both at a steady rate. Its stderr is that of the agent, or a pipe that the
thread of the agent's log copies; a third process reads the agent's stderr, as a container runtime
does. The ratio compares runs that follow one another. Meanwhile the loop of the agent wakes every
10 ms, and its greatest delay is that of a heartbeat.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.results import spread

from elasticjob.agent.workers.output import Output

READER = "import os\nwhile os.read(0, 32768): pass"
WRITES = {  # the size of a write, their number, the pause after each hundred of them
    "pieces of 64 KB": (65536, 6400, 0.0),
    "100 MB per second": (65536, 3200, 0.066),
    "lines of 100 bytes": (100, 200_000, 0.0),
    "10,000 lines per second": (100, 20_000, 0.01),
}
WORKER = """
import os, sys, time
size, count, pause_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
piece = b"x" * (size - 1) + b"\\n"
begin = time.monotonic()
for number in range(count):
    os.write(2, piece)
    if pause_s and number % 100 == 99:
        time.sleep(pause_s)
print(time.monotonic() - begin)
"""
WAKE_S = 0.01


def main() -> None:
    """Print one line for each kind of writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=7, help="runs of each kind")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "THROUGH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], options.one[1] == "agent")))
        return
    for kind, (size, count, _) in WRITES.items():
        pairs = [(measured(kind, "inherited"), measured(kind, "agent")) for _ in range(options.n)]
        ratio = tuple(t["worker_s"] / a["worker_s"] for a, t in pairs)
        speed = tuple(size * count / (1 << 20) / t["worker_s"] for _, t in pairs)
        cpu, late, alone = (
            tuple(pair[at][name] * 1000 for pair in pairs)
            for at, name in ((1, "cpu_s"), (1, "late_s"), (0, "late_s"))
        )
        print(
            f"{kind}: time through the agent / inherited {spread(ratio)}, {spread(speed)} MiB/s,"
            f" CPU of the agent {spread(cpu)} ms, its loop late by at most {spread(late)} ms"
            f" (inherited {spread(alone)} ms)"
        )


def measured(kind: str, through: str) -> dict[str, float]:
    """One run in separate processes."""
    reader = subprocess.Popen([sys.executable, "-S", "-c", READER], stdin=subprocess.PIPE)
    command = [sys.executable, __file__, "--one", kind, through]
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=reader.stdin, check=True)
    assert reader.stdin is not None
    reader.stdin.close()
    reader.wait()
    result: dict[str, float] = json.loads(found.stdout)
    return result


def one(kind: str, passes_agent: bool) -> dict[str, float]:
    """Run a worker as an agent does. Its time, the CPU time and the greatest delay of the agent."""
    output = Output()
    streams = output.streams(None)
    words = [str(word) for word in WRITES[kind]]
    worker = subprocess.Popen(
        [sys.executable, "-S", "-c", WORKER, *words],
        stdout=subprocess.PIPE,
        stderr=streams.stderr if passes_agent else None,
    )
    os.close(streams.stderr)
    cpu, late_s = time.process_time(), 0.0
    while worker.poll() is None:
        due = time.monotonic() + WAKE_S
        time.sleep(WAKE_S)
        late_s = max(late_s, time.monotonic() - due)
    output.close()
    assert worker.stdout is not None
    cpu_s = time.process_time() - cpu
    return {"worker_s": float(worker.stdout.read()), "cpu_s": cpu_s, "late_s": late_s}


if __name__ == "__main__":
    main()
