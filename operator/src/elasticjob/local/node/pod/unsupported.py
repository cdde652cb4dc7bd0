"""Fields of pods that the local mode does not support: refused, or ignored with an event."""

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
    """The local mode cannot run the pod. The text names the field and the cure."""


def check_supported(pod: Object) -> None:
    """Raise UnsupportedError for a field without which the pod would behave differently."""
    spec = pod["spec"]
    for volume in spec.get("volumes", ()):
        _check_volume(volume)
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in containers(spec):
        _check_container(container, volumes)


def ignored_fields(pod: Object) -> list[str]:
    """The fields of the pod that have no effect in the local mode."""
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
    """The init containers and the containers of a pod."""
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def volume_kind(volume: Object) -> str:
    """The kind of a volume, which is its key other than name. The default is emptyDir."""
    return next((key for key in volume if key != "name"), "emptyDir")


def _check_volume(volume: Object) -> None:
    where, kind = f'volume "{volume["name"]}"', volume_kind(volume)
    if kind not in VOLUME_KINDS:
        raise UnsupportedError(f"{where}: {_unsupported(kind, VOLUME_KINDS)}")
    if kind == "projected":
        for source in volume["projected"].get("sources", ()):
            projected = next(iter(source), "")
            if projected not in PROJECTED_KINDS:
                raise UnsupportedError(
                    f"{where}: projected {_unsupported(projected, PROJECTED_KINDS)}"
                )


def _check_container(container: Object, volumes: set[str]) -> None:
    for fault in _faults(container, volumes):
        raise UnsupportedError(f'container "{container["name"]}": {fault}')


def _faults(container: Object, volumes: set[str]) -> Iterator[str]:
    if container.get("restartPolicy"):
        yield "restartPolicy is not supported by the local mode; move it to spec.containers"
    if container.get("envFrom"):
        yield "envFrom is not supported by the local mode; list the variables in env"
    if container.get("volumeDevices"):
        yield "volumeDevices is not supported by the local mode; use a cluster"
    for mount in container.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            yield f'volumeMounts: there is no volume "{mount["name"]}"; add it to spec.volumes'
        if mount.get("subPathExpr"):
            where = f"volumeMounts {mount['mountPath']}"
            yield f"{where}: subPathExpr is not supported by the local mode; use subPath"


def _unsupported(kind: str, kinds: tuple[str, ...]) -> str:
    return f"{kind} is not supported by the local mode; use {', '.join(kinds)}, or a cluster"
