"""What may change in a round whose number stays: its cause, for an earlier failure."""

from __future__ import annotations

from dataclasses import replace

from elasticjob.wire.round import Round


def fault(old: Round, new: Round) -> str:
    """Why this is no better cause of the same round; empty if it is one."""
    if replace(new, cause=old.cause) != old:
        return f"I1 {new.n} after {old.n}"
    if old.cause is None or new.cause is None or new.cause.n != old.cause.n:
        return "rule 4: the cause is replaced by none of the same round"
    if old.cause.after_ms is None or new.cause.after_ms is None:
        return "rule 4: a cause without a time is replaced, or replaces one"
    if new.cause.after_ms >= old.cause.after_ms:
        return "rule 4: a cause is replaced by a later one"
    return ""
