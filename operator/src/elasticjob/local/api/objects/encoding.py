"""JSON as it goes over the wire."""

from __future__ import annotations

import json
from typing import Any


def encode(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def event_line(kind: str, obj: Any) -> bytes:
    """One event of a watch."""
    return encode({"type": kind, "object": obj}) + b"\n"
