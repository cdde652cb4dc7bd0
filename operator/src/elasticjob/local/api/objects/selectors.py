"""Label and field selectors, parsed into predicates on objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from elasticjob.local.api.objects.errors import bad_request
from elasticjob.local.api.objects.resource import Object, Resource

Match = Callable[[Object], bool]

KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^()]*\))")
REQUIREMENTS = [
    (re.compile(rf"({KEY})\s+(in|notin)\s*\(([^()]*)\)"), None),
    (re.compile(rf"({KEY})\s*!=\s*({VALUE})"), "notin"),
    (re.compile(rf"({KEY})\s*==?\s*({VALUE})"), "in"),
    (re.compile(rf"!\s*({KEY})"), "absent"),
    (re.compile(KEY), "present"),
]
FIELD = re.compile(r"([\w.]+)\s*(==|=|!=)\s*(.*)")


def match_all(obj: Object) -> bool:
    """Match every object, as an empty selector does."""
    return True


def labels(text: str) -> Match:
    """Parse `a=b,c!=d,e in (f,g),h notin (i),j,!k`. An absent label satisfies `!=` and `notin`."""
    if not text:
        return match_all
    tests = [_label_test(part.strip()) for part in COMMA_OUTSIDE_PARENTHESES.split(text)]

    def match(obj: Object) -> bool:
        found = obj["metadata"].get("labels") or {}
        return all(test(found) for test in tests)

    return match


def fields(text: str, resource: Resource) -> Match:
    """Parse `metadata.name=a,status.phase!=b`, with the selectable fields of the resource."""
    if not text:
        return match_all
    tests = [_field_test(part.strip(), resource, text) for part in text.split(",")]
    return lambda obj: all(test(obj) for test in tests)


def exact_name(text: str) -> str | None:
    """The only name that a field selector matches, or None.

    Authorization uses it as the name in the request, so that `resourceNames` applies to watches.
    Watches are indexed by it.
    """
    for part in text.split(","):
        parsed = FIELD.fullmatch(part.strip())
        if parsed and parsed[1] == "metadata.name" and parsed[2] != "!=":
            return parsed[3]
    return None


def value_at(obj: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _label_test(part: str) -> Callable[[Object], bool]:
    for pattern, operator in REQUIREMENTS:
        parsed = pattern.fullmatch(part)
        if parsed is None:
            continue
        if operator is None:
            values = {value.strip() for value in parsed[3].split(",")}
            return _membership(parsed[1], values, wanted=parsed[2] == "in")
        if operator in ("in", "notin"):
            return _membership(parsed[1], {parsed[2]}, wanted=operator == "in")
        key = parsed[1] if operator == "absent" else parsed[0]
        return lambda found: (key in found) == (operator == "present")
    raise bad_request(f'unable to parse requirement: "{part}" (labelSelector)')


def _membership(key: str, values: set[str], *, wanted: bool) -> Callable[[Object], bool]:
    if wanted:
        return lambda found: found.get(key) in values
    return lambda found: found.get(key) not in values


def _field_test(part: str, resource: Resource, whole: str) -> Match:
    parsed = FIELD.fullmatch(part)
    if parsed is None:
        raise bad_request(f"invalid selector: '{whole}'; can't understand '{part}'")
    field, wanted, value = parsed[1], parsed[2] != "!=", parsed[3]
    if field not in ("metadata.name", "metadata.namespace", *resource.selectable):
        raise bad_request(
            f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match '
            f'label selector "", field selector "{whole}": field label not supported: {field}'
        )
    return lambda obj: (_text(value_at(obj, field)) == value) == wanted


def _text(value: Any) -> str:
    """The value of a field in a selector: empty if absent, booleans as in JSON."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
