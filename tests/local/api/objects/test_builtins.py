"""The built-in resources have the names of Kubernetes."""

from __future__ import annotations

from elasticjob.local.api.objects.builtins import BUILTINS, CRDS, LEASES, PODS


def test_names() -> None:
    assert (PODS.api_version, PODS.qualified_name, PODS.singular) == ("v1", "pods", "pod")
    assert LEASES.api_version == "coordination.k8s.io/v1"
    assert LEASES.qualified_name == "leases.coordination.k8s.io"
    assert CRDS.qualified_kind == "CustomResourceDefinition.apiextensions.k8s.io"


def test_every_resource_has_a_unique_key() -> None:
    assert len({resource.key for resource in BUILTINS}) == len(BUILTINS)
    assert not any(resource.is_custom for resource in BUILTINS)
