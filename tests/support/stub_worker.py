"""A worker program for tests with several ways to misbehave: `stub_worker.py WAY [ARGUMENT]`.

Each way writes one line when it is ready: its name, its pid, and what it has started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time


def say(*words: object) -> None:
    """A line that is out before anything else happens."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def wait() -> None:
    """Until a signal."""
    while True:
        signal.pause()


def wait_for(path: str) -> None:
    """Until there is something in this file."""
    while not (os.path.exists(path) and os.path.getsize(path)):
        time.sleep(0.005)


def runs() -> None:
    """Runs until SIGTERM."""
    say("runs", os.getpid())
    wait()


def signs_in() -> None:
    """Appends a line to the file of its argument: round, rank, pid, time. Then runs."""
    words = (os.environ["ELASTICJOB_ROUND"], os.environ["RANK"], os.getpid(), time.monotonic())
    with open(sys.argv[2], "a") as file:
        file.write(" ".join(map(str, words)) + "\n")
    runs()


def stubborn() -> None:
    """Ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("stubborn", os.getpid())
    wait()


def family() -> None:
    """Has a child, a stubborn one in its own session, and one that forked twice."""
    plain = spawn("runs")
    away = spawn("stubborn", start_new_session=True)
    say("family", os.getpid(), plain, away, orphan({}))
    wait()


def forks() -> None:
    """Leaves a stubborn orphan in its own session."""
    process = subprocess.Popen(
        me("stubborn"),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    say(process.pid)
    os._exit(0)


def leaves_orphan() -> None:
    """Ends well, and leaves an orphan."""
    say("leaves_orphan", os.getpid(), orphan({}))


def has_guest() -> None:
    """Has an orphan like those of `kubectl exec`: it knows the pod, and no round."""
    say("has_guest", os.getpid(), orphan({"ELASTICJOB_POD_UID": os.environ["ELASTICJOB_POD_UID"]}))
    wait()


def ends() -> None:
    """Ends with the code of its argument, or of its rank: `0,3` ends rank 1 with 3."""
    codes = sys.argv[2].split(",")
    code = int(codes[min(int(os.environ["LOCAL_RANK"]), len(codes) - 1)])
    say("ends", os.getpid(), code)
    sys.exit(code)


def first_ends() -> None:
    """Local rank 0 ends with the code of its argument once there is a file `go`; others run."""
    if os.environ["LOCAL_RANK"] == "0":
        wait_for(os.path.join(os.path.dirname(os.environ["TORCHELASTIC_ERROR_FILE"]), "go"))
        ends()
    runs()


def dies() -> None:
    """Ends by the signal of its argument."""
    say("dies", os.getpid())
    os.kill(os.getpid(), int(sys.argv[2]))
    wait()


def reports() -> None:
    """Rank 1 writes torch's error file and lingers; rank 0 loses its connection and ends first."""
    if os.environ["LOCAL_RANK"] == "1":
        message = {"message": "ValueError: loss is nan", "extraInfo": {"py_callstack": STACK}}
        with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
            json.dump({"message": message}, file)
        say("reports", os.getpid())
        wait()
    peer = os.environ["TORCHELASTIC_ERROR_FILE"].replace("error-0", "error-1")
    wait_for(peer)
    sys.exit(1)


STACK = 'Traceback:\n  File "train.py", line 7, in step\nValueError: loss is nan'


def floods() -> None:
    """Writes as fast as it can to both streams."""
    line = b"x" * 1000 + b"\n"
    say("floods", os.getpid())
    while True:
        os.write(1, line)
        os.write(2, line)


def closes() -> None:
    """Closes its standard streams, then runs."""
    say("closes", os.getpid())
    for fd in (0, 1, 2):
        os.close(fd)
    wait()


def counts() -> None:
    """Reports SIGUSR1, SIGUSR2 and SIGTERM, and ends at SIGTERM."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: say("got", number))
    signal.signal(signal.SIGTERM, lambda number, _: (say("got", number), os._exit(0)))
    say("counts", os.getpid())
    wait()


def environment() -> None:
    """Its environment, as JSON."""
    say(json.dumps(dict(os.environ)))
    wait()


def me(way: str) -> list[str]:
    """The command line of another stub."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), way]


def orphan(environment: dict[str, str]) -> int:
    """A process with just this environment, whose parent has gone."""
    command = [*me("forks")]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def spawn(way: str, start_new_session: bool = False) -> int:
    """Another stub, ready."""
    process = subprocess.Popen(me(way), stdout=subprocess.PIPE, start_new_session=start_new_session)
    assert process.stdout is not None
    process.stdout.readline()
    return process.pid


if __name__ == "__main__":
    globals()[sys.argv[1]]()
