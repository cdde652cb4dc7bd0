from __future__ import annotations

from elasticjob.agent.api.lease_requests import LeaseRequests, by_label, by_name

LEASES = LeaseRequests("team")
PATH = "/apis/coordination.k8s.io/v1/namespaces/team/leases"


def test_one_lease() -> None:
    got = LEASES.get("a")
    assert (got.method, got.path, got.body) == ("GET", f"{PATH}/a", b"")
    patched = LEASES.patch("a", {"x": None})
    assert (patched.method, patched.path, patched.body) == ("PATCH", f"{PATH}/a", b'{"x":null}')
    assert patched.content_type == "application/merge-patch+json"
    made = LEASES.create({"kind": "Lease"})
    assert (made.method, made.path, made.content_type) == ("POST", PATH, "application/json")


def test_a_list_is_a_consistent_read() -> None:
    assert LEASES.list(by_name("a")).path == f"{PATH}?fieldSelector=metadata.name%3Da"


def test_a_watch_begins_with_all_leases_or_after_a_version() -> None:
    query = "labelSelector=example.com/job%3Duid&watch=true&allowWatchBookmarks=true"
    selection = by_label("example.com/job", "uid")
    initial = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    assert LEASES.watch(selection, None).path == f"{PATH}?{query}{initial}"
    assert LEASES.watch(selection, "7").path == f"{PATH}?{query}&resourceVersion=7"
