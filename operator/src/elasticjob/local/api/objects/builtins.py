"""The built-in resources: those that this project and kubectl use.

Other resources of Kubernetes (Deployments, Jobs, quotas) are not served: requests get 404.
"""

from __future__ import annotations

from elasticjob.local.api.objects.resource import Resource

RBAC = "rbac.authorization.k8s.io"

NAMESPACES = Resource(
    "",
    "v1",
    "namespaces",
    "Namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=("status",),
    selectable=("status.phase",),
    returns_deleted=True,
    initial_status={"phase": "Active"},
)
PODS = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    short_names=("po",),
    categories=("all",),
    subresources=("status", "log"),
    selectable=(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    tracks_generation=True,
    returns_deleted=True,
    initial_status={"phase": "Pending"},
)
EVENTS = Resource(
    "",
    "v1",
    "events",
    "Event",
    short_names=("ev",),
    selectable=(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    create_on_update=True,
)
NODES = Resource(
    "",
    "v1",
    "nodes",
    "Node",
    namespaced=False,
    short_names=("no",),
    subresources=("status",),
    selectable=("spec.unschedulable",),
)
SERVICES = Resource(
    "",
    "v1",
    "services",
    "Service",
    short_names=("svc",),
    categories=("all",),
    subresources=("status",),
    selectable=("spec.clusterIP", "spec.type"),
    create_on_update=True,
    returns_deleted=True,
)
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Resource("", "v1", "secrets", "Secret", selectable=("type",))
SERVICEACCOUNTS = Resource(
    "", "v1", "serviceaccounts", "ServiceAccount", short_names=("sa",), returns_deleted=True
)
LEASES = Resource(
    "coordination.k8s.io",
    "v1",
    "leases",
    "Lease",
    unconditional_update=False,
    create_on_update=True,
)
ROLES = Resource(RBAC, "v1", "roles", "Role", create_on_update=True)
ROLEBINDINGS = Resource(RBAC, "v1", "rolebindings", "RoleBinding", create_on_update=True)
CLUSTERROLES = Resource(
    RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False, create_on_update=True
)
CLUSTERROLEBINDINGS = Resource(
    RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False, create_on_update=True
)
CRDS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    tracks_generation=True,
    unconditional_update=False,
)

BUILTINS = (
    NAMESPACES,
    PODS,
    EVENTS,
    NODES,
    SERVICES,
    CONFIGMAPS,
    SECRETS,
    SERVICEACCOUNTS,
    LEASES,
    ROLES,
    ROLEBINDINGS,
    CLUSTERROLES,
    CLUSTERROLEBINDINGS,
    CRDS,
)
