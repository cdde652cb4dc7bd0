"""The environment and command line of a container, as a kubelet computes them. Pure functions.

The environment contains nothing of that of the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node.pod.unsupported import UnsupportedError

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_FIELDS = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "metadata.uid": ("metadata", "uid"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "status.hostIP": ("status", "hostIP"),
    "status.podIP": ("status", "podIP"),
}
_DEFAULTS = {"spec.serviceAccountName": "default"}
_LISTS = {"status.podIPs": "podIPs", "status.hostIPs": "hostIPs"}


def environment(pod: Object, container: Object, base: Mapping[str, str]) -> dict[str, str]:
    """The variables of `base`, overridden by the container's `env`.

    A value may refer to the variables before it.
    """
    found = dict(base)
    for entry in container.get("env", ()):
        found[entry["name"]] = _value(pod, container, entry, found)
    return found


def arguments(container: Object, env: Mapping[str, str]) -> list[str]:
    """The command line: `command` and `args` with expanded references."""
    if not container.get("command"):
        raise UnsupportedError(
            f'container "{container["name"]}": command is required by the local mode, which does '
            "not use images; set command"
        )
    return [expand(text, env) for text in [*container["command"], *container.get("args", ())]]


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the value of a variable, if it exists, and `$$` by a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def field(pod: Object, path: str) -> str | None:
    """The value of a fieldRef, or None if the field is not supported."""
    if subscript := _SUBSCRIPT.fullmatch(path):
        return str((pod["metadata"].get(subscript[1]) or {}).get(subscript[2], ""))
    if path in _LISTS:
        addresses = pod.get("status", {}).get(_LISTS[path], ())
        return ",".join(address["ip"] for address in addresses)
    if path in _FIELDS:
        section, name = _FIELDS[path]
        return str(pod.get(section, {}).get(name) or _DEFAULTS.get(path, ""))
    return None


def _value(pod: Object, container: Object, entry: Object, env: Mapping[str, str]) -> str:
    source: Mapping[str, Any] | None = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value", "")), env)
    where = f'container "{container["name"]}": env {entry["name"]}'
    if "fieldRef" not in source:
        raise UnsupportedError(
            f"{where}: {next(iter(source))} is not supported by the local mode;"
            " use value or fieldRef"
        )
    path = source["fieldRef"].get("fieldPath", "")
    value = field(pod, path)
    if value is None:
        fields = ", ".join([*_FIELDS, *_LISTS])
        raise UnsupportedError(f"{where}: fieldRef {path!r} is not supported; use one of {fields}")
    return value
