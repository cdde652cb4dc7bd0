"""Compact JSON records with a version, and ranges of numbers for records of 1,000 members.

A record is one JSON object with `"v": 1`. A reader ignores unknown keys, so that a neighbouring
release may add some, and refuses an unknown version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Callable

from elasticjob.wire.untrusted import WireError as WireError
from elasticjob.wire.untrusted import decode

Json = dict[str, Any]
"""One object of JSON: a record, or an object of the API as Kubernetes stores it."""

Admit = Callable[[str, str], str]
"""From the text of ranges and its name: the text to decode. So a reader that knows which pods exist
refuses others before they cost work or memory."""

RECORD_VERSION = 1
LONGEST_NAME = 253  # of an object of Kubernetes
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
LARGEST = 2**53  # the largest integer that every JSON reader keeps exactly
LONGEST = 256 << 10  # characters; an API server limits all annotations of an object to this
LARGEST_SET = 10_000  # numbers: the most pods of a job, and the most restarts that it survives


class ExcessError(WireError):
    """A record names more numbers than it may."""


def dump(fields: Json) -> str:
    """Encode fields as compact JSON, without None, False, empty strings and empty lists."""
    kept = {
        k: v for k, v in fields.items() if v is not None and v is not False and v != "" and v != []
    }
    return json.dumps({"v": RECORD_VERSION, **kept}, separators=(",", ":"))


def load(text: str, what: str) -> Json:
    """Decode a record. Raises WireError with the name `what`."""
    if len(text) > LONGEST:
        raise WireError(f"{what} has more than {LONGEST} characters")
    record = decode(text, what)
    if not isinstance(record, dict):
        raise WireError(f"{what} is not a JSON object")
    version = record.get("v")
    if type(version) is not int or version != RECORD_VERSION:
        raise WireError(
            f"{what} has version {short_repr(version)}, this release reads {RECORD_VERSION}:"
            " operator and agents are more than one release apart"
        )
    return record


def number(
    record: Json, key: str, what: str, default: int | None = None, largest: int = LARGEST
) -> int:
    """The whole number from 0 to `largest` in this field. Raises WireError."""
    value = record.get(key, default)
    if type(value) is not int or not 0 <= value <= largest:
        limit = "" if largest == LARGEST else f" to {largest}"
        raise WireError(f"{what}.{key} is {short_repr(value)}, not a whole number from 0{limit}")
    return value


def seconds(record: Json, key: str, what: str, default: float) -> float:
    """The finite number of seconds from 0 in this field. Raises WireError."""
    value = record.get(key, default)
    if type(value) not in (int, float) or not 0 <= value <= LARGEST:  # refuses NaN, too
        raise WireError(f"{what}.{key} is {short_repr(value)}, not a number of seconds from 0")
    return float(value)


def text(record: Json, key: str, what: str, default: str = "") -> str:
    """The string in this field. Raises WireError."""
    value = record.get(key, default)
    if not isinstance(value, str):
        raise WireError(f"{what}.{key} is {short_repr(value)}, not a string")
    return value


def name(record: Json, key: str, what: str) -> str:
    """The name of an object in this field; empty if it is left out. Raises WireError."""
    value = text(record, key, what)
    if len(value) > LONGEST_NAME or not _NAME.issuperset(value):
        raise WireError(f"{what}.{key} is {short_repr(value)}, not the name of an object")
    return value


def flag(record: Json, key: str, what: str) -> bool:
    """True or false; false where it is left out. Raises WireError."""
    value = record.get(key, False)
    if not isinstance(value, bool):
        raise WireError(f"{what}.{key} is {short_repr(value)}, not true or false")
    return value


def fields_of(value: Any, what: str) -> Json:
    """The value as an object within a record. Raises WireError."""
    if not isinstance(value, dict):
        raise WireError(f"{what} is {short_repr(value)}, not an object")
    return value


def whole_number(digits: str) -> int | None:
    """The number that these ASCII digits represent, or None.

    str.isdigit alone accepts superscripts, which int refuses, and numbers of any length.
    """
    plain = digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST))
    return int(digits) if plain and int(digits) <= LARGEST else None


def as_is(text_: str, what: str) -> str:
    """The text itself: the default of `admit`."""
    return text_


def short_repr(value: Any) -> str:
    """The value for a message, cut to 80 characters: the termination log holds 4 KB."""
    try:
        text_ = repr(value)
    except ValueError:  # Python 3.11 refuses to print more than 4,300 digits
        text_ = "a number of very many digits"
    return text_ if len(text_) <= 80 else f"{text_[:80]}..."


def compact(seconds_: float) -> float | int:
    """The number as an integer if it is one: 30.0 -> 30."""
    return int(seconds_) if seconds_ == int(seconds_) else seconds_


# ---- ranges: `0-997@0,998@2` ---------------------------------------------------------------------


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Group sorted distinct numbers: [1, 2, 3, 7] -> [(1, 3), (7, 7)]."""
    found: list[tuple[int, int]] = []
    for value in numbers:
        if found and found[-1][1] == value - 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found


