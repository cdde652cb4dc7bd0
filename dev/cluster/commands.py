"""Short commands of the machine: run, and their last line when they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from dev.cluster.errors import ClusterError


def run(argv: Sequence[str], *, stdin: str | None = None) -> str:
    """Its output; an error names the command and what it said."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    except FileNotFoundError:
        raise ClusterError(f"{argv[0]} is not installed here") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ClusterError(f"{' '.join(argv)}: {said[-1] if said else 'failed'}")
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether it can be run and exits with 0."""
    try:
        return subprocess.run(argv, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
