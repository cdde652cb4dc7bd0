"""What kopf does here: three watches, whose every delivery is handed on. Nothing else.

No handler here makes kopf write: no finalizer, so `kubectl delete` works while the operator is
away; no annotation, no event. The selectors are the server's: `labels=` on a handler filters after
delivery, and at 1,000 agents the Leases alone would keep the operator busy.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import kopf

from elasticjob.controller.kube import (
    CONNECT_TIMEOUT_S,
    PAGE,
    READ_TIMEOUT_S,
    Credentials,
    Resource,
)
from elasticjob.controller.resync import WATCHED

Json = dict[str, Any]
Deliver = Callable[[Resource, Json, bool], None]  # resource, object, whether it is gone


def registry(deliver: Deliver, credentials: Callable[[], Credentials]) -> kopf.OperatorRegistry:
    """The handlers. deliver is called on kopf's thread."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(_login(credentials))
    for resource in WATCHED:
        place = (resource.group, resource.version, resource.plural)
        kopf.on.event(*place, registry=found, id=resource.plural)(_hand_on(resource, deliver))
    return found


def settings() -> kopf.OperatorSettings:
    """kopf's settings: quiet, and with a deadline on everything."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.peering.standalone = True
    found.networking.connect_timeout = CONNECT_TIMEOUT_S
    found.networking.request_timeout = READ_TIMEOUT_S
    found.networking.error_backoffs = [1, 1, 2, 3, 5]  # then it lists anew, and so on for ever
    found.watching.connect_timeout = CONNECT_TIMEOUT_S
    found.watching.server_timeout = random.randint(240, 360)  # not all at once; whole seconds
    found.watching.chunk_size = PAGE
    found.execution.max_workers = 1
    found.process.ultimate_exiting_timeout = None
    for resource, selector in WATCHED.items():
        if selector:
            place = (resource.group, resource.version, resource.plural)
            found.watching.label_selectors[place] = selector
    return found


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Of the many attempts to reach an API server that is away, kopf's log keeps the first."""
    text = record.getMessage()
    return "Request attempt #" not in text or "Request attempt #1/" in text


def _hand_on(resource: Resource, deliver: Deliver) -> Callable[..., Any]:
    async def hand_on(event: Any, **_: Any) -> None:
        deliver(resource, event["object"], event["type"] == "DELETED")

    return hand_on


def _login(credentials: Callable[[], Credentials]) -> Callable[..., Any]:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        found = credentials()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=not found.verify,
            scheme=found.scheme,
            token=found.token,
            username=found.username,
            password=found.password,
            certificate_path=found.certificate_path,
            private_key_path=found.key_path,
            proxy_url=found.proxy,
        )

    return login