def dump_numbers(numbers: Iterable[int]) -> str:
    """Encode numbers as ranges: {1, 2, 3, 7} -> "1-3,7"."""
    return ",".join(_range_text(low, high) for low, high in runs(sorted(set(numbers))))


def load_numbers(text_: str, what: str, most: int = LARGEST_SET) -> frozenset[int]:
    """Decode what dump_numbers encodes. Raises WireError, also for more than `most` numbers."""
    parts = load_ranges(text_, "", what, most)
    return frozenset(n for low, high, _ in parts for n in range(low, high + 1))


def dump_tagged(pairs: Iterable[tuple[int, str]], sign: str) -> str:
    """Encode sorted numbers with tags: [(0, "0"), (1, "0"), (2, "3")], "@" -> "0-1@0,2@3"."""
    parts: list[tuple[int, int, str]] = []
    for value, tag in pairs:
        if parts and parts[-1][1] == value - 1 and parts[-1][2] == tag:
            parts[-1] = (parts[-1][0], value, tag)
        else:
            parts.append((value, value, tag))
    return ",".join(f"{_range_text(low, high)}{sign}{tag}" for low, high, tag in parts)


def load_tagged(text_: str, sign: str, what: str, most: int = LARGEST_SET) -> list[tuple[int, str]]:
    """Decode what dump_tagged encodes. Raises WireError, also for a repeated number and for more
    than `most` numbers."""
    parts = load_ranges(text_, sign, what, most)
    pairs = [(n, tag) for low, high, tag in parts for n in range(low, high + 1)]
    if len({n for n, _ in pairs}) != len(pairs):
        raise WireError(f"{what} names an index twice: {short_repr(text_)}")
    return sorted(pairs)


def load_ranges(
    text_: str, sign: str, what: str, most: int = LARGEST_SET
) -> list[tuple[int, int, str]]:
    """Decode the ranges themselves: first and last number, and the tag.

    The cost depends on `most` and on the length of the text, not on the numbers. Raises WireError,
    also for more than `most` numbers.
    """
    if text_ == "":
        return []
    excess = ExcessError(f"{what} names more than {most} numbers")
    if text_.count(",") >= most:
        raise excess
    parts = [_part(piece, sign, what) for piece in text_.split(",")]
    if sum(high - low + 1 for low, high, _ in parts) > most:
        raise excess
    return parts


def _range_text(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _part(piece: str, sign: str, what: str) -> tuple[int, int, str]:
    span, found, tag = piece.partition(sign) if sign else (piece, "", "")
    first, dash, last = span.partition("-")
    low = whole_number(first)
    high = whole_number(last) if dash else low
    is_tagged = found == sign and tag != "" if sign else True
    if low is None or high is None or high < low or not is_tagged:
        raise WireError(f"{what} has a range that cannot be read: {short_repr(piece)}")
    return low, high, tag
