"""Encoding of JSON for responses."""

from __future__ import annotations

import json
from typing import Any


def encode(value: Any) -> bytes:
    """The value as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def event_line(kind: str, obj: Any) -> bytes:
    """One event of a watch as a line of JSON."""
    return encode({"type": kind, "object": obj}) + b"\n"
