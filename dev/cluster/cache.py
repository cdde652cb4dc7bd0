"""The directory of everything that is built or running, outside the checkout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError

HIDDEN = ("/run", "/var/lib", "/var/log")
"""A node mounts its own directories over these, so a cache below them would be hidden."""


@dataclass(frozen=True)
class Cache:
    """The directories below ${XDG_CACHE_HOME:-~/.cache}/elasticjob."""

    home: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Cache:
        """The cache of this user."""
        base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/root")) / ".cache")
        home = Path(base).resolve() / "elasticjob"
        for hidden in HIDDEN:
            if home.is_relative_to(hidden):
                raise ClusterError(
                    f"the cache {home} is below {hidden}, over which nodes mount directories."
                    " Cure: XDG_CACHE_HOME=/some/other/place"
                )
        return cls(home)

    @property
    def go(self) -> Path:
        """The directory of Go's caches, and of a toolchain if the machine has none."""
        return self.home / "go"

    @property
    def binaries(self) -> Path:
        """The built programs, a directory for each version."""
        return self.home / "cluster" / "bin"

    @property
    def images(self) -> Path:
        """The directory of root file systems, layers and the OCI layout."""
        return self.home / "cluster" / "images"

    @property
    def store(self) -> Path:
        """The containerd root with every image unpacked, which nodes hard-link."""
        return self.home / "cluster" / "store"

    @property
    def run(self) -> Path:
        """The running cluster: state, credentials, logs, nodes. `down` removes it."""
        return self.home / "cluster" / "run"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for kubectl and tests on this machine."""
        return self.run / "kubeconfig"

    @property
    def record(self) -> Path:
        """The options of a cluster that is up, or partly up."""
        return self.run / "cluster.json"

    @property
    def netns_was_no_mount(self) -> Path:
        """The file that exists if /run/netns was no mount before `up`."""
        return self.run / "netns-was-no-mount"
