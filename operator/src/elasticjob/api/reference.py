"""The API reference docs/api.md, generated from the CRD; `python -m` prints it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from elasticjob.api.conditions import CONDITIONS
from elasticjob.api.crd import custom_resource_definition
from elasticjob.api.rules import RULES
from elasticjob.wire import names
from elasticjob.wire.codec import Json

_QUOTE = '"'
_HEAD = f"""\
<!-- Generated from operator/src/elasticjob/api by `make generate`. Do not edit. -->
# The ElasticJob resource

`apiVersion: {names.API_VERSION}`, `kind: {names.KIND}`; short name `{names.SHORT_NAME}`.
`kubectl explain {names.SINGULAR}.spec` prints the same descriptions.
"""


def as_markdown() -> str:
    """The API reference as the text of the committed file."""
    version = custom_resource_definition()["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [
        f"{_HEAD}\n{schema['description']}\n",
        *_sections("spec", schema["properties"]["spec"]),
        _rules(),
        *_sections("status", schema["properties"]["status"]),
        _conditions(),
        _columns(version["additionalPrinterColumns"]),
    ]
    return "\n".join(parts)


def _sections(path: str, node: Json) -> Iterator[str]:
    """One section with a table of fields per object, an object before those that it contains."""
    required = node.get("required", [])
    rows = [
        f"| `{name}` | {_type(child)} | {_default(child, name in required)} |"
        f" {child['description']} |\n"
        for name, child in node["properties"].items()
    ]
    head = "| field | type | default | description |\n|---|---|---|---|\n"
    rest = "\nAll other fields are kept unchanged.\n" if _keeps_unknown(node) else ""
    yield f"## {path}\n\n{node['description']}\n\n{head}{''.join(rows)}{rest}"
    for name, child in node["properties"].items():
        inner = child.get("items", child)
        if "properties" in inner:
            yield from _sections(f"{path}.{name}{'[]' if inner is not child else ''}", inner)


def _keeps_unknown(node: Json) -> bool:
    return bool(node.get("x-kubernetes-preserve-unknown-fields", False))


def _type(node: Json) -> str:
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}s"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}s"
    if node.get("format") == "date-time":
        return "time"
    return f"{node['type']}{_range(node)}"


def _range(node: Json) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None:
        return ""
    return f", {low} to {high}" if high is not None else f", at least {low}"


def _default(node: Json, required: bool) -> str:
    if required:
        return "required"
    return f"`{json.dumps(node['default']).strip(_QUOTE)}`" if "default" in node else ""


def _rules() -> str:
    rows = "".join(f"| `{rule.path}` | {rule.message} |\n" for rule in RULES)
    return (
        "## Validation\n\n"
        "The API server applies these rules to each write, the operator to each stored job.\n\n"
        f"| field | message |\n|---|---|\n{rows}\n"
        "A launcher is refused only when a job is created or its `template` or `containerName`"
        " changes: a job that is already stored with a launcher still runs. See"
        " [launchers.md](launchers.md).\n"
    )


def _conditions() -> str:
    rows = "".join(
        f"| **{type_}** | True | {found.true} |\n"
        + "".join(f"| | `{reason}` | {when} |\n" for reason, when in found.reasons.items())
        for type_, found in CONDITIONS.items()
    )
    return (
        "## Conditions\n\n"
        "The reasons of each type, for programs. PodsReady, Degraded, Restarting and Stalled may"
        " also have a reason of the kubelet, such as `ImagePullBackOff`. If the job waits for a"
        " time, the message contains this time in UTC.\n\n"
        f"| condition | reason | when |\n|---|---|---|\n{rows}"
    )


def _columns(columns: list[Json]) -> str:
    rows = "".join(
        f"| {column['name'].upper()} | `{column['jsonPath']}` |"
        f" {'with `-o wide`' if 'priority' in column else ''} |\n"
        for column in columns
    )
    return f"## Columns of `kubectl get`\n\n| column | field | shown |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    print(as_markdown(), end="")
