"""go.mod, from the go.mod of k8s.io/kubernetes."""

from __future__ import annotations

import pytest
from dev.cluster.programs.gomod import go_mod, staged

UPSTREAM = """\
module k8s.io/kubernetes

go 1.24.0

require (
	github.com/spf13/cobra v1.9.1
	k8s.io/api v0.0.0
	k8s.io/kubelet v0.0.0 // indirect
	k8s.io/klog/v2 v2.130.1
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
	k8s.io/kubectl v0.0.0
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
)
"""


def test_every_staging_module_is_replaced_by_its_release() -> None:
    assert go_mod(UPSTREAM, "v1.34.4", "v3.6.4") == (
        "module elasticjob.invalid/hyperkube\n\n"
        "go 1.24.0\n\n"
        "require (\n\tgo.etcd.io/etcd/server/v3 v3.6.4\n\tk8s.io/kubernetes v1.34.4\n)\n\n"
        "replace (\n"
        "\tk8s.io/api => k8s.io/api v0.34.4\n"
        "\tk8s.io/kubelet => k8s.io/kubelet v0.34.4\n"
        "\tk8s.io/kubectl => k8s.io/kubectl v0.34.4\n"
        ")\n"
    )


def test_staging_modules_have_their_own_versions() -> None:
    assert [staged(v) for v in ("v1.34.4", "v1.35.0-rc.1")] == ["v0.34.4", "v0.35.0-rc.1"]


def test_a_file_without_a_go_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no go line"):
        go_mod("module x\n", "v1.34.4", "v3.6.4")
