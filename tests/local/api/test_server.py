"""The server as a whole: files, initial objects, fault injection, end."""

from __future__ import annotations

import http.client
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.local_server import LocalServer, local_server

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.errors import bad_request
from elasticjob.wire.names import AGENT_CLUSTER_ROLE, KIND

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
POD = {
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "w", "image": "i"}, {"name": "x", "image": "i"}]},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("server") / "root") as server:
        yield server


@pytest.fixture
def api(server: LocalServer) -> Iterator[Client]:
    with closing(Client.from_kubeconfig(server.running.kubeconfig)) as client:
        yield client


def to(method: str, path: str) -> Callable[[Call], bool]:
    return lambda call: call.method == method and call.path == path


def test_only_the_owner_can_read_its_files(server: LocalServer) -> None:
    running = server.running
    for path in (running.kubeconfig, running.operator_kubeconfig, running.ca_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.kubeconfig.parent.stat().st_mode) == 0o700
    assert running.url.startswith("https://127.0.0.1:")
    assert running.token != running.operator_token


def test_the_operators_kubeconfig_works(server: LocalServer) -> None:
    with closing(Client.from_kubeconfig(server.running.operator_kubeconfig)) as operator:
        assert operator.get("/api/v1/namespaces").code == 200


def test_it_has_its_initial_objects_before_it_listens(api: Client) -> None:
    names = api.get("/api/v1/namespaces").names
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert api.get("/api/v1/namespaces/default/serviceaccounts").names == ["default"]
    assert api.get(f"{CONFIGMAPS}/kube-root-ca.crt").body["data"]["ca.crt"].encode() == api.ca
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert api.get(f"{roles}/{AGENT_CLUSTER_ROLE}").code == 200
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    kinds = [item["spec"]["names"]["kind"] for item in api.get(definitions).body["items"]]
    assert kinds == [KIND]


def test_a_body_that_is_too_large_is_refused(api: Client) -> None:
    body = {"metadata": {"name": "big"}, "data": {"a": "x" * (3 * 1024 * 1024)}}
    reply = api.post(CONFIGMAPS, body)
    assert (reply.code, reply.reason) == (413, "RequestEntityTooLarge")


class TestLogs:
    @pytest.fixture(autouse=True)
    def pod(self, api: Client) -> Iterator[None]:
        api.post(PODS, POD)
        yield
        api.delete(f"{PODS}/p")

    @pytest.fixture
    def asked(self, server: LocalServer) -> list[Call]:
        asked: list[Call] = []

        async def chunks() -> AsyncIterator[bytes]:
            yield b"one\n"
            yield b"two\n"

        def source(pod: dict[str, Any], call: Call) -> AbstractContextManager[AsyncIterator[bytes]]:
            if "sinceTime" in call.query:
                raise bad_request("sinceTime: not supported")
            return opened(call)

        @contextmanager
        def opened(call: Call) -> Iterator[AsyncIterator[bytes]]:
            if "previous" in call.query:
                raise bad_request("no such log")
            asked.append(call)
            yield chunks()

        server.call(lambda running: running.serve_logs(source))
        return asked

    def test_the_kubelet_serves_logs(self, api: Client, asked: list[Call]) -> None:
        reply = api.get(f"{PODS}/p/log", container="w", follow="true", tailLines="5")
        assert (reply.code, reply.body) == (200, b"one\ntwo\n")
        assert asked[0].query["tailLines"] == "5"

    def test_an_unavailable_log_is_refused_before_the_stream(
        self, api: Client, asked: list[Call]
    ) -> None:
        reply = api.get(f"{PODS}/p/log", sinceTime="x")
        assert (reply.code, reply.body["message"]) == (400, "sinceTime: not supported")
        reply = api.get(f"{PODS}/p/log", previous="true")
        assert (reply.code, reply.body["message"]) == (400, "no such log")
        assert asked == []


def test_without_a_kubelet_there_are_no_logs(tmp_path: Path) -> None:
    with (
        local_server(tmp_path, definitions=[], admission=[]) as server,
        closing(Client.from_kubeconfig(server.running.kubeconfig)) as client,
    ):
        client.post(PODS, POD)
        assert client.get(f"{PODS}/p/log").code == 404


