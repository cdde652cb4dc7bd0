"""kopf's three watches, which pass each delivery on. The operator uses nothing else of kopf.

No handler makes kopf write: no finalizer, so that `kubectl delete` works while the operator is
away, no annotation, no event. The API server applies the selectors: `labels=` on a handler filters
after delivery, and with 1,000 agents the Leases alone would keep the operator busy.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import aiohttp
import kopf
from kopf._cogs.structs.references import Insights

from elasticjob.controller.kube import (
    CONNECT_TIMEOUT_S,
    LEASES,
    NOT_INSTALLED,
    PAGE,
    READ_TIMEOUT_S,
    Credentials,
    KubeError,
    RefusedError,
    Resource,
    UnavailableError,
    error_of,
)
from elasticjob.controller.observe.heartbeat import LONGEST_S
from elasticjob.controller.watch.cache import WATCHED
from elasticjob.controller.watch.pulses import Pulse, Pulses
from elasticjob.controller.watch.session import SILENCE_S, session
from elasticjob.wire.codec import Json

IDLE_S = 1.5 * LONGEST_S  # longer than the pause between two pulses
NO_FINALIZER = "no finalizer"  # not a valid name of one, so no object has it
CANCELLATIONS = 100
CANCEL_EVERY_S = 0.1

NoteDelivery = Callable[[Resource], None]
Deliver = Callable[[Resource, Json, bool], None]  # resource, object, whether it was deleted
Task = asyncio.Task[Any]

log = logging.getLogger(__name__)


class EndedError(KubeError):
    """The watches have ended for another reason than an answer of the API server."""


class NotServedError(RefusedError):
    """The API server does not serve a watched resource, so another start does not help."""


class NoStorage(kopf.DiffBaseStorage):
    """No storage of the last handled state: no handler needs a difference, and kopf's default
    copies the whole object for each delivery."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """An empty essence of an object."""
        return {}

    def fetch(self, **_: Any) -> None:
        """No stored state."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


def settings() -> kopf.OperatorSettings:
    """The settings of kopf: no writes, and a deadline for every request."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.peering.standalone = True
    found.networking.connect_timeout = CONNECT_TIMEOUT_S
    found.networking.request_timeout = READ_TIMEOUT_S
    found.networking.error_backoffs = [1, 1, 2, 3, 5]  # then a 403 or 5xx ends the watch
    found.watching.connect_timeout = CONNECT_TIMEOUT_S
    found.watching.server_timeout = random.randint(240, 360)  # not all at once; whole seconds
    # kopf's limit of silence may cancel a watch in the middle of a delivery: this watch ends
    # without an error, and kopf continues without it. `session` has a limit instead.
    found.watching.inactivity_timeout = math.inf
    found.watching.chunk_size = PAGE
    found.execution.max_workers = 1
    found.process.ultimate_exiting_timeout = None
    found.queueing.idle_timeout = IDLE_S  # each object has a task, which ends after this time
    found.persistence.diffbase_storage = NoStorage()
    # kopf removes a finalizer of this name from every object; the default is that of any kopf.
    found.persistence.finalizer = NO_FINALIZER
    for resource, selector in WATCHED.items():
        if selector:
            place = (resource.group, resource.version, resource.plural)
            found.watching.label_selectors[place] = selector
    return found


@dataclass(frozen=True)
class Watches:
    """The watches, with the functions that receive their deliveries on kopf's thread."""

    note_delivery: NoteDelivery  # called at each delivery
    deliver: Deliver  # called at each delivery that is more than a pulse
    credentials: Callable[[], Credentials]
    namespaces: Collection[str] = ()  # empty: all
    pulses: dict[str, Pulse] = field(default_factory=dict)  # the last of each Round Lease, by UID
    settings: kopf.OperatorSettings = field(default_factory=settings)
    silence_s: float = SILENCE_S  # see `session`
    pauses_s: tuple[float, ...] = (1.0, 5.0, 15.0)  # before the first, second ... new start
    lasting_s: float = 300.0  # after watches that lasted this long the pauses begin again

    async def follow(self, ready: Callable[[], None]) -> NoReturn:
        """Watch until the watches have ended for good. Raises the KubeError that ended them.

        ready is called at each start, when kopf has read the list of resources from the API server.
        kopf then lists everything; it does not deliver what was deleted between two starts.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_of_kopf)
        pauses = list(self.pauses_s)
        while True:
            begun = loop.time()
            error = await self._follow_once(ready)
            if loop.time() - begun >= self.lasting_s:
                pauses = list(self.pauses_s)
            if isinstance(error, NotServedError) or not pauses:
                raise error
            log.warning("%s; the watches start again in %g s", error, pauses[0])
            await asyncio.sleep(pauses.pop(0))

    async def _follow_once(self, ready: Callable[[], None]) -> KubeError:
        """Watch until one watch has ended, and end the others. Returns the error."""
        before, login = asyncio.all_tasks(), _Login(self.credentials, self.silence_s)
        error = await self._until_one_ends(self._registry(login), ready)
        log.debug("the watches have ended", exc_info=error)
        if not await end_all(before):
            raise error
        await login.close()
        return error

    async def _until_one_ends(
        self, found: kopf.OperatorRegistry, ready: Callable[[], None]
    ) -> KubeError:
        """Run kopf's tasks until one ends. kopf.run would return only when all tasks and threads
        have ended, and one of them may never end."""
        insights = Insights()
        tasks = await kopf.spawn_tasks(
            registry=found,
            settings=self.settings,
            clusterwide=not self.namespaces,
            namespaces=self.namespaces,
            standalone=True,
            # Without it kopf reads the user's name, which a user of a container may not have.
            identity=cast(Any, "elasticjob"),
            insights=insights,
        )
        scanned = asyncio.create_task(insights.ready_resources.wait())
        done, _ = await asyncio.wait({*tasks, scanned}, return_when=asyncio.FIRST_COMPLETED)
        if scanned in done:
            if missing := _not_served(insights):
                return missing
            ready()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return _why_ended(done)

    def _registry(self, login: _Login) -> kopf.OperatorRegistry:
        """The handlers of kopf: sign-in and one for each watched resource."""
        found = kopf.OperatorRegistry()
        kopf.on.login(registry=found)(login.sign_in)
        for resource in WATCHED:
            place = (resource.group, resource.version, resource.plural)
            pulses = Pulses(self.pulses) if resource == LEASES else None
            when = _filter(resource, self.note_delivery, pulses)
            on = kopf.on.event(*place, registry=found, id=resource.plural, when=when)
            on(_handler(resource, self.deliver, pulses))
        return found


async def end_all(but: Collection[Task]) -> bool:
    """Cancel all other tasks of the loop until none is left. Returns whether all have ended.

    One cancellation is not enough: a request of kopf that is cancelled while its session is closed
    signs in again, and waits for credentials for ever.
    """
    for _ in range(CANCELLATIONS):
        left = asyncio.all_tasks().difference(but)
        if not left:
            return True
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_EVERY_S)
    return False


def _log_of_kopf(loop: asyncio.AbstractEventLoop, context: Json) -> None:
    """Log errors of kopf's tasks for debugging only. When several watches end at once kopf raises
    the error of one, and asyncio would log each of the others with a traceback."""
    log.debug("kopf: %s", context["message"], exc_info=context.get("exception"))


def is_first_attempt(record: logging.LogRecord) -> bool:
    """Whether a line of kopf's log is not about a repeated attempt to reach the API server."""
    text = record.getMessage()
    return "Request attempt #" not in text or "Request attempt #1/" in text


