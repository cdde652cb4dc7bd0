"""Root file systems from Debian's packages: what a container builder would start from."""

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
"""The suite's Python."""
BASE_PACKAGES = ("ca-certificates", "python3")
PRIVATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--")
"""Mounts of a build are nobody else's, and end with it, however it ends."""
EVERY_S = 15.0

SCRIPT = Path(__file__).parent / "overlay-run.sh"
KEPT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Of the environment, what is kept inside; also what begins with UV_."""

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
    """A small Debian with Python."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    progress.say(f"Debian {SUITE} with Python {PYTHON} from {mirror} (about 50 s, once)")
    _follow(bootstrap_command(part, mirror), "debootstrap", progress)
    _follow(["chroot", str(part), "sh", "-ec", TIDY], "tidying up", progress)
    (part / "etc" / "resolv.conf").write_text("")
    part.replace(target)


@dataclass(frozen=True)
class Overlay:
    """Changes on top of a root file system that stays as it is."""

    lower: Path
    work: Path

    @property
    def upper(self) -> Path:
        """The changes."""
        return self.work / "upper"

    def prepare(self) -> None:
        """Begin with no changes."""
        shutil.rmtree(self.work, ignore_errors=True)
        for name in ("upper", "work", "root"):
            (self.work / name).mkdir(parents=True)

    def run(
        self, script: str, what: str, progress: Progress, binds: Mapping[str, str] | None = None
    ) -> None:
        """Run a shell script as root inside; what it writes is in `upper`.

        `binds`: directories of this machine, each with the directory inside where it is seen.
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
    """Run a long command; say from time to time what it is at."""
    began = said = progress.elapsed_s()
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
            if now - said >= EVERY_S:
                said = now
                progress.say(f"{what}, {duration(now - began)}: {last[:80]}")
    if process.returncode:
        raise ClusterError(f"{what} failed: {last}")
