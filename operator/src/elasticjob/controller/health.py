"""/livez, /readyz and /metrics, for the kubelet and Prometheus.

Liveness fails if a restart helps: the queue is stuck or watches deliver nothing. Readiness fails
until everything that existed at the start has been listed, and while jobs wait for long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from elasticjob.controller.report import metrics
from elasticjob.controller.report.metrics import Metrics

Check = Callable[[], str]  # the problem in one line; empty if all is well
Checks = Mapping[str, Check]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(
    host: str, port: int, live: Checks, ready: Checks, measured: Metrics
) -> AsyncIterator[int]:
    """Serve while the block runs. Yields the port; 0 requests a free one."""
    application = web.Application()
    application.router.add_get("/livez", _answer(live))
    application.router.add_get("/readyz", _answer({**live, **ready}))
    application.router.add_get("/metrics", _metrics(measured))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host or None, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def report(checks: Checks) -> tuple[bool, str]:
    """Whether all is well, and a line for each check."""
    problems = {name: check() for name, check in checks.items()}
    lines = [f"{'-' if found else '+'} {name}: {found or 'ok'}" for name, found in problems.items()]
    return not any(problems.values()), "\n".join(lines) + "\n"


def _answer(checks: Checks) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        well, text = report(checks)
        return web.Response(text=text, status=200 if well else 503)

    return answer


def _metrics(measured: Metrics) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=measured.text(), headers={"Content-Type": metrics.CONTENT_TYPE})

    return answer
