"""Pods as the API sees them: the defaults that a server fills in, and what may not change later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from elasticjob.local.builtins import PODS
from elasticjob.local.errors import Violation, invalid
from elasticjob.local.resource import Object, Resource
from elasticjob.local.validation import LABEL, LABEL_FAULT

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
    volumes = {volume.get("name") for volume in spec.get("volumes", ())}
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
    where: str, container: Object, volumes: set[str | None], seen: set[str]
) -> Iterator[Violation]:
    name = container.get("name", "")
    if not name:
        yield f"{where}.name", "Required value"
    elif len(name) > 63 or not re.fullmatch(LABEL, name):
        yield f"{where}.name", f"Invalid value: {json.dumps(name)}: {LABEL_FAULT}"
    elif name in seen:
        yield f"{where}.name", f"Duplicate value: {json.dumps(name)}"
    seen.add(name)
    if not container.get("image"):
        yield f"{where}.image", "Required value"
    for index, entry in enumerate(container.get("env", ())):
        if not entry.get("name"):
            yield f"{where}.env[{index}].name", "Required value"
    for index, mount in enumerate(container.get("volumeMounts", ())):
        if mount.get("name") not in volumes:
            found = json.dumps(mount.get("name", ""))
            yield f"{where}.volumeMounts[{index}].name", f"Not found: {found}"
        if not mount.get("mountPath"):
            yield f"{where}.volumeMounts[{index}].mountPath", "Required value"


def _fixed(spec: Object) -> Object:
    """The spec without what may be changed."""
    fixed = {name: value for name, value in spec.items() if name not in CHANGEABLE}
    for field in ("containers", "initContainers"):
        if field in fixed:
            fixed[field] = [{**container, "image": ""} for container in fixed[field]]
    return fixed
