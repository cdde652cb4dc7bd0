"""Run short commands of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from dev.cluster.errors import ClusterError

CLEANUP_S = 60.0


def run(argv: Sequence[str], *, stdin: str | None = None) -> str:
    """The command's output; an error names the command and its last line."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    except FileNotFoundError:
        raise ClusterError(f"{argv[0]} is not installed here") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ClusterError(f"{' '.join(argv)}: {lines[-1] if lines else 'failed'}")
    return done.stdout


def run_through(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code of a command that uses this terminal. An interruption of this process ends the
    command with SIGTERM and waits for its cleanup."""
    with subprocess.Popen(argv, env=environ) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(CLEANUP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def succeeds(argv: Sequence[str]) -> bool:
    """Whether the command exists and exits with 0."""
    try:
        return subprocess.run(argv, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