class TestFaults:
    def test_a_refusal_applies_to_a_number_of_requests(
        self, server: LocalServer, api: Client
    ) -> None:
        server.call(
            lambda running: running.faults.refuse(
                429, to("GET", CONFIGMAPS), times=2, retry_after_s=3
            )
        )
        replies = [api.get(CONFIGMAPS) for _ in range(3)]
        assert [reply.code for reply in replies] == [429, 429, 200]
        assert replies[0].headers["retry-after"] == "3"
        assert replies[0].body["details"]["retryAfterSeconds"] == 3

    def test_a_refusal_can_have_a_message(self, server: LocalServer, api: Client) -> None:
        said = 'configmaps "a" is forbidden: exceeded quota: team-quota'
        server.call(
            lambda running: running.faults.refuse(403, to("POST", CONFIGMAPS), message=said)
        )
        reply = api.post(CONFIGMAPS, {"metadata": {"name": "a"}})
        assert (reply.code, reply.body["reason"]) == (403, "Forbidden")
        assert reply.body["message"] == said

    @pytest.mark.parametrize(("after", "done"), [(False, False), (True, True)])
    def test_a_request_is_cut_before_or_after_it_is_performed(
        self, server: LocalServer, api: Client, after: bool, done: bool
    ) -> None:
        name = f"cut-{after}".lower()
        server.call(lambda running: running.faults.cut(to("POST", CONFIGMAPS), after=after))
        with pytest.raises((OSError, http.client.HTTPException)):
            api.post(CONFIGMAPS, {"metadata": {"name": name}})
        assert (api.get(f"{CONFIGMAPS}/{name}").code == 200) is done

    def test_a_frozen_server_responds_after_thawing(self, server: LocalServer, api: Client) -> None:
        server.call(lambda running: running.faults.freeze())
        answered = threading.Event()

        def ask() -> None:
            assert api.get(CONFIGMAPS).code == 200
            answered.set()

        thread = threading.Thread(target=ask)
        thread.start()
        assert not answered.wait(0.2)
        server.call(lambda running: running.faults.thaw())
        assert answered.wait(10)
        thread.join()

    def test_open_watches_can_be_cut(self, server: LocalServer, api: Client) -> None:
        with api.watch(CONFIGMAPS, resourceVersion=api.get(CONFIGMAPS).version) as watch:
            wait_until(lambda: server.call(lambda running: running.faults.cut_streams()) == 1)
            assert list(watch) == []
        wait_until(lambda: server.call(lambda running: len(running.watches)) == 0)

    def test_a_fault_can_be_removed(self, server: LocalServer, api: Client) -> None:
        order = server.call(
            lambda running: running.faults.refuse(500, to("GET", CONFIGMAPS), times=None)
        )
        assert [api.get(CONFIGMAPS).code for _ in range(3)] == [500, 500, 500]
        server.call(lambda running: running.faults.remove(order))
        assert api.get(CONFIGMAPS).code == 200

    def test_a_request_can_be_delayed(self, server: LocalServer, api: Client) -> None:
        server.call(lambda running: running.faults.delay(0.05, to("GET", CONFIGMAPS)))
        assert api.get(CONFIGMAPS).code == 200


def test_an_open_watch_does_not_delay_the_end(tmp_path: Path) -> None:
    with local_server(tmp_path, definitions=[], admission=[]) as server:
        client = Client.from_kubeconfig(server.running.kubeconfig)
        connection = client.connect()
        headers = {"Authorization": f"Bearer {client.token}"}
        connection.request("GET", f"{CONFIGMAPS}?watch=1", headers=headers)
        response = connection.getresponse()
        assert response.readline()
    response.close()
    connection.close()


def test_a_server_without_watch_lists_refuses_them(tmp_path: Path) -> None:
    with (
        local_server(tmp_path, definitions=[], admission=[], watch_list=False) as server,
        closing(Client.from_kubeconfig(server.running.kubeconfig)) as client,
    ):
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        with client.watch(CONFIGMAPS, **query) as watch:
            assert watch.code == 422
            assert "WatchList feature gate" in watch.status["message"]


def test_an_internal_error_is_500_and_does_not_affect_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(resource: Any, new: Any, old: Any) -> Any:
        if new["metadata"]["name"] == "break":
            raise RuntimeError("boom")
        return new

    with (
        local_server(tmp_path, definitions=[], admission=[broken]) as server,
        closing(Client.from_kubeconfig(server.running.kubeconfig)) as client,
    ):
        reply = client.post(CONFIGMAPS, {"metadata": {"name": "break"}})
        assert (reply.code, reply.reason) == (500, "InternalError")
        assert client.post(CONFIGMAPS, {"metadata": {"name": "fine"}}).code == 201
    assert "POST /api/v1/namespaces/default/configmaps failed" in caplog.text
