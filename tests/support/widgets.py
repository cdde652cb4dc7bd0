"""A CustomResourceDefinition that uses every feature the contract tests cover."""

from __future__ import annotations

from typing import Any

from elasticjob.api.crd import custom_resource_definition

WIDGET: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.contract.example"},
    "spec": {
        "group": "contract.example",
        "scope": "Namespaced",
        "names": {
            "plural": "widgets",
            "singular": "widget",
            "kind": "Widget",
            "shortNames": ["wi"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
                "additionalPrinterColumns": [
                    {"name": "Want", "type": "integer", "jsonPath": ".spec.replicas"},
                    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    {
                        "name": "Done",
                        "type": "string",
                        "priority": 1,
                        "jsonPath": '.status.conditions[?(@.type=="Complete")].status',
                    },
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["command"],
                                "properties": {
                                    "replicas": {
                                        "type": "integer",
                                        "minimum": 0,
                                        "maximum": 10,
                                        "default": 2,
                                    },
                                    "command": {
                                        "type": "array",
                                        "minItems": 1,
                                        "maxItems": 3,
                                        "items": {"type": "string", "minLength": 1},
                                    },
                                    "policy": {
                                        "type": "string",
                                        "enum": ["Never", "OnFailure"],
                                        "default": "Never",
                                    },
                                    "code": {
                                        "type": "string",
                                        "maxLength": 4,
                                        "pattern": "^[a-z]*$",
                                    },
                                    "port": {"x-kubernetes-int-or-string": True},
                                    "template": {
                                        "type": "object",
                                        "x-kubernetes-preserve-unknown-fields": True,
                                    },
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {
                                    "phase": {"type": "string"},
                                    "replicas": {"type": "integer"},
                                    "selector": {"type": "string"},
                                    "conditions": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "x-kubernetes-preserve-unknown-fields": True,
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}


def widget_object(name: str = "w", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "contract.example/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"command": ["true"], **spec},
    }


def jobs_path(namespace: str | None = None) -> str:
    spec = custom_resource_definition()["spec"]
    root = f"/apis/{spec['group']}/{spec['versions'][0]['name']}"
    return f"{root}/namespaces/{namespace}/elasticjobs" if namespace else f"{root}/elasticjobs"
