"""Discovery in the legacy and the aggregated form."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.api.call import Call
from elasticjob.local.api.discovery import AGGREGATED, respond
from elasticjob.local.api.objects.builtins import BUILTINS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.store import Store


@pytest.fixture
def store() -> Store:
    return Store(BUILTINS)


def ask(store: Store, path: str, accept: str = "application/json") -> Any:
    return respond(store, Call("GET", path, accept=accept)).body


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (f"{AGGREGATED},application/json", "APIGroupDiscoveryList"),
        (AGGREGATED.replace(";", "; "), "APIGroupDiscoveryList"),
        (
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
            "APIGroupList",
        ),
        ("application/json", "APIGroupList"),
        ("*/*", "APIGroupList"),
    ],
)
def test_newer_clients_get_aggregated_and_older_ones_legacy_discovery(
    store: Store, accept: str, kind: str
) -> None:
    assert ask(store, "/apis", accept)["kind"] == kind


@pytest.mark.parametrize("path", ["/apis/unknown", "/apis/unknown/v1", "/api/v2", "/", "/metrics"])
def test_unknown_paths_are_refused(store: Store, path: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(store, path)
    assert caught.value.code == 404


def test_the_url_of_a_document_changes_with_it(store: Store) -> None:
    path = "api/v1"
    before = ask(store, "/openapi/v3")["paths"][path]
    assert ask(store, "/openapi/v3")["paths"][path] == before
    for resource in list(store.resources.values()):
        if resource.plural == "secrets":
            store.unregister(resource)
    assert ask(store, "/openapi/v3")["paths"][path] != before


def test_the_openapi_v2_document_is_empty(store: Store) -> None:
    found = respond(store, Call("GET", "/openapi/v2"))
    assert found.body == b""
    assert "@" not in found.content_type
