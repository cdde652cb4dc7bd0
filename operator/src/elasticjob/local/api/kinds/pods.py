"""Pods as the API sees them: the defaults that a server fills in, and what may not change later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

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
    "imagePullPolicy": "IfNotPresent",
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
RESTART_POLICIES = ("Always", "OnFailure", "Never")
CHANGEABLE = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
FROZEN = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def admit(resource: Resource, new: Object, old: Object | None) -> Object:
    """Complete a new pod and refuse a wrong one; refuse a change of what is fixed."""
    if resource != PODS:
        return new
    if old is None:
        new = completed(new)
        faults = list(spec_faults(new["spec"]))
    else:
        faults = list(change_faults(new["spec"], old["spec"]))
    if faults:
        raise invalid(resource, new["metadata"]["name"], faults)
    return new


def completed(pod: Object) -> Object:
    """The pod with the defaults that other programs count on finding in it."""
    spec = {**SPEC_DEFAULTS, **pod.get("spec", {})}
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [{**CONTAINER_DEFAULTS, **container} for container in spec[field]]
    return {**pod, "spec": spec}


def spec_faults(spec: Object) -> Iterator[Violation]:
    """What a new pod must have and may not have."""
    if not spec.get("containers"):
        yield "spec.containers", "Required value"
    if spec["restartPolicy"] not in RESTART_POLICIES:
        supported = ", ".join(f'"{policy}"' for policy in sorted(RESTART_POLICIES))
        found = json.dumps(spec["restartPolicy"])
        yield "spec.restartPolicy", f"Unsupported value: {found}: supported values: {supported}"
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes", ())):
        yield from _name_faults(f"spec.volumes[{index}].name", volume.get("name", ""), volumes)
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field, ())):
            yield from _container_faults(f"spec.{field}[{index}]", container, volumes, seen)


def change_faults(new: Object, old: Object) -> Iterator[Violation]:
    """A pod is what it was created as. Its node is given once, as by a scheduler's binding."""
    fixed_new, fixed_old = _fixed(new), _fixed(old)
    if not old.get("nodeName"):
        fixed_new.pop("nodeName", None)
        fixed_old.pop("nodeName", None)
    if fixed_new != fixed_old:
        yield "spec", FROZEN


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


def _name_faults(where: str, name: str, seen: set[str]) -> Iterator[Violation]:
    """A DNS label, once among its like; `seen` grows by it."""
    if not name:
        yield where, "Required value"
    elif len(name) > 63 or not re.fullmatch(LABEL, name):
        yield where, bad_value(name, LABEL_FAULT)
    elif name in seen:
        yield where, f"Duplicate value: {json.dumps(name)}"
    seen.add(name)


def _fixed(spec: Object) -> Object:
    """The spec without what may be changed."""
    fixed = {name: value for name, value in spec.items() if name not in CHANGEABLE}
    for field in ("containers", "initContainers"):
        if field in fixed:
            fixed[field] = [{**container, "image": ""} for container in fixed[field]]
    return fixed
