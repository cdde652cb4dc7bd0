"""Pages of lists: one state, bounded memory."""

from __future__ import annotations

import pytest

from elasticjob.local.api.call import Call
from elasticjob.local.api.listing import MAX_UNFINISHED_LISTS, Listing, Page
from elasticjob.local.api.objects.builtins import BUILTINS, CONFIGMAPS, NAMESPACES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.store import Store


@pytest.fixture
def store() -> Store:
    store = Store(BUILTINS)
    store.create(NAMESPACES, "", {"metadata": {"name": "n"}})
    for name in "abc":
        store.create(CONFIGMAPS, "n", {"metadata": {"name": name}})
    return store


@pytest.fixture
def listing(store: Store) -> Listing:
    tokens = (str(n) for n in range(1, 1000))
    return Listing(store, lambda: next(tokens))


def page(listing: Listing, **query: str) -> Page:
    return listing.page(CONFIGMAPS, "n", Call("GET", "/", query))


def names(found: Page) -> list[str]:
    return [obj["metadata"]["name"] for obj in found.objects]


def test_later_pages_have_the_state_of_the_first(store: Store, listing: Listing) -> None:
    first = page(listing, limit="2")
    assert (names(first), first.meta["remainingItemCount"]) == (["a", "b"], 1)
    store.create(CONFIGMAPS, "n", {"metadata": {"name": "d"}})
    rest = page(listing, limit="2", **{"continue": first.meta["continue"]})
    assert names(rest) == ["c"]
    assert rest.meta == {"resourceVersion": first.meta["resourceVersion"]}


def test_an_unfinished_list_expires(listing: Listing) -> None:
    token = page(listing, limit="1").meta["continue"]
    for _ in range(MAX_UNFINISHED_LISTS):
        page(listing, limit="1")
    with pytest.raises(ApiError) as caught:
        page(listing, **{"continue": token})
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


@pytest.mark.parametrize(
    ("version", "match", "code"),
    [
        ("", "", None),
        ("0", "", None),
        ("1", "", None),
        ("1", "NotOlderThan", None),
        ("1", "Exact", 410),
        ("", "Exact", 422),
        ("9" * 20, "", 504),
    ],
)
def test_versions(listing: Listing, version: str, match: str, code: int | None) -> None:
    query = {"resourceVersion": version, "resourceVersionMatch": match}
    if code is None:
        assert names(page(listing, **query)) == ["a", "b", "c"]
        return
    with pytest.raises(ApiError) as caught:
        page(listing, **query)
    assert caught.value.code == code
