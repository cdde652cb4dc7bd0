"""Root file systems from Debian packages, the base of every image."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.progress import Progress, duration

SUITE = "bookworm"
PYTHON = "3.11"
"""The Python version of the suite."""
BASE_PACKAGES = ("ca-certificates", "python3")
PRIVATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--")
"""Keeps the mounts of a build private; they end with it, also when it is killed."""
EVERY_S = 15.0

SCRIPT = Path(__file__).parent / "overlay-run.sh"
KEPT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""The variables that scripts inside keep, as well as those that begin with UV_."""

TIDY = "apt-get clean; rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/* /etc/hostname"


def bootstrap_command(target: Path, mirror: str) -> list[str]:
    """The command that fills an empty directory."""
    return [
        *PRIVATE,
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(BASE_PACKAGES)}",
        SUITE,
        str(target),
        mirror,
    ]


def bootstrap(target: Path, mirror: str, progress: Progress) -> None:
    """Create a small Debian with Python."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    progress.print(f"Debian {SUITE} with Python {PYTHON} from {mirror} (about 50 s, once)")
    _follow(bootstrap_command(part, mirror), "debootstrap", progress)
    _follow(["chroot", str(part), "sh", "-ec", TIDY], "cleaning up", progress)
    (part / "etc" / "resolv.conf").write_text("")
    part.replace(target)


@dataclass(frozen=True)
class Overlay:
    """An overlay on a root file system, which stays unchanged."""

    lower: Path
    work: Path

    @property
    def upper(self) -> Path:
        """The directory of the changes."""
        return self.work / "upper"

    def prepare(self) -> None:
        """Start without changes."""
        shutil.rmtree(self.work, ignore_errors=True)
        for name in ("upper", "work", "root"):
            (self.work / name).mkdir(parents=True)

    def run(
        self, script: str, what: str, progress: Progress, binds: Mapping[str, str] | None = None
    ) -> None:
        """Run a shell script as root inside; `upper` receives what it writes.

        `binds`: directories of this machine, each with its mount point inside.
        """
        places = [self.lower, self.upper, self.work / "work", self.work / "root"]
        seen = [f"{host}={inside}" for host, inside in (binds or {}).items()]
        command = [*PRIVATE, "bash", str(SCRIPT), *map(str, places), script, *seen]
        _follow(command, what, progress, inside_environ(os.environ))


def inside_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a script in a root file system."""
    kept = {k: v for k, v in environ.items() if k in KEPT or k.startswith("UV_")}
    return {
        **kept,
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }


def _follow(
    command: Sequence[str], what: str, progress: Progress, environ: dict[str, str] | None = None
) -> None:
    """Run a long command and print progress lines."""
    began = printed = progress.elapsed_s()
    last = ""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
    ) as process:
        assert process.stdout is not None
        for line in map(str.strip, process.stdout):
            last = line or last
            now = progress.elapsed_s()
            if now - printed >= EVERY_S:
                printed = now
                progress.print(f"{what}, {duration(now - began)}: {last[:80]}")
    if process.returncode:
        raise ClusterError(f"{what} failed: {last}")
