"""Query parameters, parsed as Go parses them."""

from __future__ import annotations

from collections.abc import Mapping

from elasticjob.local.api.objects.errors import bad_request


def parse_bool(text: str | None) -> bool:
    """The value of a boolean parameter."""
    return text in ("1", "t", "T", "true", "TRUE", "True")


def parse_int(query: Mapping[str, str], name: str) -> int:
    """The value of an integer parameter, 0 if it is absent. Raises 400."""
    text = query.get(name) or "0"
    if not text.isdecimal():
        raise bad_request(f'{name}: Invalid value: "{text}": strconv.ParseUint: invalid syntax')
    return int(text)
