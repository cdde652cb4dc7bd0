"""The Helm and the kubectl that tests use, if this machine has them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BUILT = Path("elasticjob", "cluster", "bin")


def helm() -> str | None:
    """That of `$HELM`, else of `make programs`, else of PATH."""
    return os.environ.get("HELM") or _built("helm-*/helm") or shutil.which("helm")


def kubectl() -> tuple[str, ...]:
    """The words with which a command begins; empty if there is none. As `helm`, of `$KUBECTL`."""
    if named := os.environ.get("KUBECTL"):
        return (named,)
    if built := _built("hyperkube-*/hyperkube"):
        return (built, "kubectl")
    found = shutil.which("kubectl")
    return (found,) if found else ()


def _built(pattern: str) -> str | None:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(map(str, (home / BUILT).glob(pattern)))
    return found[-1] if found else None
