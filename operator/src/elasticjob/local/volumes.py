"""A pod's volumes as directories, filled once when the pod starts.

Of the kinds that a pod of ours uses: emptyDir, configMap, projected and downwardAPI. What else
there is has been refused before (`unsupported`). Nothing is read-only, and sizes are not limited.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elasticjob.local.paths import PathMap
from elasticjob.local.pod_env import field
from elasticjob.local.resource import Object
from elasticjob.local.unsupported import UnsupportedError, kind_of

DEFAULT_MODE = 0o644
DEFAULT_EXPIRATION_S = 3600


class NotReadyError(Exception):
    """Something that a volume is made from is not there; the pod waits for it, as on a cluster."""


@dataclass(frozen=True)
class Sources:
    """Where contents come from: a ConfigMap of the pod's namespace by name, a token by lifetime."""

    config_map: Callable[[str], Object | None]
    token: Callable[[int], str]


@dataclass(frozen=True)
class File:
    """One file of a volume, by its path below the volume's directory."""

    path: str
    content: bytes
    mode: int


def create(pod: Object, home: Path, sources: Sources) -> dict[str, Path]:
    """Make every volume of the pod below `home`; the directories by volume name."""
    volumes = pod["spec"].get("volumes", ())
    contents = {volume["name"]: list(files(volume, pod, sources)) for volume in volumes}
    for name, found in contents.items():
        directory = home / name
        directory.mkdir(parents=True, exist_ok=True)
        for file in found:
            write(directory, file)
    return {name: home / name for name in contents}


def files(volume: Object, pod: Object, sources: Sources) -> Iterator[File]:
    """What a volume holds at the start."""
    kind = kind_of(volume)
    source = volume.get(kind) or {}
    mode = source.get("defaultMode", DEFAULT_MODE)
    if kind == "configMap":
        yield from _config_map(source, mode, sources)
    elif kind == "downwardAPI":
        yield from _downward(source, mode, pod)
    elif kind == "projected":
        for part in source.get("sources", ()):
            yield from _projected(part, mode, pod, sources)


def token_lifetime_s(pod: Object) -> int | None:
    """The shortest life of the pod's tokens, or None when it has none."""
    lifetimes = [
        part["serviceAccountToken"].get("expirationSeconds", DEFAULT_EXPIRATION_S)
        for _, parts in _projections(pod)
        for part in parts
        if "serviceAccountToken" in part
    ]
    return min(lifetimes, default=None)


def renew_tokens(pod: Object, home: Path, sources: Sources) -> None:
    """Write the pod's tokens anew; each file is replaced at once, so no reader sees half of one."""
    for name, parts in _projections(pod):
        for part in parts:
            if "serviceAccountToken" in part:
                for file in _projected(part, DEFAULT_MODE, pod, sources):
                    write(home / name, file)


def path_map(
    container: Object, directories: dict[str, Path], termination: tuple[str, Path]
) -> PathMap:
    """The container's paths: its mounts, and the file of its termination message."""
    mounts = [
        (mount["mountPath"], directories[mount["name"]] / mount.get("subPath", ""))
        for mount in container.get("volumeMounts", ())
    ]
    return PathMap.of([*mounts, termination])


def make_sub_paths(container: Object, directories: dict[str, Path]) -> None:
    """A subPath that is not there yet is made as a directory, as a kubelet does."""
    for mount in container.get("volumeMounts", ()):
        real = directories[mount["name"]] / mount.get("subPath", "")
        if not real.exists():
            real.mkdir(parents=True)


def write(directory: Path, file: File) -> None:
    """Put a file in its place in one step."""
    place = directory / file.path
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(file.content)
        os.fchmod(opened.fileno(), file.mode)
    new.replace(place)


def _projections(pod: Object) -> Iterator[tuple[str, list[Object]]]:
    for volume in pod["spec"].get("volumes", ()):
        if kind_of(volume) == "projected":
            yield volume["name"], volume["projected"].get("sources", [])


def _projected(part: Object, mode: int, pod: Object, sources: Sources) -> Iterator[File]:
    if "configMap" in part:
        yield from _config_map(part["configMap"], mode, sources)
    elif "downwardAPI" in part:
        yield from _downward(part["downwardAPI"], mode, pod)
    else:
        wanted = part["serviceAccountToken"]
        lifetime_s = wanted.get("expirationSeconds", DEFAULT_EXPIRATION_S)
        yield File(wanted["path"], sources.token(lifetime_s).encode(), mode)


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
            yield File(_inside(item["path"]), contents[item["key"]], item.get("mode", mode))
        elif not source.get("optional"):
            raise NotReadyError(f'configmap "{source["name"]}" has no key "{item["key"]}"')


def _all_of(contents: Iterable[str]) -> list[Object]:
    return [{"key": key, "path": key} for key in contents]


def _downward(source: Object, mode: int, pod: Object) -> Iterator[File]:
    for item in source.get("items", ()):
        value = field(pod, item.get("fieldRef", {}).get("fieldPath", ""))
        if value is None:
            raise UnsupportedError(
                f"downwardAPI {item['path']}: only fieldRefs that env knows are supported"
            )
        yield File(_inside(item["path"]), value.encode(), item.get("mode", mode))


def _inside(path: str) -> str:
    """A relative path that stays in its volume."""
    if path.startswith("/") or ".." in path.split("/"):
        raise UnsupportedError(
            f'volume item path {path!r} must be relative and must not contain ".."'
        )
    return path
