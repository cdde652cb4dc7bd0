from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.raw_api import raw_api
from tests.support.scripted_api import ScriptedApi, kubeconfig, reply, scripted_api

from elasticjob.controller import kube
from elasticjob.controller.kube import Kube
from elasticjob.wire.codec import Json


@contextmanager
def scripted(tmp_path: Path, *answers: tuple[int, Json]) -> Iterator[tuple[Kube, ScriptedApi]]:
    """The operator's client and the server that gives it these answers."""
    with scripted_api(scheme="http") as api:
        api.answer(*(reply(status, body) for status, body in answers))
        with closing(Kube(kubeconfig(tmp_path, api.url), threads=2)) as client:
            yield client, api


def test_the_requests(tmp_path: Path) -> None:
    with scripted(tmp_path, *[(200, {"kind": "Pod"})] * 4) as (client, server):

        async def main() -> None:
            await client.get(kube.PODS, "ns", "p")
            await client.create(kube.LEASES, "ns", {"kind": "Lease"})
            await client.patch(kube.ELASTIC_JOBS, "ns", "j", {"status": {"round": 1}}, "status")
            await client.delete(kube.PODS, "ns", "p", "u1")

        asyncio.run(main())
        jobs = kube.ELASTIC_JOBS.path("ns", "j", "status")
        assert jobs.endswith("/v1alpha1/namespaces/ns/elasticjobs/j/status")
        asked = [(a.method, a.path, a.headers.get("content-type"), a.json) for a in server.requests]
        assert asked == [
            ("GET", "/api/v1/namespaces/ns/pods/p", None, None),
            (
                "POST",
                "/apis/coordination.k8s.io/v1/namespaces/ns/leases",
                "application/json",
                {"kind": "Lease"},
            ),
            ("PATCH", jobs, "application/merge-patch+json", {"status": {"round": 1}}),
            (
                "DELETE",
                "/api/v1/namespaces/ns/pods/p",
                "application/json",
                {"propagationPolicy": "Background", "preconditions": {"uid": "u1"}},
            ),
        ]
        assert {a.headers["authorization"] for a in server.requests} == {"Bearer secret"}


def test_a_list_comes_in_pages(tmp_path: Path) -> None:
    first = {"items": [{"a": 1}], "metadata": {"resourceVersion": "7", "continue": "x/y"}}
    second = {"items": [{"b": 2}], "metadata": {"resourceVersion": "7"}}
    with scripted(tmp_path, (200, first), (200, second)) as (client, server):

        async def main() -> list[kube.Page]:
            return [page async for page in client.list(kube.PODS, "", "a=b")]

        pages = asyncio.run(main())
        assert pages == [kube.Page([{"a": 1}], "7"), kube.Page([{"b": 2}], "7")]
        assert [request.path for request in server.requests] == [
            "/api/v1/pods?limit=500&labelSelector=a%3Db",
            "/api/v1/pods?limit=500&labelSelector=a%3Db&continue=x%2Fy",
        ]


def test_a_list_of_a_field_selector(tmp_path: Path) -> None:
    with scripted(tmp_path, (200, {"items": []})) as (client, server):

        async def main() -> list[kube.Page]:
            return [page async for page in client.list(kube.EVENTS, "ns", fields="a=b,c=d")]

        assert asyncio.run(main()) == [kube.Page([], "")]
        (request,) = server.requests
        assert request.path == "/api/v1/namespaces/ns/events?limit=500&fieldSelector=a%3Db%2Cc%3Dd"


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "NotFound", kube.NotFoundError),
        (409, "AlreadyExists", kube.AlreadyExistsError),
        (409, "Conflict", kube.ConflictError),
        (403, "Forbidden", kube.RefusedError),
        (422, "Invalid", kube.RefusedError),
        (429, "TooManyRequests", kube.UnavailableError),
        (500, "InternalError", kube.FailedError),
        (500, "", kube.FailedError),  # a webhook denies with a code and gives no reason
        (503, "", kube.UnavailableError),
    ],
)
def test_errors(tmp_path: Path, status: int, reason: str, kind: type[Exception]) -> None:
    said = {"kind": "Status", "reason": reason, "message": "no"}
    with scripted(tmp_path, (status, said)) as (client, _):
        with pytest.raises(kube.KubeError) as raised:
            asyncio.run(client.get(kube.PODS, "ns", "p"))
        assert type(raised.value) is kind
        assert str(raised.value) == f"GET /api/v1/namespaces/ns/pods/p: {status}: no"
        assert raised.value.server_message == "no"


def test_an_api_server_that_is_not_there(tmp_path: Path) -> None:
    with scripted(tmp_path) as (_, server):
        url = server.url
    seen: list[int] = []
    observe: Callable[[str, kube.Resource, int], None] = lambda method, resource, status: (  # noqa: E731
        seen.append(status)
    )
    client = Kube(kubeconfig(tmp_path, url), threads=1, on_answer=observe)
    with pytest.raises(kube.UnavailableError, match=r"no answer: .*refused"):
        asyncio.run(client.get(kube.PODS, "ns", "p"))
    client.close()
    assert seen == [0]


def test_credentials_for_the_watches(tmp_path: Path) -> None:
    client = Kube(kubeconfig(tmp_path, "http://127.0.0.1:1"), threads=1)
    found = client.credentials()
    client.close()
    assert (found.server, found.scheme, found.token) == ("http://127.0.0.1:1", "Bearer", "secret")


def test_a_missing_configuration_is_reported_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("{}")
    with pytest.raises(kube.RefusedError, match=r"correct .*broken"):
        Kube(tmp_path / "broken", threads=1)


def test_an_object_that_is_nested_too_deep_is_read(tmp_path: Path) -> None:
    """As far as Python's JSON reader goes; a list with it, too."""
    deep = b'{"metadata":{"name":"deep"},"spec":%b}' % (b'{"a":' * 9990 + b"1" + b"}" * 9990)
    listed = b'{"metadata":{"resourceVersion":"1"},"items":[%b,{"metadata":{"name":"b"}}]}' % deep

    async def names(client: Kube) -> list[str]:
        page = await anext(client.list(kube.PODS, "", ""))
        return [item["metadata"]["name"] for item in page.items]

    with raw_api({"pods": listed}, {}) as server:
        client = Kube(kubeconfig(tmp_path, server.url), threads=1)
        assert asyncio.run(names(client)) == ["deep", "b"]
        client.close()
