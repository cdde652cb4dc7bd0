"""The HTTP handler of all paths, between aiohttp and the verbs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from aiohttp import web

from elasticjob.local.api import discovery
from elasticjob.local.api.access import Access
from elasticjob.local.api.call import Call, Response, Stream, Target, target_of
from elasticjob.local.api.faults import CutError, Faults
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.verbs import Verbs

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

log = logging.getLogger(__name__)


class Handler:
    """The handler of every request of the server."""

    def __init__(self, verbs: Verbs, access: Access, faults: Faults, body_within_s: float) -> None:
        self._verbs = verbs
        self._access = access
        self._faults = faults
        self._body_within_s = body_within_s
        self.on_identified: Callable[[web.RequestHandler], None] = lambda connection: None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond to one request, with a Status object if it fails."""
        try:
            call, target = self._permitted(request)
            if target is not None:
                call = replace(call, body=await self._read_body(request))
            cut = await self._faults.apply(call)
            response = self._respond(call, target)
            if cut:
                raise CutError
            if isinstance(response, Stream):
                return await self._stream(request, call, response)
        except CutError:
            return _abort(request)
        except ApiError as error:
            await self._faults.wait_until_thawed()
            response = _error_response(error)
        return web.Response(
            body=response.encoded(),
            status=response.code,
            headers=[("Content-Type", response.content_type), *response.headers],
        )

    def _permitted(self, request: web.BaseRequest) -> tuple[Call, Target | None]:
        """The request without its body, and its target. Raises ApiError if it is not permitted.

        Nothing of the body is read before, as in kube-apiserver: any user of the machine can send
        one.
        """
        _check_origin(request)
        call = _read_head(request)
        target = target_of(call)
        self._access.check(call, target)
        if target is not None:
            self.on_identified(request.protocol)
        return call, target

    async def _read_body(self, request: web.BaseRequest) -> bytes:
        try:
            async with asyncio.timeout(self._body_within_s):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            message = "the request is too large: the limit is 3 MiB"
            raise ApiError(413, "RequestEntityTooLarge", message) from None
        except TimeoutError:
            message = f"the body was not received within {self._body_within_s:g} s: send it at once"
            raise ApiError(408, "Timeout", message) from None

    def _respond(self, call: Call, target: Target | None) -> Response | Stream:
        try:
            if target is None:
                return discovery.respond(self._verbs.store, call)
            return self._verbs.perform(call, target)
        except ApiError:
            raise
        except Exception as error:
            log.exception("%s %s failed", call.method, call.path)
            message = f"Internal error occurred: {error!r}"
            raise ApiError(500, "InternalError", message) from error

    async def _stream(
        self, request: web.BaseRequest, call: Call, stream: Stream
    ) -> web.StreamResponse:
        headers = {"Content-Type": stream.content_type, "Cache-Control": "no-cache, private"}
        response, transport = web.StreamResponse(headers=headers), request.transport
        with stream.source as chunks:
            await response.prepare(request)
            if transport is None:
                return response
            self._faults.stream_opened(transport, call)
            try:
                async for chunk in chunks:
                    await self._faults.wait_until_thawed()
                    await response.write(chunk)
            except ConnectionError:
                pass  # the client has closed the connection
            finally:
                self._faults.stream_closed(transport)
        return response


def _read_head(request: web.BaseRequest) -> Call:
    headers = request.headers
    return Call(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        accept=headers.get("Accept", ""),
        content_type=headers.get("Content-Type", ""),
        authorization=headers.get("Authorization", ""),
    )


def _check_origin(request: web.BaseRequest) -> None:
    """Refuse requests of web pages: they have an Origin, or a host name that resolves to here."""
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:  # brackets without an IPv6 address
        host = None
    if "Origin" in request.headers or host not in LOOPBACK:
        message = (
            "this server accepts local clients only: use 127.0.0.1 or localhost, and no browser"
        )
        raise ApiError(403, "Forbidden", message)


def _abort(request: web.BaseRequest) -> web.StreamResponse:
    if isinstance(request.transport, asyncio.WriteTransport):
        request.transport.abort()
    return web.Response()


def _error_response(error: ApiError) -> Response:
    retry = error.details.get("retryAfterSeconds")
    headers = () if retry is None else (("Retry-After", str(retry)),)
    return Response(error.status(), error.code, headers=headers)
