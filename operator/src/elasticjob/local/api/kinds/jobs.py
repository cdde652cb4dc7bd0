"""The definition of ElasticJob on this server, and its rules in Python instead of CEL."""

from __future__ import annotations

from collections.abc import Sequence

from elasticjob.api.crd import custom_resource_definition
from elasticjob.api.rules import RULES, violations
from elasticjob.local.api.objects.errors import invalid
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Admission
from elasticjob.wire.names import GROUP, PLURAL

MESSAGE_STARTS = {
    "FieldValueInvalid": 'Invalid value: "object"',
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
}
"""The beginning of the message of a CEL rule on a real server, by the reason of the rule."""
REASONS = {(rule.path, rule.message): rule.reason for rule in RULES}


def definitions() -> Sequence[Object]:
    """The definitions that the Helm chart installs on a cluster."""
    return [custom_resource_definition()]


def admission() -> Sequence[Admission]:
    """The admission of ElasticJobs."""
    return [admit]


def admit(resource: Resource, new: Object, old: Object | None) -> Object:
    """Refuse a job that violates a rule. It has already passed the schema."""
    if resource.key != (GROUP, PLURAL):
        return new
    faults = [
        (field, f"{MESSAGE_STARTS[REASONS[field, message]]}: {message}")
        for field, message in violations(new, old)
    ]
    if faults:
        raise invalid(resource, new["metadata"]["name"], faults)
    return new
