"""The CustomResourceDefinition, generated from models and rules; `python -m` prints it as YAML."""

from __future__ import annotations

import copy
from functools import cache

import yaml

from elasticjob.api.rules import RULES, ValidationRule
from elasticjob.api.schema import structural
from elasticjob.api.v1alpha1 import ElasticJob
from elasticjob.wire import names
from elasticjob.wire.codec import Json

CATEGORY = "training"
UNSEEN = "Pending: waiting for an operator"
# name, type, path, whether only `kubectl get -o wide` shows it
_COLUMNS = (
    ("Status", "string", ".status.phase", False),
    ("Ready", "string", ".status.ready", False),
    ("Min", "integer", ".status.minReplicas", False),
    ("Max", "integer", ".status.maxReplicas", False),
    ("Round", "integer", ".status.round", False),
    ("Restarts", "integer", ".status.restarts", False),
    ("Age", "date", ".metadata.creationTimestamp", False),
    ("Counted", "integer", ".status.counted", True),
    ("Step", "integer", ".status.progress.step", True),
    ("Recovery-Millis", "integer", ".status.lastRecovery.totalMillis", True),
    ("Last-Failure", "string", ".status.lastFailure.reason", True),
)


def custom_resource_definition() -> Json:
    """The CustomResourceDefinition as it is applied to a cluster; a new copy for each caller."""
    return copy.deepcopy(_definition())


def as_yaml() -> str:
    """The CustomResourceDefinition as the text of the committed file."""
    head = "# Generated from operator/src/elasticjob/api by `make generate`. Do not edit.\n"
    return head + yaml.safe_dump(
        custom_resource_definition(), sort_keys=False, width=100, allow_unicode=True
    )


@cache
def _definition() -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [CATEGORY],
            },
            "versions": [_version()],
        },
    }


def _version() -> Json:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
    }


def _schema() -> Json:
    schema = structural(ElasticJob)
    # The API server validates metadata.name itself; a rule may name a field of the schema only.
    name = {"type": "string", "maxLength": 253}
    metadata = {"type": "object", "properties": {"name": name}}
    schema["properties"] = {"metadata": metadata, **schema["properties"]}
    # STATUS of a job that no operator has seen. The API server shows it, and stores nothing.
    schema["properties"]["status"]["default"] = {"phase": UNSEEN}
    schema["x-kubernetes-validations"] = _validations("")
    schema["properties"]["spec"]["x-kubernetes-validations"] = _validations("spec")
    return schema


def _validations(scope: str) -> list[Json]:
    return [
        {
            **_cel(rule),
            "message": rule.message,
            "reason": rule.reason,
            "fieldPath": f".{rule.field}",
        }
        for rule in RULES
        if rule.scope == scope
    ]


def _cel(rule: ValidationRule) -> Json:
    """The rule in CEL. The API server itself skips a rule only if its whole scope is unchanged."""
    if not rule.unchanged_cel:
        return {"rule": rule.cel}
    passes = f"oldSelf.hasValue() && {rule.unchanged_cel} || {rule.cel}"
    return {"rule": passes, "optionalOldSelf": True}


def _column(name: str, type_: str, path: str, wide: bool) -> Json:
    return {"name": name, "type": type_, "jsonPath": path, **({"priority": 1} if wide else {})}


if __name__ == "__main__":
    print(as_yaml(), end="")
