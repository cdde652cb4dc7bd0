"""Validation of the content of simple built-in objects, with the messages of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from elasticjob.local.api.objects.builtins import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CONFIGMAPS,
    EVENTS,
    LEASES,
    ROLEBINDINGS,
    ROLES,
)
from elasticjob.local.api.objects.errors import Violation, bad_value
from elasticjob.local.api.objects.resource import Key, Object

ContentRule = Callable[[Object, Object | None], Iterable[Violation]]
"""Returns the violations of an object, given as (new, old). `old` is None for a creation."""

CONFIG_KEY = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
CONFIG_LIMIT_BYTES = 1024 * 1024
IMMUTABLE = "field is immutable when `immutable` is set"


def no_faults(new: Object, old: Object | None) -> Iterable[Violation]:
    """Return no violations: the resource has no rule."""
    return ()


def lease_faults(new: Object, old: Object | None) -> Iterator[Violation]:
    """Validate the two numbers of a Lease."""
    spec = new.get("spec", {})
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        yield "spec.leaseDurationSeconds", bad_value(seconds, "must be greater than 0")
    if transitions is not None and transitions < 0:
        yield "spec.leaseTransitions", bad_value(transitions, "must be greater than or equal to 0")


def configmap_faults(new: Object, old: Object | None) -> Iterator[Violation]:
    """Validate keys, size and immutability of a ConfigMap."""
    text, binary = new.get("data", {}), new.get("binaryData", {})
    for field, content in (("data", text), ("binaryData", binary)):
        for key in content:
            if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) or key in (".", ".."):
                yield f"{field}[{key}]", bad_value(key, CONFIG_KEY)
    for key in set(text) & set(binary):
        yield f"data[{key}]", bad_value(key, "duplicate of key present in binaryData")
    size = sum(len(value.encode()) for value in text.values())
    size += sum(len(value) * 3 // 4 - value.count("=", -2) for value in binary.values())
    if size > CONFIG_LIMIT_BYTES:
        yield "[]", f"Too long: may not be more than {CONFIG_LIMIT_BYTES} bytes"
    if old is not None and old.get("immutable"):
        yield from _changes_of_immutable(new, old)


def event_faults(new: Object, old: Object | None) -> Iterator[Violation]:
    """Validate the namespace of an Event and, if it has an eventTime, its reporter."""
    namespace = new["metadata"]["namespace"]
    involved = new.get("involvedObject", {}).get("namespace", "")
    recent = bool(new.get("eventTime"))
    elsewhere = involved != namespace and not (recent and involved)
    cluster_wide = ("default", "kube-system" if recent else "default")
    if elsewhere and (involved or namespace not in cluster_wide):
        yield "involvedObject.namespace", bad_value(involved, "does not match event.namespace")
    if recent:
        for field in ("reportingComponent", "reportingInstance", "action", "reason"):
            if not new.get(field):
                yield field, "Required value"


def role_faults(new: Object, old: Object | None) -> Iterator[Violation]:
    """Validate that each rule of a Role has verbs, groups and resources."""
    for index, rule in enumerate(new.get("rules", ())):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            yield f"{where}.verbs", "Required value: verbs must contain at least one value"
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            message = "Required value: resource rules must supply at least one api group"
            yield f"{where}.apiGroups", message
        if not rule.get("resources"):
            message = "Required value: resource rules must supply at least one resource"
            yield f"{where}.resources", message


def binding_faults(new: Object, old: Object | None) -> Iterator[Violation]:
    """Validate the subjects of a binding, and that its role does not change."""
    role = new.get("roleRef", {})
    if not role.get("name"):
        yield "roleRef.name", "Required value"
    if old is not None and role != old.get("roleRef"):
        yield "roleRef", bad_value(role, "cannot change roleRef")
    for index, subject in enumerate(new.get("subjects", ())):
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            yield f"subjects[{index}].namespace", "Required value"


CONTENT_RULES: Mapping[Key, ContentRule] = {
    LEASES.key: lease_faults,
    CONFIGMAPS.key: configmap_faults,
    EVENTS.key: event_faults,
    ROLES.key: role_faults,
    CLUSTERROLES.key: role_faults,
    ROLEBINDINGS.key: binding_faults,
    CLUSTERROLEBINDINGS.key: binding_faults,
}


def _changes_of_immutable(new: Object, old: Object) -> Iterator[Violation]:
    if not new.get("immutable"):
        yield "immutable", f"Forbidden: {IMMUTABLE}"
    for field in ("data", "binaryData"):
        if new.get(field) != old.get(field):
            yield field, f"Forbidden: {IMMUTABLE}"
