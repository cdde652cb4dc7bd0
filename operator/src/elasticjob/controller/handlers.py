"""What kopf does here: three watches, whose every delivery is handed on. Nothing else.

No handler here makes kopf write: no finalizer, so `kubectl delete` works while the operator is
away; no annotation, no event. The selectors are the server's: `labels=` on a handler filters after
delivery, and at 1,000 agents the Leases alone would keep the operator busy.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn, cast

import aiohttp
import kopf
from kopf._cogs.structs.references import Insights

from elasticjob.controller.heartbeat import LONGEST_S
from elasticjob.controller.kube import (
    CONNECT_TIMEOUT_S,
    LEASES,
    NOT_INSTALLED,
    PAGE,
    READ_TIMEOUT_S,
    AwayError,
    Credentials,
    NotFoundError,
    RefusedError,
    Resource,
    error_of,
)
from elasticjob.controller.pulses import Pulses
from elasticjob.controller.resync import WATCHED
from elasticjob.controller.session import SILENCE_S, session

IDLE_S = 1.5 * LONGEST_S  # longer than the pause between two pulses
NO_FINALIZER = "no finalizer"  # not a valid name of one, so no object has it

Json = dict[str, Any]
Hear = Callable[[Resource], None]
Deliver = Callable[[Resource, Json, bool], None]  # resource, object, whether it is gone


class EndedError(Exception):
    """The watches have ended for a reason that is not an answer of the API server."""


class NoStorage(kopf.DiffBaseStorage):
    """What the last handled state would be compared with: no handler here asks for a difference,
    and kopf's own copies the whole object for each delivery."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of it."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing is stored."""

    def store(self, **_: Any) -> None:
        """And nothing ever is."""


def registry(
    hear: Hear,
    deliver: Deliver,
    credentials: Callable[[], Credentials],
    silence_s: float = SILENCE_S,
) -> kopf.OperatorRegistry:
    """The handlers. Both are called on kopf's thread: hear at each delivery, deliver at those that
    are more than a pulse. silence_s: see `session`."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(_login(credentials, silence_s))
    for resource in WATCHED:
        place = (resource.group, resource.version, resource.plural)
        pulses = Pulses() if resource == LEASES else None
        news = _is_news(resource, hear, pulses)
        on = kopf.on.event(*place, registry=found, id=resource.plural, when=news)
        on(_hand_on(resource, deliver, pulses))
    return found


def settings() -> kopf.OperatorSettings:
    """kopf's settings: quiet, and with a deadline on everything."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.peering.standalone = True
    found.networking.connect_timeout = CONNECT_TIMEOUT_S
    found.networking.request_timeout = READ_TIMEOUT_S
    found.networking.error_backoffs = [1, 1, 2, 3, 5]  # then 403 or 5xx ends the watch
    found.watching.connect_timeout = CONNECT_TIMEOUT_S
    found.watching.server_timeout = random.randint(240, 360)  # not all at once; whole seconds
    # kopf's own limit of silence may cancel a watch in the middle of a delivery: that watch ends,
    # and kopf goes on without it, and without an error. `session` has a limit instead.
    found.watching.inactivity_timeout = math.inf
    found.watching.chunk_size = PAGE
    found.execution.max_workers = 1
    found.process.ultimate_exiting_timeout = None
    found.queueing.idle_timeout = IDLE_S  # each object has a task, which is not made anew so soon
    found.persistence.diffbase_storage = NoStorage()
    # kopf removes a finalizer of this name wherever it finds it; by default that of any kopf.
    found.persistence.finalizer = NO_FINALIZER
    for resource, selector in WATCHED.items():
        if selector:
            place = (resource.group, resource.version, resource.plural)
            found.watching.label_selectors[place] = selector
    return found


