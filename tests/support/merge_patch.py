"""A merge patch (RFC 7386) as a Kubernetes API server applies it; runs on Python 3.9."""

from __future__ import annotations

from typing import Any


def merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A copy of an object with the patch applied."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            kept = target.get(key)
            merged[key] = merge(kept if isinstance(kept, dict) else {}, value)
        else:
            merged[key] = value
    return merged
