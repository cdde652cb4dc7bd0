from __future__ import annotations

from pathlib import Path

from dev.cluster.api import Api
from tests.support.scripted_api import Cut, Reply, kubeconfig, reply, scripted_api


def test_each_request_closes_its_connection(tmp_path: Path) -> None:
    with scripted_api(scheme="http") as server:
        ready = {"type": "Ready", "status": "True"}
        node = {"metadata": {"name": "node1"}, "status": {"conditions": [ready]}}
        server.answer(Reply(200, b"ok"), reply(200, {"items": [node]}), Cut())
        api = Api(kubeconfig(tmp_path, server.url))
        assert api.ready()
        assert api.ready_nodes() == {"node1"}
        assert not api.ready()
    assert [request.connection for request in server.requests] == [1, 2, 3]
