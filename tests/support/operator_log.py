"""What the operator logs, as JSON."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elasticjob.controller import logs


def health_port(line: str | bytes) -> int | None:
    """The port of /readyz, if this line has it."""
    found = re.fullmatch(r"health: port (\d+)", json.loads(line)["event"])
    return int(found[1]) if found else None


@contextmanager
def logged(logger: logging.Logger, level: int = logging.INFO) -> Iterator[list[dict[str, Any]]]:
    """The records of this logger; the list is filled when the block ends."""
    found: list[dict[str, Any]] = []
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logs.formatter("json", terminal=False))
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        found += [json.loads(line) for line in handler.stream.getvalue().splitlines()]
