"""The Python interpreter in the PATH of pods, as `python` and `python3`."""

from __future__ import annotations

import shlex
from pathlib import Path

NAMES = ("python", "python3")


def install(interpreter: Path, directory: Path) -> None:
    """Write the scripts `python` and `python3`, which run the interpreter, to a new directory.

    Links would not do: an interpreter of a virtual environment finds its packages by the path by
    which it was started.
    """
    directory.mkdir()
    for name in NAMES:
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} "$@"\n')
        script.chmod(0o755)


def search_path(directory: Path, interpreter: Path, host_path: str) -> str:
    """The PATH of a pod: the scripts, the directory of the interpreter, then the host's PATH."""
    return ":".join([str(directory), str(interpreter.parent), host_path])
