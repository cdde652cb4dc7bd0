"""Query parameters, read as Go reads them."""

from __future__ import annotations

from collections.abc import Mapping

from elasticjob.local.api.objects.errors import bad_request


def truth(text: str | None) -> bool:
    """A boolean."""
    return text in ("1", "t", "T", "true", "TRUE", "True")


def number(query: Mapping[str, str], name: str) -> int:
    """An integer; 0 when it is absent."""
    text = query.get(name) or "0"
    if not text.isdecimal():
        raise bad_request(f'{name}: Invalid value: "{text}": strconv.ParseUint: invalid syntax')
    return int(text)
