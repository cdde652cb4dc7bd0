"""The agent's last word: what ended this pod, as the container's termination message.

The operator reads it from the pod's status, also where no Lease could be written: no way to the API
server, no Python that we can use. One JSON object: cause, rank, code, message.
"""

from __future__ import annotations

import json
import os
from typing import Any

from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.state import EXIT_SETUP, EXIT_TERMINATED, Me
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Phase

SETUP_FAILED = "SetupFailed"
LONGEST = 4096  # bytes; the kubelet cuts there
_LONGEST_MESSAGE = 2048
_SHORT_MESSAGE = 512  # fits where every character takes six bytes


def termination_message(exit_: Exit, me: Me | None) -> str:
    """The termination message of an agent that ends so; me None: it never was one."""
    cause, rank = _cause(exit_, me)
    fields: dict[str, Any] = {"cause": cause, "code": exit_.code}
    if rank >= 0:
        fields["rank"] = rank
    text = json.dumps({**fields, "message": exit_.reason[-_LONGEST_MESSAGE:]})
    if len(text) <= LONGEST:
        return text
    return json.dumps({**fields, "message": exit_.reason[-_SHORT_MESSAGE:]})


def write_termination_message(path: str, text: str) -> None:
    """Into the termination log, if it can be opened: a read-only root may lack it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError:
        return
    try:
        os.write(fd, text.encode())
    except OSError:
        pass  # nobody else can be told
    finally:
        os.close(fd)


def _cause(exit_: Exit, me: Me | None) -> tuple[str, int]:
    """The kind of what ended this pod, and the rank that it began with, or -1."""
    round_ = me.lease.round if me and me.lease else None
    if exit_.code == EXIT_SETUP:
        return SETUP_FAILED, -1
    if exit_.code == EXIT_TERMINATED:
        return CauseKind.LEAVING.value, -1
    if round_ is not None and round_.phase is Phase.FAILED and round_.cause is not None:
        return round_.cause.kind.value, round_.cause.rank
    return "", -1
