"""What a pod may ask for and does not get here: refused by name, or left out and said so."""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.local.api.objects.resource import Object

VOLUME_KINDS = ("emptyDir", "configMap", "projected", "downwardAPI")
PROJECTED_KINDS = ("serviceAccountToken", "configMap", "downwardAPI")
_IGNORED_IN_POD = (
    "affinity",
    "nodeSelector",
    "hostNetwork",
    "securityContext",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "schedulingGates",
    "activeDeadlineSeconds",
)
_IGNORED_IN_CONTAINER = (
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "resources",
    "securityContext",
)


class UnsupportedError(Exception):
    """The pod cannot be run here. The text names the field and the cure."""


def refuse(pod: Object) -> None:
    """Raise UnsupportedError for what would make the pod something else than its author wrote."""
    spec = pod["spec"]
    for volume in spec.get("volumes", ()):
        _refuse_volume(volume)
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in containers(spec):
        _refuse_container(container, volumes)


def ignored(pod: Object) -> list[str]:
    """The fields that have no effect here, though the pod runs without them."""
    spec = pod["spec"]
    found = [f"spec.{name}" for name in _IGNORED_IN_POD if spec.get(name)]
    found += [
        f"{container['name']}.{name}"
        for container in containers(spec)
        for name in _IGNORED_IN_CONTAINER
        if container.get(name)
    ]
    return found


def containers(spec: Object) -> list[Object]:
    """The init containers, then the others."""
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def kind_of(volume: Object) -> str:
    """The one key of a volume that is not its name. A volume without a source is an emptyDir."""
    return next((key for key in volume if key != "name"), "emptyDir")


def _refuse_volume(volume: Object) -> None:
    where, kind = f'volume "{volume["name"]}"', kind_of(volume)
    if kind not in VOLUME_KINDS:
        raise UnsupportedError(f"{where}: {_not_here(kind, VOLUME_KINDS)}")
    if kind == "projected":
        for source in volume["projected"].get("sources", ()):
            projected = next(iter(source), "")
            if projected not in PROJECTED_KINDS:
                raise UnsupportedError(
                    f"{where}: projected {_not_here(projected, PROJECTED_KINDS)}"
                )


def _refuse_container(container: Object, volumes: set[str]) -> None:
    for fault in _faults(container, volumes):
        raise UnsupportedError(f'container "{container["name"]}": {fault}')


def _faults(container: Object, volumes: set[str]) -> Iterator[str]:
    if container.get("restartPolicy"):
        yield "restartPolicy is not supported here; make it one of spec.containers"
    if container.get("envFrom"):
        yield "envFrom is not supported here; list the variables under env"
    if container.get("volumeDevices"):
        yield "volumeDevices is not supported here"
    for mount in container.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            yield f'volumeMounts: there is no volume "{mount["name"]}"'
        if mount.get("subPathExpr"):
            where = f"volumeMounts {mount['mountPath']}"
            yield f"{where}: subPathExpr is not supported here; use subPath"
        if ".." in str(mount.get("subPath", "")).split("/"):
            yield f'volumeMounts {mount["mountPath"]}: subPath must not contain ".."'


def _not_here(kind: str, kinds: tuple[str, ...]) -> str:
    return f"{kind} is not supported here, only {', '.join(kinds)}; for more use a cluster"
