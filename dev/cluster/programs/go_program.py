"""The Go programs, their versions and their build flags."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError

SOURCES = Path(__file__).parents[1] / "go"


@dataclass(frozen=True)
class Program:
    """One Go module: a directory below go/ with go.mod and go.sum."""

    name: str
    pinned: str = ""
    """The required module whose version is the program's; '' if the module requires none."""
    package: str = "."

    @property
    def source(self) -> Path:
        return SOURCES / self.name

    def version(self) -> str:
        """The version of the pinned module, from go.mod."""
        if not self.pinned:
            return "dev"
        return pinned_version((self.source / "go.mod").read_text(), self.pinned)

    def flags(self) -> str:
        """The linker flags: no symbols, and the program's version."""
        if self.name == "hyperkube":
            return f"-s -w {kubernetes_flags(self.version())}"
        if self.name == "helm":
            return f"-s -w {helm_flags((self.source / 'go.mod').read_text())}"
        return "-s -w"

    def key(self) -> str:
        """The version and a digest of sources and flags."""
        files = sorted(p for p in self.source.iterdir() if p.suffix in (".go", ".mod", ".sum"))
        text = b"".join(p.name.encode() + p.read_bytes() for p in files) + self.flags().encode()
        return f"{self.version()}-{hashlib.sha256(text).hexdigest()[:8]}"


HYPERKUBE = Program("hyperkube", "k8s.io/kubernetes")
COREDNS = Program("coredns", "github.com/coredns/coredns")
HELM = Program("helm", "helm.sh/helm/v3", "helm.sh/helm/v3/cmd/helm")
PAUSE = Program("pause")
PROGRAMS = (HYPERKUBE, COREDNS, HELM, PAUSE)


def pinned_version(go_mod: str, module: str) -> str:
    """The version that a go.mod requires of a module."""
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ClusterError(f"go.mod requires no {module}. Cure: git checkout dev/cluster/go")
    return found[1]


def go_version(go_mod: str) -> tuple[int, ...]:
    """The oldest Go that a go.mod admits, as numbers."""
    found = re.search(r"^go ([\d.]+)", go_mod, re.MULTILINE)
    return tuple(map(int, found[1].split("."))) if found else ()


def kubernetes_flags(version: str) -> str:
    """The -X flags without which every program reports v0.0.0-master."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    base, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
    return assigned(
        (f"{base}.gitVersion", version),
        (f"{base}.gitMajor", major),
        (f"{base}.gitMinor", minor),
        (f"{client}.gitVersion", version),
    )


def helm_flags(go_mod: str) -> str:
    """The -X flags without which helm assumes v1.20 for a cluster that it cannot reach."""
    helm = "helm.sh/helm/v3"
    _, minor, _ = pinned_version(go_mod, "k8s.io/client-go").split(".", 2)
    return assigned(
        (f"{helm}/internal/version.version", pinned_version(go_mod, helm)),
        *((f"{helm}/pkg/{user}.k8sVersionMajor", "1") for user in ("chartutil", "lint/rules")),
        *((f"{helm}/pkg/{user}.k8sVersionMinor", minor) for user in ("chartutil", "lint/rules")),
    )


def assigned(*values: tuple[str, str]) -> str:
    """The linker flags that set variables."""
    return " ".join(f"-X {name}={value}" for name, value in values)
