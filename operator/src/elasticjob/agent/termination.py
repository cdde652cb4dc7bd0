"""The container's termination message: a JSON object with cause, rank, code and message.

The operator reads it from the pod's status. It is there even when the agent could not write its
Lease, because it could not reach the API server or run with the image's Python.
"""

from __future__ import annotations

import json
from typing import Any

from elasticjob import files
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.state import EXIT_SETUP, EXIT_TERMINATED, Me
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Phase

SETUP_FAILED = "SetupFailed"
LONGEST = 4096  # bytes; the kubelet drops the rest
_LONGEST_MESSAGE = 2048
_SHORT_MESSAGE = 512  # fits even if each character takes six bytes


def termination_message(exit_: Exit, me: Me | None) -> str:
    """Return the message of an agent that exits. me None: it failed before it began to join."""
    cause, rank = _cause(exit_, me)
    fields: dict[str, Any] = {"cause": cause, "code": exit_.code}
    if rank >= 0:
        fields["rank"] = rank
    text = json.dumps({**fields, "message": exit_.reason[-_LONGEST_MESSAGE:]})
    if len(text) <= LONGEST:
        return text
    return json.dumps({**fields, "message": exit_.reason[-_SHORT_MESSAGE:]})


def write_termination_message(path: str, text: str) -> None:
    """Write the file, if its path allows that: it may be missing in a read-only root, and a worker
    may have put a link or a FIFO there. The log has the reason, too."""
    files.write(path, text.encode("utf-8", "replace"))


def _cause(exit_: Exit, me: Me | None) -> tuple[str, int]:
    """Return the kind of the cause, and the rank that it began with, or -1."""
    round_ = me.lease.round if me and me.lease else None
    if exit_.code == EXIT_SETUP:
        return SETUP_FAILED, -1
    if exit_.code == EXIT_TERMINATED:
        return CauseKind.LEAVING.value, -1
    if round_ is not None and round_.phase is Phase.FAILED and round_.cause is not None:
        return round_.cause.kind.value, round_.cause.rank
    return "", -1
