"""The format of the operator's log lines."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from structlog.contextvars import bound_contextvars

from elasticjob.controller import logs


def record(text: str, *values: object, failed: bool = False) -> logging.LogRecord:
    error = sys.exc_info() if failed else None
    return logging.LogRecord("kopf.x", logging.WARNING, "", 0, text, values, error)


def test_json_has_the_fields_of_the_task_and_the_text_last() -> None:
    with bound_contextvars(job="default/charlm"):
        line = logs.formatter("auto", terminal=False).format(record("created pod %s … ok", "p"))
    found = json.loads(line)
    assert list(found) == ["timestamp", "level", "logger", "job", "event"]
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "kopf.x",
        "job": "default/charlm",
        "event": "created pod p … ok",
    }


def test_json_has_the_traceback_as_a_field_on_the_same_line() -> None:
    try:
        raise ValueError("x")
    except ValueError:
        line = logs.formatter("json", terminal=True).format(record("failed", failed=True))
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: x")


@pytest.mark.parametrize(
    ("log_format", "terminal", "colors"),
    [("auto", True, True), ("text", True, True), ("text", False, False)],
)
def test_text(log_format: str, terminal: bool, colors: bool) -> None:
    with bound_contextvars(job="default/charlm"):
        line = logs.formatter(log_format, terminal=terminal).format(record("created pod"))
    assert "created pod" in line
    assert ("\x1b[" in line) == colors
    assert colors or line.endswith("[kopf.x] job=default/charlm")


def test_a_line_feed_in_a_text_begins_no_record() -> None:
    with bound_contextvars(job="default/a\nb"):
        line = logs.formatter("text", terminal=False).format(record("read %s", "x\n[error] y"))
    assert "read x\\n[error] y" in line
    assert len(line.splitlines()) == 1
    try:
        raise ValueError("x")
    except ValueError:
        lines = logs.formatter("text", terminal=False).format(record("failed", failed=True))
    assert lines.splitlines()[-1] == "ValueError: x"
