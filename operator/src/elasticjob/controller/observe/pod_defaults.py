"""The defaults of a pod's fields, and the fields in which an empty value has a meaning.

A field with its default means the same as an absent one. The defaults are those that the API server
writes into a pod (pkg/apis/core/v1/defaults.go of Kubernetes), those that it documents and does not
write, and that of this operator for automountServiceAccountToken. A default that depends on the
cluster, such as a priority or a toleration that an admission plugin adds, is none of these.

Pods that an operator of an earlier release has created have digests of this form. So another form
would restart jobs after an upgrade: of an init container, the default of terminationMessagePolicy
is that of the API server, although this operator now has another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from elasticjob.wire.codec import Json


@dataclass(frozen=True)
class Fields:
    """The fields of an object of Kubernetes, as far as their notation can differ."""

    defaults: Mapping[str, object] = field(default_factory=dict)
    inside: Mapping[str, Fields] = field(default_factory=dict)  # of an object, or of each in a list
    counts_empty: frozenset[str] = frozenset()  # an empty value is not the same as none
    keeps_keys: bool = False  # the keys are the user's, and every value counts
    has_quantities: bool = False  # each value is a quantity
    # Removes the defaults that depend on other fields of the object.
    without_dependent: Callable[[Json], Json] = lambda found: found


MESSAGE_POLICY = "FallbackToLogsOnError"
"""The terminationMessagePolicy that the operator gives the worker container and init containers."""
QUANTITY = Fields(has_quantities=True)
"""Of a field that is a quantity, or whose values are."""
_QUANTITIES = Fields(keeps_keys=True, has_quantities=True)
_MAP = Fields(keeps_keys=True)
_MODE = 0o644


def _pull_policy(image: object) -> str:
    """The default of imagePullPolicy: an image without tag and digest has the tag `latest`."""
    name = str(image or "").rpartition("/")[2]
    tag = name.partition(":")[2]
    return "Always" if "@" not in name and tag in ("", "latest") else "IfNotPresent"


def _without(found: Json, key: str, default: object) -> Json:
    return {name: each for name, each in found.items() if name != key or each != default}


def _of_container(container: Json) -> Json:
    found = _without(container, "imagePullPolicy", _pull_policy(container.get("image")))
    needed = [
        each
        for each in _list(found.get("resizePolicy"))
        if not isinstance(each, dict) or each.get("restartPolicy") != "NotRequired"
    ]
    return _with(found, "resizePolicy", needed) if _list(found.get("resizePolicy")) else found


def _of_image_volume(image: Json) -> Json:
    return _without(image, "pullPolicy", _pull_policy(image.get("reference")))


def _of_resources(resources: Json) -> Json:
    """A request without a value is the limit of the same resource."""
    limits, requests = resources.get("limits"), resources.get("requests")
    if not isinstance(limits, dict) or not isinstance(requests, dict):
        return resources
    own = {name: value for name, value in requests.items() if limits.get(name) != value}
    return _with(resources, "requests", own)


def _of_pod(spec: Json) -> Json:
    """In the network of the node, hostPort is containerPort."""
    if not spec.get("hostNetwork"):
        return spec
    kinds = [kind for kind in ("containers", "initContainers") if _list(spec.get(kind))]
    return {**spec, **{kind: [_on_node(each) for each in spec[kind]] for kind in kinds}}


def _on_node(container: object) -> object:
    if not isinstance(container, dict) or not _list(container.get("ports")):
        return container
    ports = [
        _without(port, "hostPort", port.get("containerPort")) if isinstance(port, dict) else port
        for port in container["ports"]
    ]
    return _with(container, "ports", ports)


def _with(found: Json, key: str, value: object) -> Json:
    """The object with this value of a field; without the field if the value is empty."""
    kept = {name: each for name, each in found.items() if name != key}
    return {**kept, key: value} if value else kept


def _list(value: object) -> list[object]:
    """The value, if it is a list: the CRD does not check all fields of a pod."""
    return value if isinstance(value, list) else []


def _flags(*names: str) -> dict[str, object]:
    return dict.fromkeys(names, False)


_SELECTOR = Fields(inside={"matchLabels": _MAP})
_TERM = Fields(
    counts_empty=frozenset({"labelSelector", "namespaceSelector"}),
    inside={"labelSelector": _SELECTOR, "namespaceSelector": _SELECTOR},
)
_POD_AFFINITY = Fields(
    inside={
        "requiredDuringSchedulingIgnoredDuringExecution": _TERM,
        "preferredDuringSchedulingIgnoredDuringExecution": Fields(
            inside={"podAffinityTerm": _TERM}
        ),
    }
)
_AFFINITY = Fields(inside={"podAffinity": _POD_AFFINITY, "podAntiAffinity": _POD_AFFINITY})
_SPREAD = Fields(
    {"nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore", "minDomains": 1},
    counts_empty=frozenset({"labelSelector"}),
    inside={"labelSelector": _SELECTOR},
)

_FIELD_REF = Fields({"apiVersion": "v1"})
_RESOURCE_REF = Fields({"divisor": "0"}, inside={"divisor": QUANTITY})
_REFS = {"fieldRef": _FIELD_REF, "resourceFieldRef": _RESOURCE_REF}
_OPTIONAL = Fields(_flags("optional"))
_KEY_REFS = ("configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ENV = Fields(inside={"valueFrom": Fields(inside={**_REFS, **dict.fromkeys(_KEY_REFS, _OPTIONAL)})})
_ENV_FROM = Fields(inside={"configMapRef": _OPTIONAL, "secretRef": _OPTIONAL})
_HTTP_GET = Fields({"path": "/", "scheme": "HTTP"})
_HANDLER = Fields(inside={"httpGet": _HTTP_GET})
_PROBE = Fields(
    {
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
        "initialDelaySeconds": 0,
    },
    inside={"httpGet": _HTTP_GET},
)
_OF_CONTAINER_OVER_POD = frozenset({"seLinuxOptions", "windowsOptions"})
_RESOURCES = Fields(
    inside={"limits": _QUANTITIES, "requests": _QUANTITIES}, without_dependent=_of_resources
)
_CONTAINER = Fields(
    {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        **_flags("stdin", "stdinOnce", "tty"),
    },
    without_dependent=_of_container,
    inside={
        "env": _ENV,
        "envFrom": _ENV_FROM,
        "ports": Fields({"protocol": "TCP", "hostPort": 0}),
        "resources": _RESOURCES,
        "volumeMounts": Fields(
            {"mountPropagation": "None", "recursiveReadOnly": "Disabled", **_flags("readOnly")}
        ),
        "livenessProbe": _PROBE,
        "readinessProbe": _PROBE,
        "startupProbe": _PROBE,
        "lifecycle": Fields(inside={"postStart": _HANDLER, "preStop": _HANDLER}),
        "securityContext": Fields(
            {"procMount": "Default", **_flags("privileged", "readOnlyRootFilesystem")},
            counts_empty=_OF_CONTAINER_OVER_POD,
        ),
    },
)

_ITEMS = Fields(inside=_REFS)
_DOWNWARD_API = Fields({"defaultMode": _MODE}, inside={"items": _ITEMS})
_SOURCE = Fields(
    counts_empty=frozenset({"configMap", "secret", "downwardAPI", "clusterTrustBundle"}),
    inside={
        "configMap": _OPTIONAL,
        "secret": _OPTIONAL,
        "downwardAPI": Fields(inside={"items": _ITEMS}),
        "serviceAccountToken": Fields({"expirationSeconds": 3600}),
        "clusterTrustBundle": Fields(
            _flags("optional"),
            counts_empty=frozenset({"labelSelector"}),
            inside={"labelSelector": _SELECTOR},
        ),
    },
)
_CLAIM = Fields(
    {"volumeMode": "Filesystem"},
    counts_empty=frozenset({"storageClassName", "selector", "apiGroup"}),
    inside={
        "resources": Fields(inside={"limits": _QUANTITIES, "requests": _QUANTITIES}),
        "selector": _SELECTOR,
    },
)
_CLAIM_TEMPLATE = Fields(
    inside={"metadata": Fields(inside={"labels": _MAP, "annotations": _MAP}), "spec": _CLAIM}
)
_READ_ONLY = _flags("readOnly")
_VOLUMES = {
    "emptyDir": Fields(inside={"sizeLimit": QUANTITY}),
    "configMap": Fields({"defaultMode": _MODE, **_flags("optional")}),
    "secret": Fields({"defaultMode": _MODE, **_flags("optional")}),
    "downwardAPI": _DOWNWARD_API,
    "projected": Fields({"defaultMode": _MODE}, inside={"sources": _SOURCE}),
    "persistentVolumeClaim": Fields(_READ_ONLY),
    "nfs": Fields(_READ_ONLY),
    "csi": Fields(_READ_ONLY, inside={"volumeAttributes": _MAP}),
    "ephemeral": Fields(inside={"volumeClaimTemplate": _CLAIM_TEMPLATE}),
    "image": Fields(without_dependent=_of_image_volume),
    "iscsi": Fields({"iscsiInterface": "default", **_READ_ONLY}),
    "rbd": Fields({"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring", **_READ_ONLY}),
    "azureDisk": Fields(
        {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", **_READ_ONLY}
    ),
    "scaleIO": Fields({"storageMode": "ThinProvisioned", "fsType": "xfs", **_READ_ONLY}),
    "flexVolume": Fields(_READ_ONLY, inside={"options": _MAP}),
}
# A volume without a source is an emptyDir.
_VOLUME = Fields(inside=_VOLUMES, counts_empty=frozenset(_VOLUMES) - {"emptyDir"})

POD_SPEC = Fields(
    {
        "restartPolicy": "Never",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
        "hostUsers": True,
        **_flags(
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "shareProcessNamespace",
            "setHostnameAsFQDN",
            "automountServiceAccountToken",
        ),
    },
    counts_empty=frozenset({"hostnameOverride"}),
    inside={
        "containers": _CONTAINER,
        "initContainers": _CONTAINER,
        "ephemeralContainers": _CONTAINER,
        "volumes": _VOLUME,
        "nodeSelector": _MAP,
        "affinity": _AFFINITY,
        "topologySpreadConstraints": _SPREAD,
        "tolerations": Fields({"operator": "Equal"}),
        # Without the default of requests, which Kubernetes computes from those of the containers.
        "resources": Fields(inside={"limits": _QUANTITIES, "requests": _QUANTITIES}),
        "overhead": _QUANTITIES,
        "securityContext": Fields(
            {"fsGroupChangePolicy": "Always", "supplementalGroupsPolicy": "Merge"}
        ),
    },
    without_dependent=_of_pod,
)
"""The fields of the spec of a pod."""
