"""What this machine must have: root, a few Debian packages, kernel features."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.nodes.node import CNI_PLUGINS
from dev.cluster.progress import Progress
from dev.cluster.shell import succeeds

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    f"{CNI_PLUGINS}/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "sysctl": "procps",
    "debootstrap": "debootstrap",
    "unshare": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
"""A program or file, and the package that contains it."""
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def missing_packages(path: str) -> list[str]:
    """The packages whose programs or files do not exist."""

    def there(name: str) -> bool:
        return Path(name).exists() if name.startswith("/") else bool(shutil.which(name, path=path))

    return sorted({package for name, package in PACKAGES.items() if not there(name)})


def check_root() -> None:
    """Check for root with its usual capabilities: for namespaces, mounts and interfaces."""
    if os.geteuid() != 0:
        raise ClusterError(
            "the cluster needs root, to make namespaces, mounts and interfaces."
            " Cure: sudo make cluster (make test and the local mode need no root)"
        )
    if not succeeds(["unshare", "--mount", "--net", "--", "mount", "-t", "tmpfs", "none", "/mnt"]):
        raise ClusterError(
            "this root may not make namespaces and mounts: a container without privileges?"
            " Cure: run it on the machine itself, or in a privileged container"
        )


def install_packages(progress: Progress) -> None:
    """Install missing packages, after a line that names them."""
    missing = missing_packages(f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
    if not missing:
        return
    line = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if not shutil.which("apt-get"):
        raise ClusterError(
            f"not installed: {', '.join(missing)}. Cure: install them (Debian's names)"
        )
    progress.print(f"installing {', '.join(missing)}: {' '.join(line)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], line):
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["apt-get failed"])[-1]
            raise ClusterError(f"{' '.join(command)}: {last}. Cure: run that line by hand")
    progress.done("installed")


def check_kernel() -> None:
    """Check for overlayfs (images) and for iptables on bridged packets (Services)."""
    if "overlay" not in Path("/proc/filesystems").read_text() and not succeeds(
        ["modprobe", "overlay"]
    ):
        raise ClusterError("the kernel has no overlayfs. Cure: modprobe overlay")
    if not BRIDGE_FILTER.exists() and not succeeds(["modprobe", "br_netfilter"]):
        raise ClusterError("the kernel has no br_netfilter. Cure: modprobe br_netfilter")


def prepare(progress: Progress) -> None:
    """Check and install everything before anything is created."""
    check_root()
    install_packages(progress)
    check_kernel()
