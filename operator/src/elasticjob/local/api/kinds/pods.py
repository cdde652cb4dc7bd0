"""Defaults and validation of pods, on creation and on update."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from elasticjob.local.api.kinds.pod_volumes import sub_path_faults, volume_faults
from elasticjob.local.api.kinds.validation import LABEL, LABEL_FAULT
from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.errors import Violation, bad_value, invalid
from elasticjob.local.api.objects.resource import Object, Resource

SPEC_DEFAULTS = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "serviceAccountName": "default",
    "terminationGracePeriodSeconds": 30,
}
CONTAINER_DEFAULTS = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
RESTART_POLICIES = ("Always", "OnFailure", "Never")
MUTABLE_FIELDS = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
IMMUTABLE_MESSAGE = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def admit(resource: Resource, new: Object, old: Object | None) -> Object:
    """Set the defaults of a new pod; refuse an invalid pod and a change of immutable fields."""
    if resource != PODS:
        return new
    if old is None:
        new = with_defaults(new)
        faults = list(spec_faults(new["spec"]))
    else:
        faults = list(change_faults(new["spec"], old["spec"]))
    if faults:
        raise invalid(resource, new["metadata"]["name"], faults)
    return new


def with_defaults(pod: Object) -> Object:
    """The pod with the defaults that other programs rely on."""
    spec = {**SPEC_DEFAULTS, **pod.get("spec", {})}
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [{**CONTAINER_DEFAULTS, **container} for container in spec[field]]
    return {**pod, "spec": spec}


def spec_faults(spec: Object) -> Iterator[Violation]:
    """Validate the spec of a new pod."""
    if not spec.get("containers"):
        yield "spec.containers", "Required value"
    if spec["restartPolicy"] not in RESTART_POLICIES:
        supported = ", ".join(f'"{policy}"' for policy in sorted(RESTART_POLICIES))
        found = json.dumps(spec["restartPolicy"])
        yield "spec.restartPolicy", f"Unsupported value: {found}: supported values: {supported}"
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes", ())):
        where, name = f"spec.volumes[{index}]", volume.get("name", "")
        yield from _name_faults(f"{where}.name", name, volumes)
        if faults := list(volume_faults(where, volume)):
            volumes.discard(name)  # as on a real server, its mounts are reported, too
            yield from faults
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field, ())):
            yield from _container_faults(f"spec.{field}[{index}]", container, volumes, seen)


def change_faults(new: Object, old: Object) -> Iterator[Violation]:
    """Validate that immutable fields do not change. `nodeName` may be set once, by scheduling."""
    new_part, old_part = _immutable_part(new), _immutable_part(old)
    if not old.get("nodeName"):
        new_part.pop("nodeName", None)
        old_part.pop("nodeName", None)
    if new_part != old_part:
        yield "spec", IMMUTABLE_MESSAGE


def _container_faults(
    where: str, container: Object, volumes: set[str], seen: set[str]
) -> Iterator[Violation]:
    yield from _name_faults(f"{where}.name", container.get("name", ""), seen)
    if not container.get("image"):
        yield f"{where}.image", "Required value"
    for index, entry in enumerate(container.get("env", ())):
        if not entry.get("name"):
            yield f"{where}.env[{index}].name", "Required value"
    yield from _mount_faults(f"{where}.volumeMounts", container.get("volumeMounts", []), volumes)


def _mount_faults(where: str, mounts: Sequence[Object], volumes: set[str]) -> Iterator[Violation]:
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        if mount.get("name") not in volumes:
            yield f"{where}[{index}].name", f"Not found: {json.dumps(mount.get('name', ''))}"
        path = mount.get("mountPath", "")
        if not path:
            yield f"{where}[{index}].mountPath", "Required value"
        elif path in paths:
            yield f"{where}[{index}].mountPath", bad_value(path, "must be unique")
        paths.add(path)
        yield from sub_path_faults(where, index, mount)


def _name_faults(where: str, name: str, seen: set[str]) -> Iterator[Violation]:
    """Validate a DNS label that must not be in `seen`, and add it."""
    if not name:
        yield where, "Required value"
    elif len(name) > 63 or not re.fullmatch(LABEL, name):
        yield where, bad_value(name, LABEL_FAULT)
    elif name in seen:
        yield where, f"Duplicate value: {json.dumps(name)}"
    seen.add(name)


def _immutable_part(spec: Object) -> Object:
    """The immutable part of a pod's spec."""
    fixed = {name: value for name, value in spec.items() if name not in MUTABLE_FIELDS}
    for field in ("containers", "initContainers"):
        if field in fixed:
            fixed[field] = [{**container, "image": ""} for container in fixed[field]]
    return fixed