async def follow(
    found: kopf.OperatorRegistry,
    namespaces: Collection[str],
    ready: Callable[[], None],
    how: kopf.OperatorSettings | None = None,
) -> NoReturn:
    """Watch until a watch has ended for good, and raise why: KubeError or EndedError.

    ready is called when kopf has read from the API server what it can watch. kopf.run is not used:
    it raises only when all its tasks and threads have ended, and one of them may never end.
    """
    insights = Insights()
    tasks = await kopf.spawn_tasks(
        registry=found,
        settings=how or settings(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        # Else kopf asks for the user's name, which the user of a container need not have.
        identity=cast(Any, "elasticjob"),
        insights=insights,
    )
    scanned = asyncio.create_task(insights.ready_resources.wait())
    done, _ = await asyncio.wait({*tasks, scanned}, return_when=asyncio.FIRST_COMPLETED)
    if scanned in done:
        _check_all_are_watched(insights)
        ready()
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    raise _why_ended(done)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Of the many attempts to reach an API server that is away, kopf's log keeps the first."""
    text = record.getMessage()
    return "Request attempt #" not in text or "Request attempt #1/" in text


def _check_all_are_watched(insights: Insights) -> None:
    """kopf leaves aside, for ever, what the API server did not list when kopf asked."""
    served = {(r.group, r.version, r.plural) for r in insights.watched_resources}
    for resource in WATCHED:
        if (resource.group, resource.version, resource.plural) not in served:
            raise RefusedError(f"{resource.path('')} is not served; {NOT_INSTALLED}")


def _why_ended(done: Iterable[asyncio.Task[Any]]) -> Exception:
    """What kopf's first task to end has raised, in the operator's terms."""
    for task in done:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, kopf.LoginError):
            wanted = "give the operator's account a valid token or certificate"
            return RefusedError(f"the API server answers the watches with 401; {wanted}")
        if isinstance(error, aiohttp.ClientError | TimeoutError):
            return AwayError(f"the watches get no answer: {error or 'not in time'}")
        if isinstance(error, Exception):
            return _answered(error) or _ended(error)
    return EndedError("the watches have ended without an error")


def _answered(error: Exception) -> Exception | None:
    """The error for an answer of the API server; None if it was not one."""
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        return None
    cause = error.__cause__
    asked = cause.request_info.url.path if isinstance(cause, aiohttp.ClientResponseError) else ""
    text = f"watch {asked}: {status}: {getattr(error, 'message', None) or 'no message'}"
    found = error_of(status, "", text)
    return RefusedError(f"{text}; {NOT_INSTALLED}") if isinstance(found, NotFoundError) else found


def _ended(error: Exception) -> EndedError:
    ended = EndedError(f"the watches have ended: {type(error).__name__}: {error}")
    ended.__cause__ = error
    return ended


def _is_news(resource: Resource, hear: Hear, pulses: Pulses | None) -> Callable[..., bool]:
    def is_news(event: Any, **_: Any) -> bool:
        hear(resource)
        return pulses is None or not pulses.is_mere(event)

    return is_news


def _hand_on(resource: Resource, deliver: Deliver, pulses: Pulses | None) -> Callable[..., Any]:
    async def hand_on(event: Any, **_: Any) -> None:
        if pulses is not None:
            pulses.note(event)
        deliver(resource, event["object"], event["type"] == "DELETED")

    return hand_on


def _login(credentials: Callable[[], Credentials], silence_s: float) -> Callable[..., Any]:
    given: dict[kopf.ConnectionInfo, kopf.AiohttpSession] = {}

    async def login(**_: Any) -> kopf.AiohttpSession:
        """The same session for the same credentials: so kopf sees that they were refused."""
        info = _connection(credentials())
        if info not in given:
            given.clear()
            made = session(info.as_ssl_context(), info.as_http_headers(), info.proxy_url, silence_s)
            given[info] = kopf.AiohttpSession(server=info.server, aiohttp_session=made)
        return given[info]

    return login


def _connection(found: Credentials) -> kopf.ConnectionInfo:
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
