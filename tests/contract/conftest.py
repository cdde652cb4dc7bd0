"""The server of the contract tests: the local one, or that of CONTRACT_KUBECONFIG.

The tests describe a Kubernetes API server. On a real one they check the tests; on the local one
they check the server. A test of something that a real one cannot show uses the fixture `local`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.local_server import LocalServer, local_server
from tests.support.widgets import WIDGET, jobs_path, widget_object

from elasticjob.api.crd import custom_resource_definition
from elasticjob.local.api.kinds.accounts import CA_CONFIGMAP
from elasticjob.local.api.server import AGENT_ROLE

REAL = os.environ.get("CONTRACT_KUBECONFIG")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer | None]:
    if REAL:
        yield None
        return
    with local_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def kubeconfig(own_server: LocalServer | None) -> Path:
    return own_server.running.kubeconfig if own_server else Path(str(REAL))


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[Client]:
    client = Client.from_kubeconfig(kubeconfig)
    for definition in (WIDGET, custom_resource_definition()):
        client.post(CRDS, definition)
    client.post(CLUSTER_ROLES, AGENT_ROLE)
    for path in ("/apis/contract.example/v1/widgets", jobs_path()):
        wait_until(lambda path=path: client.get(path).code == 200)
    yield client
    client.close()


@pytest.fixture
def initial(api: Client) -> dict[str, str]:
    """The query of a watch that starts with all existing objects and marks their end."""
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with api.watch("/api/v1/namespaces", **query) as watch:
        if watch.code == 422:
            pytest.skip("WatchList is off: make contract")
    return query


@pytest.fixture
def local(own_server: LocalServer | None) -> LocalServer:
    """The local server, with access to its internals."""
    if own_server is None:
        pytest.skip("needs the internals of the local server: make test")
    return own_server


@pytest.fixture
def namespace(api: Client) -> Iterator[str]:
    """Create a namespace, and wait for the objects that controllers create in each one."""
    name = f"contract-{secrets.token_hex(4)}"
    path = f"/api/v1/namespaces/{name}"
    assert api.post("/api/v1/namespaces", {"metadata": {"name": name}}).code == 201
    for made in ("serviceaccounts/default", f"configmaps/{CA_CONFIGMAP}"):
        wait_until(lambda made=made: api.get(f"{path}/{made}").code == 200)
    yield name
    api.delete(path)


@pytest.fixture
def leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


@pytest.fixture
def configmaps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


@pytest.fixture
def widgets(namespace: str) -> str:
    return f"/apis/contract.example/v1/namespaces/{namespace}/widgets"


@pytest.fixture
def widget(api: Client, widgets: str) -> Callable[..., dict[str, Any]]:
    """A function that creates a widget."""

    def make(name: str = "w", **spec: Any) -> dict[str, Any]:
        reply = api.post(widgets, widget_object(name, **spec))
        assert reply.code == 201, reply.body
        made: dict[str, Any] = reply.body
        return made

    return make
