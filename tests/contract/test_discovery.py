"""Discovery, version, OpenAPI and tables, which clients read first."""

from __future__ import annotations

from typing import Any

import pytest
from dev.kube_client import Client, Reply
from dev.wait import wait_until

pytestmark = pytest.mark.slow

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def test_versions(api: Client) -> None:
    body = api.get("/version").body
    assert body["major"] == "1"
    assert body["gitVersion"].startswith("v1.")


def test_our_own_version_is_honest(api: Client, local: Any) -> None:
    assert api.get("/version").body["gitVersion"] == "v1.34.0-elasticjob-local"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health(api: Client, path: str) -> None:
    assert (api.get(path).code, api.get(path).body) == (200, b"ok")


def test_legacy_groups(api: Client) -> None:
    assert api.get("/api").body["versions"] == ["v1"]
    groups = {group["name"]: group for group in api.get("/apis").body["groups"]}
    assert groups["coordination.k8s.io"]["preferredVersion"]["version"] == "v1"
    assert groups["contract.example"]["versions"] == [
        {"groupVersion": "contract.example/v1", "version": "v1"}
    ]
    assert api.get("/apis/contract.example").body["name"] == "contract.example"


def test_legacy_resources(api: Client) -> None:
    found = {item["name"]: item for item in api.get("/apis/contract.example/v1").body["resources"]}
    widgets = found["widgets"]
    assert (widgets["kind"], widgets["singularName"]) == ("Widget", "widget")
    assert widgets["shortNames"] == ["wi"]
    assert {"list", "watch", "patch", "create", "delete"} <= set(widgets["verbs"])
    assert set(found["widgets/status"]["verbs"]) == {"get", "patch", "update"}
    assert found["widgets/scale"]["kind"] == "Scale"
    core = {item["name"]: item for item in api.get("/api/v1").body["resources"]}
    assert core["pods"]["namespaced"]
    assert not core["namespaces"]["namespaced"]


def test_aggregated(api: Client) -> None:
    reply = api.get("/apis", accept=f"{AGGREGATED},application/json")
    assert reply.headers["content-type"].replace(" ", "") == AGGREGATED
    groups = {item["metadata"]["name"]: item for item in reply.body["items"]}
    resource = groups["contract.example"]["versions"][0]["resources"][0]
    assert (resource["resource"], resource["scope"]) == ("widgets", "Namespaced")
    assert resource["responseKind"]["kind"] == "Widget"
    assert {item["subresource"] for item in resource["subresources"]} == {"status", "scale"}


def test_openapi_shows_that_the_server_validates(api: Client) -> None:
    def document() -> Reply:
        """Get a document by its address in the index, which changes with the content."""
        entry = api.get("/openapi/v3").body["paths"].get("apis/contract.example/v1", {})
        return api.get(entry.get("serverRelativeURL", "/nowhere"))

    assert "api/v1" in api.get("/openapi/v3").body["paths"]
    wait_until(lambda: document().code == 200)
    item = document().body["paths"][
        "/apis/contract.example/v1/namespaces/{namespace}/widgets/{name}"
    ]
    assert item["patch"]["x-kubernetes-group-version-kind"]["kind"] == "Widget"
    query = {parameter.get("name") for parameter in item["patch"]["parameters"]}
    assert "fieldValidation" in query


class TestTables:
    def test_of_a_custom_resource(self, api: Client, widgets: str, widget: Any) -> None:
        widget(replicas=3)
        conditions = [{"type": "Complete", "status": "True"}]
        api.patch(f"{widgets}/w/status", {"status": {"phase": "Up", "conditions": conditions}})
        table = api.get(widgets, accept=TABLE).body
        assert table["kind"] == "Table"
        columns = [(item["name"], item["priority"]) for item in table["columnDefinitions"]]
        assert columns == [("Name", 0), ("Want", 0), ("Phase", 0), ("Age", 0), ("Done", 1)]
        name, want, phase, age, done = table["rows"][0]["cells"]
        assert (name, want, phase, done) == ("w", 3, "Up", "True")
        assert age.endswith("s")
        assert table["rows"][0]["object"]["metadata"]["name"] == "w"

    def test_of_pods(self, api: Client, pods: str) -> None:
        containers = [{"name": "w", "image": "i"}]
        api.post(pods, {"metadata": {"name": "p"}, "spec": {"containers": containers}})
        table = api.get(pods, accept=TABLE).body
        names = [item["name"] for item in table["columnDefinitions"]]
        assert names[:5] == ["Name", "Ready", "Status", "Restarts", "Age"]
        assert table["rows"][0]["cells"][:3] == ["p", "0/1", "Pending"]

    def test_in_watches(self, api: Client, widgets: str, widget: Any) -> None:
        widget()
        version = api.get(widgets).version
        with api.watch(widgets, resourceVersion=version, accept=TABLE) as watch:
            api.patch(f"{widgets}/w", {"spec": {"replicas": 7}})
            event = watch.take(1)[0]
        assert event.object["kind"] == "Table"
        assert event.object["rows"][0]["cells"][:2] == ["w", 7]
