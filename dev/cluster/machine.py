"""What the machine must have: root, a few programs of Debian's, cgroups. Looked at first."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dev.cluster.commands import succeeds
from dev.cluster.errors import ClusterError
from dev.cluster.node import CNI_PLUGINS
from dev.cluster.progress import Progress

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
"""Program (or file) and the package that has it."""
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def missing_packages(path: str) -> list[str]:
    """The packages that are not installed, judged by what they bring."""

    def there(name: str) -> bool:
        return Path(name).exists() if name.startswith("/") else bool(shutil.which(name, path=path))

    return sorted({package for name, package in PACKAGES.items() if not there(name)})


def check_root() -> None:
    """Namespaces, mounts and interfaces need root with its usual capabilities."""
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
    """Install what is missing, announced."""
    missing = missing_packages(f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
    if not missing:
        return
    line = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if not shutil.which("apt-get"):
        raise ClusterError(
            f"not installed: {', '.join(missing)}. Cure: install them (Debian's names)"
        )
    progress.say(f"installing {', '.join(missing)}: {' '.join(line)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], line):
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["apt-get failed"])[-1]
            raise ClusterError(f"{' '.join(command)}: {last}. Cure: run that line by hand")
    progress.done("installed")


def check_kernel() -> None:
    """Overlay file systems for images, and bridged packets through iptables for Services."""
    if "overlay" not in Path("/proc/filesystems").read_text() and not succeeds(
        ["modprobe", "overlay"]
    ):
        raise ClusterError("the kernel has no overlayfs. Cure: modprobe overlay")
    if not BRIDGE_FILTER.exists() and not succeeds(["modprobe", "br_netfilter"]):
        raise ClusterError("the kernel has no br_netfilter. Cure: modprobe br_netfilter")


def prepare(progress: Progress) -> None:
    """Everything that can be looked at before anything is made."""
    check_root()
    install_packages(progress)
    check_kernel()
