"""The programs: versions, flags and keys."""

from __future__ import annotations

import pytest
from dev.cluster.errors import ClusterError
from dev.cluster.programs.go_program import (
    HYPERKUBE,
    PROGRAMS,
    Program,
    go_version,
    kubernetes_flags,
    pinned_version,
)

GO_MOD = """\
module m

go 1.24.0

require k8s.io/kubernetes v1.34.4

require (
	helm.sh/helm/v3 v3.19.5
	helm.sh/helm/v3/other v3.0.0 // indirect
)
"""


def test_versions_come_from_go_mod() -> None:
    assert pinned_version(GO_MOD, "k8s.io/kubernetes") == "v1.34.4"
    assert pinned_version(GO_MOD, "helm.sh/helm/v3") == "v3.19.5"
    assert go_version(GO_MOD) == (1, 24, 0)


def test_a_module_that_is_not_required_is_named() -> None:
    with pytest.raises(ClusterError, match="requires no example"):
        pinned_version(GO_MOD, "example.org/x")


def test_the_linker_flags_contain_the_kubernetes_version() -> None:
    flags = kubernetes_flags("v1.34.4")
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/component-base/version.gitMinor=34" in flags


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_committed_modules_are_complete(program: Program) -> None:
    go_mod = (program.source / "go.mod").read_text()
    assert go_mod.startswith(f"module elasticjob.invalid/{program.name}\n")
    assert (program.source / "go.sum").exists() == bool(program.pinned)
    assert program.key().startswith(f"{program.version()}-")


def test_etcd_has_the_version_that_kubernetes_was_released_with() -> None:
    go_mod = (HYPERKUBE.source / "go.mod").read_text()
    assert pinned_version(go_mod, "go.etcd.io/etcd/server/v3") == pinned_version(
        go_mod, "go.etcd.io/etcd/client/v3"
    )
