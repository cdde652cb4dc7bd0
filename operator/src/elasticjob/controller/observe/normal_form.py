"""One form for all notations of a pod's spec that mean the same. Pure.

The order of keys, quantities (`1000m` is 1), defaults that are written out, nulls and empty values
do not count. The order of lists does: a variable may refer to the ones before it.
"""

from __future__ import annotations

from typing import Any

from elasticjob.controller.observe.pod_defaults import POD_SPEC, QUANTITY, Fields
from elasticjob.controller.observe.quantity import amount
from elasticjob.wire.codec import Json

_ANY = Fields()
_EMPTY: tuple[object, ...] = (None, "", [], {})


def pod_spec(spec: Json) -> Json:
    """The spec of a pod without all that does not change its meaning."""
    return _object(spec, POD_SPEC)


def _value(value: Any, fields: Fields) -> Any:
    if isinstance(value, dict):
        return _object(value, fields)
    if isinstance(value, list):
        return [_value(each, fields) for each in value]
    if fields.has_quantities:
        return amount(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _object(value: Json, fields: Fields) -> Json:
    if fields.keeps_keys:
        of_value = QUANTITY if fields.has_quantities else _ANY
        return {key: _value(each, of_value) for key, each in value.items()}
    found = {}
    for key, each in value.items():
        inner = fields.inside.get(key, _ANY)
        plain = _value(each, inner)
        counts = plain not in _EMPTY or (key in fields.counts_empty and plain is not None)
        if counts and (key not in fields.defaults or plain != fields.defaults[key]):
            found[key] = plain
    return fields.without_dependent(found)
