"""kopf itself with our handlers and settings, against the local API server."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from dev.wait import wait_until
from tests.support.following import DEADLINE_S, following
from tests.support.jobs import elastic_job, worker
from tests.support.local_server import LocalServer, local_server
from tests.support.raw_api import raw_api
from tests.support.relay import relay
from tests.support.scripted_api import kubeconfig

from elasticjob.controller.kube import FailedError, KubeError, RefusedError
from elasticjob.controller.watch.cache import WATCHED
from elasticjob.controller.watch.handlers import EndedError
from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import LEASES, PODS
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

JOB = leases.JobIdentity("default", "demo", "uid-of-demo")
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


def test_pulses_are_counted_and_only_changes_are_delivered(server: LocalServer) -> None:
    with following(server.running.operator_kubeconfig) as found:

        def holders() -> list[tuple[str, bool]]:
            said = zip(found.bodies, found.seen, strict=False)
            return [(body["spec"].get("holderIdentity", ""), gone) for body, (*_, gone) in said]

        create_round(server)
        wait_until(lambda: len(found.seen) == 1)
        change(server, holderIdentity="demo-0-0")
        for second in range(4):
            change(server, renewTime=f"2026-01-01T00:00:0{second}.000000Z")
        change(server, holderIdentity="demo-1-0", renewTime="2026-01-01T00:00:09.000000Z")
        wait_until(lambda: len(found.seen) == 3)
        last = server.call(lambda running: running.store.get(LEASES, "default", NAME))
        server.call(lambda running: running.store.delete(LEASES, "default", NAME))
        wait_until(lambda: len(found.seen) == 4)
    assert found.deliveries == 8
    assert holders() == [
        ("", False),
        ("demo-0-0", False),
        ("demo-1-0", False),
        ("demo-1-0", True),
    ]
    assert [key for key in last["metadata"]["annotations"] if "kopf" in key] == []


EACH_WATCH = ("elasticjobs", "leases", "pods")
EACH_CODE = ((401, RefusedError), (403, RefusedError), (410, RefusedError), (500, FailedError))
FEW = {("elasticjobs", 403), ("leases", 401), ("leases", 410), ("pods", 500)}


@pytest.mark.parametrize(
    ("plural", "code", "kind"),
    [
        pytest.param(plural, *row, marks=() if (plural, row[0]) in FEW else pytest.mark.slow)
        for plural in EACH_WATCH
        for row in EACH_CODE
    ],
)
def test_each_watch_that_is_refused_for_good_ends_them_all(
    server: LocalServer, plural: str, code: int, kind: type[Exception]
) -> None:
    def is_of_it(call: Call) -> bool:
        return call.method == "GET" and call.path.endswith(f"/{plural}")

    options: dict[str, Any] = {"error_backoffs": [0.01], "pauses_s": (0.01,)}
    with following(server.running.operator_kubeconfig, **options) as found:
        assert found.ready.wait(DEADLINE_S)
        create_round(server)
        wait_until(lambda: ("leases", NAME, False) in found.seen)
        server.call(lambda running: running.faults.refuse(code, is_of_it, times=None))
        server.call(lambda running: running.faults.cut_streams(is_of_it))
        why = found.why_ended()
    assert type(why) is kind
    assert str(code) in str(why)
    assert code == 401 or f"/{plural}: " in str(why)
    assert found.starts == 2


@pytest.mark.parametrize("code", [401, 410])
def test_watches_start_again_after_a_refusal_and_the_earlier_ones_deliver_no_more(
    server: LocalServer, code: int
) -> None:
    def is_of_it(call: Call) -> bool:
        return call.method == "GET" and call.path.endswith("/leases")

    def renewals() -> list[str]:
        return [body["spec"].get("holderIdentity", "") for body in found.bodies]

    with following(server.running.operator_kubeconfig, pauses_s=(0.01,)) as found:
        create_round(server)
        wait_until(lambda: ("leases", NAME, False) in found.seen)
        server.call(lambda running: running.faults.refuse(code, is_of_it))
        server.call(lambda running: running.faults.cut_streams(is_of_it))
        wait_until(lambda: found.starts == 2 and len(found.seen) == 2)
        for name in ("demo-0-0", "demo-1-0", "demo-2-0"):
            change(server, holderIdentity=name)
            wait_until(lambda name=name: name in renewals())
    assert renewals() == ["", "", "demo-0-0", "demo-1-0", "demo-2-0"]


def deep_job(name: str) -> bytes:
    """As a real API server stores it: it refuses what is nested more than 10,000 levels deep."""
    body = elastic_job(name)
    body["metadata"] |= {"resourceVersion": "1"}
    body["spec"]["template"]["spec"]["x"] = "DEEP"
    return json.dumps(body).encode().replace(b'"DEEP"', b"[" * 9990 + b"]" * 9990)


def test_an_object_that_no_json_reader_of_python_can_read_ends_no_watch(tmp_path: Path) -> None:
    listed = b'{"metadata":{"resourceVersion":"1"},"items":[%b]}' % deep_job("listed")
    event = b'{"type":"ADDED","object":%b}\n' % deep_job("watched")
    last = json.dumps({"type": "ADDED", "object": {**elastic_job("last"), "status": {}}})
    events = {"elasticjobs": event + last.encode() + b"\n"}
    with (
        raw_api({"elasticjobs": listed}, events) as server,
        following(kubeconfig(tmp_path, server.url)) as found,
    ):
        wait_until(lambda: len(found.seen) == 3)
        assert not found.ended.done()
    assert {name for _, name, _ in found.seen} == {"listed", "watched", "last"}


ERROR = (
    b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcdserver: no leader"}}\n'
)


def test_watches_that_end_again_and_again_end_for_good_in_one_line(tmp_path: Path) -> None:
    with (
        raw_api({}, {"pods": ERROR}, times=3) as server,
        following(kubeconfig(tmp_path, server.url), pauses_s=(0.01, 0.01)) as found,
    ):
        why = found.why_ended()
    assert isinstance(why, EndedError)
    assert isinstance(why, KubeError)
    assert "etcdserver: no leader" in str(why)
    assert len(str(why).splitlines()) == 1
    assert found.starts == 3


def test_watches_that_lasted_may_end_as_often_again(tmp_path: Path) -> None:
    with (
        raw_api({}, {"pods": ERROR}, times=3) as server,
        following(kubeconfig(tmp_path, server.url), pauses_s=(0.01,), lasting_s=0) as found,
    ):
        wait_until(lambda: found.starts == 4)
        wait_until(lambda: found.watchers() == len(WATCHED))  # none is left of earlier starts
        assert not found.ended.done()


def pod(name: str) -> Json:
    meta = {"name": name, "labels": {names.LABEL_JOB: "demo"}}
    return {"metadata": meta, "spec": {"containers": [worker()]}}


def create_pod(server: LocalServer, name: str, **meta: Any) -> None:
    body = pod(name)
    body["metadata"] |= meta
    server.call(lambda running: running.store.create(PODS, "default", body))


def test_a_watch_whose_connection_is_forgotten_is_opened_again(
    server: LocalServer, tmp_path: Path
) -> None:
    with (
        relay(server.running.operator_kubeconfig) as between,
        following(between.kubeconfig(tmp_path), silence_s=0.5) as found,
    ):
        create_pod(server, "before")
        wait_until(lambda: ("pods", "before", False) in found.seen)
        between.forget()
        create_pod(server, "after")
        wait_until(lambda: ("pods", "after", False) in found.seen)
    assert found.starts == 1


@pytest.mark.slow
def test_a_delivery_at_the_end_of_the_silence_ends_no_watch(server: LocalServer) -> None:
    """kopf's own limit of silence ended a watch so, and nothing showed it."""
    made = [f"pod-{number}" for number in range(100)]
    with following(server.running.operator_kubeconfig, silence_s=0.03) as found:
        assert found.ready.wait(DEADLINE_S)
        for name in made:
            create_pod(server, name)
            # Real sockets run into silence_s, so only real time can end a silence at a delivery.
            time.sleep(random.uniform(0.026, 0.032))
        wait_until(lambda: {name for _, name, _ in found.seen} == set(made))
    assert found.starts == 1


def test_the_finalizer_of_another_operator_on_kopf_stays(server: LocalServer) -> None:
    patched: list[str] = []

    def is_patch(call: Call) -> bool:
        patched.extend([call.path] if call.method == "PATCH" else [])
        return call.method == "PATCH"

    finalizers = [kopf.OperatorSettings().persistence.finalizer]
    with following(server.running.operator_kubeconfig) as found:
        server.call(lambda running: running.faults.refuse(403, is_patch, times=None))
        create_pod(server, "other", finalizers=finalizers)
        wait_until(lambda: len(found.seen) == 1)
        server.call(lambda running: running.store.delete(PODS, "default", "other"))
        wait_until(lambda: len(found.seen) == 2)
    assert patched == []
    assert "deletionTimestamp" in found.bodies[-1]["metadata"]
    assert found.bodies[-1]["metadata"]["finalizers"] == finalizers
