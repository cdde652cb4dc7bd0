"""Validation of metadata and content of all objects, with the messages of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from elasticjob.local.api.kinds.contents import CONTENT_RULES, no_faults
from elasticjob.local.api.kinds.schema import check
from elasticjob.local.api.objects.builtins import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    NAMESPACES,
    ROLEBINDINGS,
    ROLES,
    SERVICES,
)
from elasticjob.local.api.objects.errors import Violation, bad_value, invalid
from elasticjob.local.api.objects.resource import Object, Resource

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LABEL_FAULT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_FAULT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
VALUE_FAULT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
NAME_PART_FAULT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_NAMED = (NAMESPACES, SERVICES)
FREELY_NAMED = (ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS)
ANNOTATIONS_LIMIT_BYTES = 256 * 1024


def admit(resource: Resource, new: Object, old: Object | None) -> Object:
    """Refuse an object with invalid metadata or content; set the defaults of a custom object."""
    faults = list(metadata_faults(resource, new["metadata"], created=old is None))
    if resource.schema is not None:
        checked = check(resource.schema, new)
        new, faults = checked.object, faults + checked.violations
        if checked.violations and old is not None:
            # Ratcheting: violations of the old object are ignored, because the definition may have
            # become stricter since.
            known = check(resource.schema, old).violations
            faults = [fault for fault in faults if fault not in known]
    else:
        faults += CONTENT_RULES.get(resource.key, no_faults)(new, old)
    if faults:
        raise invalid(resource, new["metadata"]["name"], faults)
    return new


def metadata_faults(resource: Resource, meta: Object, *, created: bool) -> Iterator[Violation]:
    """Validate name, labels, annotations, finalizers and owner references."""
    if created:
        for fault in name_faults(resource, meta["name"]):
            yield "metadata.name", bad_value(meta["name"], fault)
    for key, value in meta.get("labels", {}).items():
        for fault in qualified_name_faults(key):
            yield "metadata.labels", bad_value(key, fault)
        for fault in label_value_faults(value):
            yield "metadata.labels", bad_value(value, fault)
    size = 0
    for key, value in meta.get("annotations", {}).items():
        size += len(key) + len(value.encode())
        for fault in qualified_name_faults(key.lower()):
            yield "metadata.annotations", bad_value(key, fault)
    if size > ANNOTATIONS_LIMIT_BYTES:
        message = f"Too long: may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes"
        yield "metadata.annotations", message
    for index, name in enumerate(meta.get("finalizers", ())):
        for fault in qualified_name_faults(name):
            yield f"metadata.finalizers[{index}]", bad_value(name, fault)
    yield from owner_faults(meta.get("ownerReferences", ()))


def name_faults(resource: Resource, name: str) -> Iterator[str]:
    """Validate a name: a DNS label, a DNS subdomain or, for RBAC, a path segment."""
    if resource in FREELY_NAMED:
        if name in (".", "..") or "/" in name or "%" in name:
            yield "may not be '.' or '..' or contain '/' or '%'"
        return
    limit, pattern, fault = (
        (63, LABEL, LABEL_FAULT) if resource in LABEL_NAMED else (253, SUBDOMAIN, SUBDOMAIN_FAULT)
    )
    if len(name) > limit:
        yield f"must be no more than {limit} characters"
    if not re.fullmatch(pattern, name):
        yield fault


def qualified_name_faults(key: str) -> Iterator[str]:
    """Validate the key of a label or annotation: an optional DNS prefix and slash, and a name."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash and not (len(prefix) <= 253 and re.fullmatch(SUBDOMAIN, prefix)):
        yield f"prefix part {SUBDOMAIN_FAULT}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 characters"
    if not re.fullmatch(QUALIFIED, name):
        yield NAME_PART_FAULT


def label_value_faults(value: str) -> Iterator[str]:
    """Validate the value of a label."""
    if len(value) > 63:
        yield "must be no more than 63 characters"
    if value and not re.fullmatch(QUALIFIED, value):
        yield VALUE_FAULT


def owner_faults(references: Any) -> Iterator[Violation]:
    """Validate owner references: each is complete, and at most one is the controller."""
    for index, owner in enumerate(references):
        where = f"metadata.ownerReferences[{index}]"
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                fault = (
                    "version must not be empty" if field == "apiVersion" else "must not be empty"
                )
                yield f"{where}.{field}", bad_value(owner.get(field, ""), fault)
    controllers = [owner for owner in references if owner.get("controller")]
    if len(controllers) > 1:
        found = " and ".join(f"{owner['kind']}/{owner['name']}" for owner in controllers)
        fault = f"Only one reference can have Controller set to true. Found {found}"
        yield "metadata.ownerReferences", bad_value(references, fault)
