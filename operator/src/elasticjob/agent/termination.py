"""The container's termination message: a JSON object with cause, rank, code and message.

The operator reads it from the pod's status. It is there even when the agent could not write its
Lease, because it could not reach the API server or run with the image's Python.
"""

from __future__ import annotations

import json
from typing import Any

from elasticjob import files
from elasticjob.rendezvous.actions import Exit
from elasticjob.wire.cause import clip

LONGEST = 4096  # bytes; the kubelet drops the rest
_LONGEST_MESSAGE = 2048
_SHORT_MESSAGE = 512  # fits even if each character takes six bytes


def termination_message(exit_: Exit) -> str:
    """Return the message of an agent that exits."""
    fields: dict[str, Any] = {"cause": exit_.cause, "code": exit_.code}
    if exit_.rank >= 0:
        fields["rank"] = exit_.rank
    text = json.dumps({**fields, "message": clip(exit_.reason, _LONGEST_MESSAGE)})
    if len(text) <= LONGEST:
        return text
    return json.dumps({**fields, "message": clip(exit_.reason, _SHORT_MESSAGE)})


def write_termination_message(path: str, text: str) -> None:
    """Write the file, if its path allows that: it may be missing in a read-only root, and a worker
    may have put a link or a FIFO there. The log has the reason, too."""
    files.write(path, text.encode("utf-8", "replace"))
