"""Validation of the volumes of pods: their paths stay inside, with the messages of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elasticjob.local.api.objects.errors import Violation, bad_value
from elasticjob.local.api.objects.resource import Object

MODE_FAULT = "must be a number between 0 and 0777 (octal), both inclusive"


def volume_faults(where: str, volume: Object) -> Iterator[Violation]:
    """Validate the paths and modes of the files of a volume."""
    for kind in ("configMap", "downwardAPI", "projected"):
        source = volume.get(kind) or {}
        yield from _mode_faults(f"{where}.{kind}.defaultMode", source.get("defaultMode"))
        yield from _source_faults(where, {kind: source})
    for index, part in enumerate((volume.get("projected") or {}).get("sources", ())):
        yield from _source_faults(f"{where}.projected.sources[{index}]", part)
        if "serviceAccountToken" in part:
            path = part["serviceAccountToken"].get("path", "")
            yield from _file_faults(f"{where}.projected.path", path)


def sub_path_faults(where: str, index: int, mount: Object) -> Iterator[Violation]:
    """Validate the subPath or subPathExpr of a mount. Kubernetes names no index for its path."""
    sub_path, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    if sub_path and expression:
        message = "subPathExpr and subPath are mutually exclusive"
        yield f"{where}[{index}].subPathExpr", bad_value(expression, message)
    yield from _descent_faults(f"{where}.subPath", sub_path)
    yield from _descent_faults(f"{where}.subPathExpr", expression)


def _source_faults(where: str, source: Object) -> Iterator[Violation]:
    for index, item in enumerate((source.get("configMap") or {}).get("items") or ()):
        place = f"{where}.configMap.items[{index}]"
        if not item.get("key"):
            yield f"{place}.key", "Required value"
        yield from _file_faults(f"{place}.path", item.get("path", ""))
        yield from _mode_faults(f"{place}.mode", item.get("mode"))
    for item in (source.get("downwardAPI") or {}).get("items") or ():
        yield from _file_faults(f"{where}.downwardAPI.path", item.get("path", ""))
        yield from _mode_faults(f"{where}.downwardAPI.mode", item.get("mode"))


def _file_faults(where: str, path: str) -> Iterator[Violation]:
    """Validate the path of a file. A kubelet's own files begin with `..`."""
    if not path:
        yield where, "Required value"
        return
    yield from _descent_faults(where, path)
    if path.startswith("..") and not path.startswith("../"):
        yield where, bad_value(path, "must not start with '..'")


def _descent_faults(where: str, path: str) -> Iterator[Violation]:
    if path.startswith("/"):
        yield where, bad_value(path, "must be a relative path")
    if ".." in path.split("/"):
        yield where, bad_value(path, "must not contain '..'")


def _mode_faults(where: str, mode: Any) -> Iterator[Violation]:
    if mode is not None and not 0 <= mode <= 0o777:
        yield where, bad_value(mode, MODE_FAULT)
