"""Build the programs, once for each version; the first build takes minutes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from dev.cluster.cache import Cache
from dev.cluster.disk import need_disk
from dev.cluster.errors import ClusterError
from dev.cluster.programs.go_program import Program
from dev.cluster.programs.go_toolchain import find_go
from dev.cluster.progress import Progress, duration

EVERY_S = 15.0
"""The interval of progress lines."""
DISK_GB = 6.0
"""Module cache, build cache and binaries, all three programs."""


def binary(cache: Cache, program: Program) -> Path:
    """The path of a built program."""
    return cache.binaries / f"{program.name}-{program.key()}" / program.name


def built(cache: Cache, program: Program, progress: Progress) -> Path:
    """The path of a program; builds it if necessary."""
    target = binary(cache, program)
    if target.exists():
        return target
    need_disk(cache.home, DISK_GB, f"building {program.name}")
    environ = go_environ(cache, os.environ)
    go = find_go(cache, progress)
    progress.print(f"building {program.name} {program.version()} (once; cached in {target.parent})")
    download(go, program, environ)
    part = target.parent.with_name(f"{target.parent.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    compile_(go, program, part / program.name, environ, progress)
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target.parent)
    progress.done(f"built {program.name}")
    return target


def go_environ(cache: Cache, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with separate caches, static binaries and the found toolchain."""
    return {
        **environ,
        # else its directories are read-only, and `rm -r` of the cache fails
        "GOFLAGS": f"{environ.get('GOFLAGS', '')} -modcacherw".strip(),
        "GOMODCACHE": str(cache.go / "mod"),
        "GOCACHE": str(cache.go / "build"),
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def build_command(go: str, program: Program, target: Path) -> list[str]:
    """The command line; -v names each package when it has been compiled."""
    return [
        *(go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"),
        *("-ldflags", program.flags(), "-o", str(target), program.package),
    ]


def download(go: str, program: Program, environ: dict[str, str]) -> None:
    """Fetch the modules; Go checks them against go.sum."""
    command = [go, "mod", "download"]
    done = subprocess.run(command, cwd=program.source, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(
            f"cannot download the modules of {program.name}: {done.stderr.strip()}."
            " Cure: see that GOPROXY can be reached"
        )


def compile_(
    go: str, program: Program, target: Path, environ: dict[str, str], progress: Progress
) -> None:
    """Run the build and count the packages that it has compiled."""
    listed = subprocess.run(
        [go, "list", "-mod=readonly", "-deps", program.package],
        cwd=program.source,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    total = len(listed.stdout.split())
    with subprocess.Popen(
        build_command(go, program, target),
        cwd=program.source,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        errors = follow(process.stderr, total, progress)
    if process.returncode:
        raise ClusterError(f"building {program.name} failed: {' | '.join(errors[-4:])}")


def follow(lines: Iterable[str], total: int, progress: Progress) -> list[str]:
    """Print progress lines; returns the lines that name no package."""
    began = printed = progress.elapsed_s()
    compiled, others = 0, []
    for line in map(str.strip, lines):
        if is_package(line):
            compiled += 1
        else:
            others.append(line)
        now = progress.elapsed_s()
        if now - printed >= EVERY_S:
            printed = now
            progress.print(f"compiled {compiled} of {total} packages, {duration(now - began)}")
    return others


def is_package(line: str) -> bool:
    """Whether a line of `go build -v` is an import path, and not an error."""
    return bool(line) and " " not in line and not line.startswith("#") and ".go:" not in line