def _not_served(insights: Insights) -> NotServedError | None:
    """The error if kopf did not find a watched resource: kopf would ignore it for ever."""
    served = {(r.group, r.version, r.plural) for r in insights.watched_resources}
    for resource in WATCHED:
        if (resource.group, resource.version, resource.plural) not in served:
            return NotServedError(f"{resource.path('')} is not served; {NOT_INSTALLED}")
    return None


def _why_ended(done: Iterable[Task]) -> KubeError:
    """The error of kopf's task that ended first, as a KubeError."""
    errors = [error for task in done if not task.cancelled() and (error := task.exception())]
    if not errors:
        return EndedError("the watches have ended without an error")
    error = errors[0]
    if isinstance(error, kopf.LoginError):
        cure = "give the operator's account a valid token or certificate"
        return RefusedError(f"the API server answers the watches with 401; {cure}")
    if isinstance(error, aiohttp.ClientError | TimeoutError):
        return UnavailableError(f"the watches get no answer: {error or 'not in time'}")
    return _answered(error) or _ended(error)


def _answered(error: BaseException) -> KubeError | None:
    """The error of an answer of the API server; None for another error."""
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        return None
    cause = error.__cause__
    path = cause.request_info.url.path if isinstance(cause, aiohttp.ClientResponseError) else ""
    text = f"watch {path}: {status}: {getattr(error, 'message', None) or 'no message'}"
    if status == 404:
        return NotServedError(f"{text}; {NOT_INSTALLED}")
    return error_of(status, "", text)


def _ended(error: BaseException) -> EndedError:
    message = " ".join(str(error).split())
    ended = EndedError(f"the watches have ended: {type(error).__name__}: {message}")
    ended.__cause__ = error
    return ended


def _filter(
    resource: Resource, note_delivery: NoteDelivery, pulses: Pulses | None
) -> Callable[..., bool]:
    def is_more_than_a_pulse(event: Any, **_: Any) -> bool:
        note_delivery(resource)
        if pulses is None or not pulses.is_only_a_pulse(event):
            return True
        pulses.note_pulse(event)
        return False

    return is_more_than_a_pulse


def _handler(resource: Resource, deliver: Deliver, pulses: Pulses | None) -> Callable[..., Any]:
    async def handle(event: Any, **_: Any) -> None:
        if pulses is not None:
            pulses.note(event)
        deliver(resource, event["object"], event["type"] == "DELETED")

    return handle


class _Login:
    """Signs kopf in. The same credentials get the same session, so that kopf finds out when they
    were refused."""

    def __init__(self, credentials: Callable[[], Credentials], silence_s: float) -> None:
        self._credentials = credentials
        self._silence_s = silence_s
        self._given: tuple[kopf.ConnectionInfo, kopf.AiohttpSession] | None = None

    async def sign_in(self, **_: Any) -> kopf.AiohttpSession:
        """Return the session of the current credentials; kopf's login handler."""
        info = _connection(self._credentials())
        if self._given is None or self._given[0] != info:
            made = session(
                info.as_ssl_context(), info.as_http_headers(), info.proxy_url, self._silence_s
            )
            self._given = info, kopf.AiohttpSession(server=info.server, aiohttp_session=made)
        return self._given[1]

    async def close(self) -> None:
        """Close the connections; kopf does so only if it ends without an error."""
        if self._given:
            await self._given[1].aiohttp_session.close()


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
