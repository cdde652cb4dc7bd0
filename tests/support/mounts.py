"""A directory that is mounted on another one, for the time of one program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NO_NAMESPACES = "no right to make user namespaces: run as root, or allow them in the kernel"
_ALONE = ("unshare", "--user", "--map-root-user", "--mount", "--")
"""No other process sees what is mounted, so it is gone with the program."""


def may_mount() -> bool:
    """Whether this machine lets its users mount directories for themselves."""
    try:
        found = subprocess.run([*_ALONE, "mount", "-t", "tmpfs", "none", "/mnt"], check=False)
    except OSError:
        return False
    return found.returncode == 0


def run_with_mount(source: Path, target: Path, code: str) -> str:
    """What Python code prints while `source` is mounted on `target`."""
    script = 'mount --bind "$0" "$1" && exec "$2" -c "$3"'
    return subprocess.run(
        [*_ALONE, "sh", "-c", script, source, target, sys.executable, code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
