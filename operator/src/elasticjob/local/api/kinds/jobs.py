"""The ElasticJob resource on this server: its definition, and its rules in CEL's place."""

from __future__ import annotations

from collections.abc import Sequence

from elasticjob.api.crd import custom_resource_definition
from elasticjob.api.rules import RULES, violations
from elasticjob.local.api.objects.errors import invalid
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Admission
from elasticjob.wire.names import GROUP, PLURAL

WORDS = {
    "FieldValueInvalid": 'Invalid value: "object"',
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
}
"""How a real server begins the message of a CEL rule, by the reason that the rule gives."""
REASONS = {(rule.path, rule.message): rule.reason for rule in RULES}


def definitions() -> Sequence[Object]:
    """What is installed on a cluster by the chart."""
    return [custom_resource_definition()]


def admission() -> Sequence[Admission]:
    """What the store asks before a write, beyond what it knows of every resource."""
    return [admit]


def admit(resource: Resource, new: Object, old: Object | None) -> Object:
    """Refuse a job that breaks a rule. It has passed the schema."""
    if resource.key != (GROUP, PLURAL):
        return new
    faults = [
        (field, f"{WORDS[REASONS[field, message]]}: {message}")
        for field, message in violations(new, old)
    ]
    if faults:
        raise invalid(resource, new["metadata"]["name"], faults)
    return new
