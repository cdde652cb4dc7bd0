"""go.mod for one version of Kubernetes: python -m dev.cluster.programs.gomod v1.34.4 v3.6.4 >go.mod

k8s.io/kubernetes requires its staging modules as v0.0.0, which its own `replace` lines resolve. Go
ignores the `replace` lines of a dependency, so the module that builds it must repeat them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

MODULE = "elasticjob.invalid/hyperkube"


def staged(version: str) -> str:
    """The version of the staging modules that belongs to a release: v1.34.4 -> v0.34.4."""
    return re.sub(r"^v1\.", "v0.", version)


def go_mod(upstream: str, kubernetes: str, etcd: str) -> str:
    """The text, given k8s.io/kubernetes' own go.mod; `go mod tidy` adds what is indirect."""
    found = re.search(r"^go (\S+)$", upstream, re.MULTILINE)
    if found is None:
        raise ValueError("no go line in the go.mod of k8s.io/kubernetes")
    names = re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0(?:\s|$)", upstream, re.MULTILINE)
    replaces = "".join(f"\t{name} => {name} {staged(kubernetes)}\n" for name in names)
    return (
        f"module {MODULE}\n\ngo {found[1]}\n\n"
        f"require (\n\tgo.etcd.io/etcd/server/v3 {etcd}\n\tk8s.io/kubernetes {kubernetes}\n)\n\n"
        f"replace (\n{replaces})\n"
    )


def main(kubernetes: str, etcd: str) -> None:
    """Print it, with the module's go.mod from the module proxy."""
    command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{kubernetes}"]
    out = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout
    print(go_mod(Path(json.loads(out)["GoMod"]).read_text(), kubernetes, etcd), end="")


if __name__ == "__main__":
    main(*sys.argv[1:3])
