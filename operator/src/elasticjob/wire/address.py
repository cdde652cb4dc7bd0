"""Check IP addresses in records, at which other pods reach a pod's workers.

Another pod wrote the address, and it goes into the environment of every worker. The module does not
use the standard library's parsers: `socket` does I/O, and `ipaddress` delays the agent's start.
"""

from __future__ import annotations

from typing import Any

from elasticjob.wire.codec import WireError, short_repr, text, whole_number

_HEX = frozenset("0123456789abcdefABCDEF")
_GROUPS = 8


def address(record: dict[str, Any], key: str, what: str, default: str | None = None) -> str:
    """The IP address in this field, or the default. Raises WireError."""
    value = text(record, key, what)
    if value == default or is_address(value):
        return value
    raise WireError(f"{what}.{key} is {short_repr(value)}, not an IP address")


def is_address(value: str) -> bool:
    """Whether this is an IPv4 or IPv6 address as Kubernetes writes it, without a zone."""
    return _is_v4(value) or _is_v6(value)


def _is_v4(value: str) -> bool:
    parts = value.split(".")
    return len(parts) == 4 and all(map(_is_octet, parts))


def _is_octet(part: str) -> bool:
    number = whole_number(part)
    return number is not None and number <= 255 and part == str(number)


def _is_v6(value: str) -> bool:
    """Whether these are eight groups. `::` replaces groups of 0, an IPv4 address the last two."""
    rest, _, last = value.rpartition(":")
    if "." in last:
        value = f"{rest}:0:0" if _is_v4(last) else ""
    before, gap, after = value.partition("::")
    groups = [group for half in (before, after) if half for group in half.split(":")]
    is_whole = len(groups) < _GROUPS if gap else len(groups) == _GROUPS
    return is_whole and all(map(_is_group, groups))


def _is_group(group: str) -> bool:
    return 1 <= len(group) <= 4 and _HEX.issuperset(group)
