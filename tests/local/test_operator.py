"""When the operator of the local mode cannot start, and when it is only restarted."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.operator import fault_of


def pod(**state: Any) -> Object:
    return {"status": {"containerStatuses": [{"name": "operator", **state}]}}


def ended(code: int, message: str = "") -> Object:
    return {"terminated": {"exitCode": code, "message": message}}


RUNNING: Object = {"running": {}}
TRACEBACK = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module kopf\n"


@pytest.mark.parametrize(
    ("given", "has_called", "fault"),
    [
        ({}, False, ""),
        (pod(state=RUNNING), False, ""),
        (pod(state=RUNNING, lastState={}), True, ""),
        (pod(state=ended(2, "bad\n")), False, "bad"),
        (pod(state=ended(2, "bad\n")), True, "bad"),  # refused by the API server
        (pod(state={"waiting": {}}, lastState=ended(2)), False, "exit code 2"),
        (pod(state=ended(1, TRACEBACK)), False, "ModuleNotFoundError: No module kopf"),
        (pod(state=ended(1, TRACEBACK)), True, ""),  # a part failed: it starts again
        (pod(state=ended(128, "exec: no such file")), False, "exec: no such file"),
        (pod(state=ended(137)), False, ""),  # killed by a user
        (pod(state=ended(0)), False, ""),
        (pod(state=ended(2, "a\x1b[2J")), False, "a\ufffd[2J"),
    ],
)
def test_why_the_operator_cannot_start(given: Object, has_called: bool, fault: str) -> None:
    assert fault_of(given, has_called) == (f"the operator cannot start: {fault}" if fault else "")
