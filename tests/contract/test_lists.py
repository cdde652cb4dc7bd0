"""Lists: selectors, pages, versions."""

from __future__ import annotations

import pytest
from dev.kube_client import Client

from elasticjob.local.api.kinds.accounts import CA_CONFIGMAP

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def three(api: Client, configmaps: str) -> None:
    for name, tier in (("a", "web"), ("b", "web"), ("c", "db")):
        labels = {"tier": tier, "name": name}
        assert api.post(configmaps, {"metadata": {"name": name, "labels": labels}}).code == 201


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=web", ["a", "b"]),
        ("tier==web,name!=a", ["b"]),
        ("tier in (web,db),name notin (a)", ["b", "c"]),
        ("tier,!missing", ["a", "b", "c"]),
        ("!tier", [CA_CONFIGMAP]),
        ("tier notin (web)", ["c", CA_CONFIGMAP]),
        ("name in ()", []),
    ],
)
def test_label_selectors(api: Client, configmaps: str, selector: str, expected: list[str]) -> None:
    assert api.get(configmaps, labelSelector=selector).names == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=b", ["b"]),
        ("metadata.name=b,metadata.name=c", []),
        (f"metadata.name!=b,metadata.name!=c,metadata.name!={CA_CONFIGMAP}", ["a"]),
    ],
)
def test_field_selectors(api: Client, configmaps: str, selector: str, expected: list[str]) -> None:
    assert api.get(configmaps, fieldSelector=selector).names == expected


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "tier in web"},
        {"labelSelector": "=x"},
        {"fieldSelector": "data.x=1"},
        {"fieldSelector": "nonsense"},
        {"limit": "x"},
    ],
)
def test_selectors_that_cannot_be_parsed(
    api: Client, configmaps: str, query: dict[str, str]
) -> None:
    reply = api.get(configmaps, **query)
    assert (reply.code, reply.reason) == (400, "BadRequest")


def test_pages_show_one_state(api: Client, configmaps: str) -> None:
    query = {"labelSelector": "tier", "limit": "2"}
    first = api.get(configmaps, **query)
    api.delete(f"{configmaps}/c")
    second = api.get(configmaps, **query, **{"continue": first.body["metadata"]["continue"]})
    assert (first.names, second.names) == (["a", "b"], ["c"])
    assert first.version == second.version
    assert "continue" not in second.body["metadata"]


def test_a_list_has_a_kind_and_its_items_have_none(
    api: Client, configmaps: str, widgets: str
) -> None:
    reply = api.get(configmaps)
    assert (reply.body["kind"], reply.body["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in reply.body["items"][0]
    assert api.get(widgets).body["kind"] == "WidgetList"


def test_a_list_of_a_future_version_waits_or_fails(api: Client, configmaps: str) -> None:
    future = str(int(api.get(configmaps).version) + 1_000_000)
    reply = api.get(configmaps, resourceVersion=future, resourceVersionMatch="NotOlderThan")
    assert (reply.code, reply.reason) == (504, "Timeout")


def test_a_list_of_metadata_only_in_pages(api: Client, configmaps: str) -> None:
    kind = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    page = api.get(configmaps, accept=kind, labelSelector="tier=web", limit="1")
    assert (page.code, page.body["kind"], page.names) == (200, "PartialObjectMetadataList", ["a"])
    (item,) = page.body["items"]
    assert set(item) <= {"kind", "apiVersion", "metadata"}
    assert item["metadata"]["labels"] == {"tier": "web", "name": "a"}
    rest = {"continue": page.body["metadata"]["continue"], "labelSelector": "tier=web"}
    assert api.get(configmaps, accept=kind, **rest).names == ["b"]
