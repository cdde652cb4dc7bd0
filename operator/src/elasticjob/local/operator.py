"""The pod of the operator in the local mode, and whether the operator can start at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store
from elasticjob.wire.untrusted import plain

SYSTEM_NAMESPACE = "elasticjob-system"
OPERATOR = "operator"
_EXIT_USAGE = 2  # of the operator: no restart can cure it
_SIGNALED = 128  # codes above it are those of signals


def operator_pod(command: Sequence[str]) -> Object:
    """The pod of the operator, which is restarted when it ends.

    As on a cluster, `kubectl logs` shows its log, and a test stops it as it stops any pod.
    """
    return {
        "metadata": {"name": OPERATOR, "labels": {"app.kubernetes.io/name": "elasticjob-operator"}},
        "spec": {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {
                    "name": OPERATOR,
                    "image": "elasticjob-operator",
                    "command": list(command),
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }


async def start_fault(store: Store, has_called: Callable[[], bool]) -> str:
    """Wait until the operator has ended and cannot start; returns why, in one line. It must be
    awaited before the operator has ended.

    has_called: whether an operator has sent a request. One that did is restarted, unless it refuses
    its settings.
    """
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def look(resource: Resource, event: Event) -> None:
        if resource != PODS or found.done() or not _is_operator(event.object):
            return
        if fault := fault_of(event.object, has_called()):
            found.set_result(fault)

    store.listeners.append(look)
    try:
        return await found
    finally:
        store.listeners.remove(look)


def fault_of(pod: Object, has_called: bool) -> str:
    """Why the operator cannot start; empty if it runs or may be restarted."""
    for status in pod.get("status", {}).get("containerStatuses", ()):
        ends = (status[key].get("terminated") for key in ("state", "lastState") if key in status)
        for end in filter(None, ends):
            code = end["exitCode"]
            if code == _EXIT_USAGE or (0 < code <= _SIGNALED and not has_called):
                lines = plain(end.get("message", "")).split("\n")
                last = next((line for line in reversed(lines) if line.strip()), "")
                return f"the operator cannot start: {last.strip() or f'exit code {code}'}"
    return ""


def _is_operator(pod: Object) -> bool:
    meta = pod["metadata"]
    return bool((meta["namespace"], meta["name"]) == (SYSTEM_NAMESPACE, OPERATOR))
