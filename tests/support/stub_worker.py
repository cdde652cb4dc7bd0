"""A worker for tests with several behaviours: `stub_worker.py BEHAVIOUR [ARGUMENT]`.

Each behaviour writes one line when it is ready: its name, its pid and those of its children.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time


def write(*words: object) -> None:
    """Write one line, unbuffered."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def wait() -> None:
    """Wait for a signal that ends this process."""
    while True:
        signal.pause()


def wait_for(path: str) -> None:
    """Wait until this file has content."""
    while not (os.path.exists(path) and os.path.getsize(path)):
        time.sleep(0.005)


def runs() -> None:
    """Run until a signal."""
    write("runs", os.getpid())
    wait()


def signs_in() -> None:
    """Append round, rank, pid and time to the file of its argument, then run."""
    words = (os.environ["ELASTICJOB_ROUND"], os.environ["RANK"], os.getpid(), time.monotonic())
    with open(sys.argv[2], "a") as file:
        file.write(" ".join(map(str, words)) + "\n")
    runs()


def stubborn() -> None:
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write("stubborn", os.getpid())
    wait()


def family() -> None:
    """Start a child, a child in a new session that ignores SIGTERM, and an orphan."""
    plain = spawn("runs")
    away = spawn("stubborn", start_new_session=True)
    write("family", os.getpid(), plain, away, orphan({}))
    wait()


def forks() -> None:
    """Leave an orphan in a new session that ignores SIGTERM."""
    process = subprocess.Popen(
        command("stubborn"),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    write(process.pid)
    os._exit(0)


def error_file(at: float | None = None) -> None:
    """Write torch's error file, of this time."""
    path = os.environ["TORCHELASTIC_ERROR_FILE"]
    stack = "Traceback:\nValueError: loss is nan"
    message = {"message": "ValueError", "extraInfo": {"py_callstack": stack}}
    with open(path, "w") as file:
        json.dump({"message": message}, file)
    if at is not None:
        os.utime(path, (at, at))


def reports_and_runs() -> None:
    """Write an error file, and exit with 3 when the file `go` is there."""
    error_file()
    write("reports_and_runs", os.getpid())
    wait_for(os.path.join(os.path.dirname(os.environ["TORCHELASTIC_ERROR_FILE"]), "go"))
    os._exit(3)


def first_recovers() -> None:
    """In local rank 0 write an error file, and exit with 0 when the file `go` is there."""
    if os.environ["LOCAL_RANK"] == "0":
        error_file()
        wait_for(os.path.join(os.path.dirname(os.environ["TORCHELASTIC_ERROR_FILE"]), "go"))
        os._exit(0)
    runs()


def reports_when_stopped() -> None:
    """Write an error file at SIGTERM, and exit with 1."""

    def handler(*_: object) -> None:
        error_file()
        os._exit(1)

    signal.signal(signal.SIGTERM, handler)
    write("reports_when_stopped", os.getpid())
    wait()


def of_the_past() -> None:
    """Write an error file that seems to be older than the worker."""
    error_file(1.0)
    runs()


def of_the_future() -> None:
    """Write an error file that seems to be of a later time."""
    error_file(time.time() + 1e6)
    runs()


def leaves_orphan() -> None:
    """Exit with 0 and leave an orphan."""
    write("leaves_orphan", os.getpid(), orphan({}))


def has_guest() -> None:
    """Start an orphan like those of `kubectl exec`, with the pod's UID and no round."""
    write(
        "has_guest", os.getpid(), orphan({"ELASTICJOB_POD_UID": os.environ["ELASTICJOB_POD_UID"]})
    )
    wait()


def ends() -> None:
    """Exit with the code of its argument, by local rank: `0,3` ends rank 1 with 3."""
    codes = sys.argv[2].split(",")
    code = int(codes[min(int(os.environ["LOCAL_RANK"]), len(codes) - 1)])
    write("ends", os.getpid(), code)
    sys.exit(code)


def first_ends() -> None:
    """In local rank 0 exit once a file `go` exists; in others run."""
    if os.environ["LOCAL_RANK"] == "0":
        wait_for(os.path.join(os.path.dirname(os.environ["TORCHELASTIC_ERROR_FILE"]), "go"))
        ends()
    runs()


def dies() -> None:
    """End by the signal of its argument."""
    write("dies", os.getpid())
    os.kill(os.getpid(), int(sys.argv[2]))
    wait()


def reports() -> None:
    """In rank 1 write torch's error file and run; in rank 0 exit once the file exists."""
    if os.environ["LOCAL_RANK"] == "1":
        message = {"message": "ValueError: loss is nan", "extraInfo": {"py_callstack": STACK}}
        with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
            json.dump({"message": message}, file)
        write("reports", os.getpid())
        wait()
    peer = os.environ["TORCHELASTIC_ERROR_FILE"].replace("error-0", "error-1")
    wait_for(peer)
    sys.exit(1)


STACK = 'Traceback:\n  File "train.py", line 7, in step\nValueError: loss is nan'


def floods() -> None:
    """Write to both streams without pause."""
    line = b"x" * 1000 + b"\n"
    write("floods", os.getpid())
    while True:
        os.write(1, line)
        os.write(2, line)


def closes() -> None:
    """Close the standard streams, then run."""
    write("closes", os.getpid())
    for fd in (0, 1, 2):
        os.close(fd)
    wait()


def counts() -> None:
    """Report SIGUSR1, SIGUSR2 and SIGTERM, and exit on SIGTERM."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: write("got", number))
    signal.signal(signal.SIGTERM, lambda number, _: (write("got", number), os._exit(0)))
    write("counts", os.getpid())
    wait()


def environment() -> None:
    """Write its environment as JSON, then run."""
    write(json.dumps(dict(os.environ)))
    wait()


def command(behaviour: str) -> list[str]:
    """Return the command line of another stub."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), behaviour]


def orphan(environment: dict[str, str]) -> int:
    """Start a process with just this environment, whose parent has exited."""
    done = subprocess.run(command("forks"), env=environment, stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def spawn(behaviour: str, start_new_session: bool = False) -> int:
    """Start another stub, and wait until it is ready."""
    process = subprocess.Popen(
        command(behaviour), stdout=subprocess.PIPE, start_new_session=start_new_session
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process.pid


if __name__ == "__main__":
    globals()[sys.argv[1]]()
