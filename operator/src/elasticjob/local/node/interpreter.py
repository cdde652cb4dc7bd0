"""The Python that pods find: one interpreter, under the names that commands use."""

from __future__ import annotations

import shlex
from pathlib import Path

NAMES = ("python", "python3")


def offer(interpreter: Path, directory: Path) -> None:
    """Put `python` and `python3` into the directory, whatever the interpreter is called.

    Scripts and not links: a virtual environment's interpreter finds its packages by the path that
    it was started under.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} "$@"\n')
        script.chmod(0o755)


def search_path(directory: Path, interpreter: Path, host_path: str) -> str:
    """PATH of a pod: those names, what is installed beside the interpreter, then the host's."""
    return ":".join([str(directory), str(interpreter.parent), host_path])
