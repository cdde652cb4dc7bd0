"""kopf itself with our handlers and settings, against the local API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.deadline import eventually
from tests.support.following import DEADLINE_S, following
from tests.support.local_server import LocalServer, local_server

from elasticjob.controller.kube import AwayError, Json, RefusedError
from elasticjob.local.builtins import LEASES
from elasticjob.local.call import Call
from elasticjob.wire import lease as leases
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

JOB = leases.Job("default", "demo", "uid-of-demo")
NAME = "demo-round"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with local_server(tmp_path) as found:
        yield found


def change(server: LocalServer, **spec: Any) -> None:
    def changed(lease: Json) -> Json:
        return {**lease, "spec": {**lease["spec"], **spec}}

    server.call(lambda running: running.store.update(LEASES, "default", NAME, changed))


def create_round(server: LocalServer) -> None:
    lease = leases.round_manifest(JOB, Desired(()), Round(0))
    del lease["metadata"]["ownerReferences"]
    server.call(lambda running: running.store.create(LEASES, "default", lease))


def test_pulses_are_heard_and_only_news_is_told(server: LocalServer) -> None:
    with following(server.running.operator_kubeconfig) as found:

        def holders() -> list[tuple[str, bool]]:
            said = zip(found.bodies, found.seen, strict=False)
            return [(body["spec"].get("holderIdentity", ""), gone) for body, (*_, gone) in said]

        create_round(server)
        eventually(lambda: len(found.seen) == 1)
        change(server, holderIdentity="demo-0-0")
        for second in range(4):
            change(server, renewTime=f"2026-01-01T00:00:0{second}.000000Z")
        change(server, holderIdentity="demo-1-0", renewTime="2026-01-01T00:00:09.000000Z")
        eventually(lambda: len(found.seen) == 3)
        last = server.call(lambda running: running.store.get(LEASES, "default", NAME))
        server.call(lambda running: running.store.delete(LEASES, "default", NAME))
        eventually(lambda: len(found.seen) == 4)
    assert found.heard == 8
    assert holders() == [
        ("", False),
        ("demo-0-0", False),
        ("demo-1-0", False),
        ("demo-1-0", True),
    ]
    assert [key for key in last["metadata"]["annotations"] if "kopf" in key] == []


@pytest.mark.parametrize("plural", ["elasticjobs", "leases", "pods"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [(401, RefusedError), (403, RefusedError), (410, RefusedError), (500, AwayError)],
)
def test_each_watch_that_is_refused_for_good_ends_them_all(
    server: LocalServer, plural: str, code: int, kind: type[Exception]
) -> None:
    def is_of_it(call: Call) -> bool:
        return call.method == "GET" and call.path.endswith(f"/{plural}")

    with following(server.running.operator_kubeconfig, error_backoffs=[0.01]) as found:
        assert found.ready.wait(DEADLINE_S)
        create_round(server)
        eventually(lambda: ("leases", NAME, False) in found.seen)
        server.call(lambda running: running.faults.refuse(code, is_of_it, times=None))
        server.call(lambda running: running.faults.cut_streams(is_of_it))
        why = found.why_ended()
    assert type(why) is kind
    assert str(code) in str(why)
    assert code == 401 or f"/{plural}: " in str(why)
