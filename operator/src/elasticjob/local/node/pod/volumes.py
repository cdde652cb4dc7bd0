"""The volumes of a pod as directories, which are written once when the pod starts.

Supports emptyDir, configMap, projected and downwardAPI; `unsupported` refuses other kinds. Volumes
are neither read-only nor limited in size.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node.pod.env import field
from elasticjob.local.node.pod.paths import PathMap
from elasticjob.local.node.pod.unsupported import UnsupportedError, containers, volume_kind

DEFAULT_MODE = 0o644
TERMINATION_PATH = "/dev/termination-log"


class NotReadyError(Exception):
    """A source of a volume does not exist yet; the pod waits for it, as on a cluster."""


@dataclass(frozen=True)
class Sources:
    """The sources of the contents of volumes."""

    config_map: Callable[[str], Object | None]  # a ConfigMap of the pod's namespace, by name
    token: Callable[[], str | None]  # valid as long as the pod exists; None without an account


@dataclass(frozen=True)
class File:
    """One file of a volume."""

    path: str  # below the directory of the volume
    content: bytes
    mode: int


def create(pod: Object, directory: Path, sources: Sources) -> None:
    """Create every volume of the pod as a directory of its name below `directory`."""
    declared = pod["spec"].get("volumes", ())
    contents = {volume["name"]: _contents(volume, pod, sources) for volume in declared}
    for name, found in contents.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        for file in found:
            _write(directory / name, file)
    for container in containers(pod["spec"]):
        for _, real in _mounts(container, directory):
            if not real.exists():  # a subPath: a kubelet creates a directory for it
                real.mkdir(parents=True)


def _contents(volume: Object, pod: Object, sources: Sources) -> list[File]:
    try:
        return list(files(volume, pod, sources))
    except NotReadyError as error:
        where = f'volume "{volume["name"]}"'
        raise NotReadyError(f"MountVolume.SetUp failed for {where} : {error}") from None


def files(volume: Object, pod: Object, sources: Sources) -> Iterator[File]:
    """The initial files of a volume."""
    kind = volume_kind(volume)
    source = volume.get(kind) or {}
    mode = source.get("defaultMode", DEFAULT_MODE)
    if kind == "configMap":
        yield from _config_map(source, mode, sources)
    elif kind == "downwardAPI":
        yield from _downward(source, mode, pod)
    elif kind == "projected":
        for part in source.get("sources", ()):
            yield from _projected(part, mode, pod, sources)


def path_map(container: Object, directory: Path, message: Path) -> PathMap:
    """The real paths of the mounts and of the termination message of a container."""
    termination = (container.get("terminationMessagePath", TERMINATION_PATH), message)
    return PathMap.of([*_mounts(container, directory), termination])


def _mounts(container: Object, directory: Path) -> list[tuple[str, Path]]:
    return [
        (mount["mountPath"], _below(directory / mount["name"], mount.get("subPath", "")))
        for mount in container.get("volumeMounts", ())
    ]


def _write(directory: Path, file: File) -> None:
    place = _below(directory, file.path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.content)
    place.chmod(file.mode)


def _projected(part: Object, mode: int, pod: Object, sources: Sources) -> Iterator[File]:
    if "configMap" in part:
        yield from _config_map(part["configMap"], mode, sources)
    elif "downwardAPI" in part:
        yield from _downward(part["downwardAPI"], mode, pod)
    else:
        if (token := sources.token()) is None:
            account = pod["spec"].get("serviceAccountName", "default")
            raise NotReadyError(f'serviceaccount "{account}" not found')
        yield File(part["serviceAccountToken"]["path"], token.encode(), mode)


def _config_map(source: Object, mode: int, sources: Sources) -> Iterator[File]:
    found = sources.config_map(source["name"])
    if found is None:
        if source.get("optional"):
            return
        raise NotReadyError(f'configmap "{source["name"]}" not found')
    contents = {key: text.encode() for key, text in (found.get("data") or {}).items()}
    for key, text in (found.get("binaryData") or {}).items():
        contents[key] = base64.b64decode(text)
    for item in source.get("items") or _all_of(contents):
        if item["key"] in contents:
            yield File(item["path"], contents[item["key"]], item.get("mode", mode))
        elif not source.get("optional"):
            raise NotReadyError(f'configmap "{source["name"]}" has no key "{item["key"]}"')


def _all_of(contents: Iterable[str]) -> list[Object]:
    return [{"key": key, "path": key} for key in contents]


def _downward(source: Object, mode: int, pod: Object) -> Iterator[File]:
    for item in source.get("items", ()):
        value = field(pod, item.get("fieldRef", {}).get("fieldPath", ""))
        if value is None:
            raise UnsupportedError(
                f"downwardAPI {item['path']}: not supported; use a fieldRef that env supports"
            )
        yield File(item["path"], value.encode(), item.get("mode", mode))


def _below(directory: Path, path: str) -> Path:
    """A path in a volume. Raises UnsupportedError if it leaves the volume."""
    if path.startswith("/") or ".." in path.split("/"):
        raise UnsupportedError(
            f'volume "{directory.name}": {path!r} must be relative and must not contain ".."'
        )
    return directory / path
