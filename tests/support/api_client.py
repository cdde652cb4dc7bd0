"""A Kubernetes client of the standard library: what it sends and gets is all there to see."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TIMEOUT_S = 20


@dataclass(frozen=True)
class Reply:
    """One answer."""

    code: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The resourceVersion of the object or list."""
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def reason(self) -> str:
        """The reason of a Status."""
        return str(self.body.get("reason", ""))

    @property
    def fields(self) -> set[str]:
        """The fields that a Status complains of."""
        return {cause["field"] for cause in self.body.get("details", {}).get("causes", ())}

    @property
    def names(self) -> list[str]:
        """The names in a list."""
        return [item["metadata"]["name"] for item in self.body["items"]]


class Client:
    """Requests to one server as one user, over one connection that is made again when it breaks."""

    def __init__(self, url: str, ca: bytes, token: str) -> None:
        self.url = url
        self.ca = ca
        self.token = token
        self._context = ssl.create_default_context(cadata=ca.decode())
        # as the agent does: a cluster's CA may have no key identifier, and Python 3.13 minds
        self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._connection: http.client.HTTPSConnection | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Client:
        """As the first cluster and user of a file."""
        config = yaml.safe_load(path.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        if "token" not in user or "certificate-authority-data" not in cluster:
            wanted = "its first user needs a token, its first cluster certificate-authority-data"
            raise ValueError(f"{path}: {wanted}")
        ca = base64.b64decode(cluster["certificate-authority-data"])
        return cls(cluster["server"], ca, user["token"])

    def as_user(self, token: str) -> Client:
        """The same server as somebody else."""
        return Client(self.url, self.ca, token)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str | None = "application/json",
        accept: str = "application/json",
        **query: Any,
    ) -> Reply:
        """Send one request and read its answer."""
        if self._connection is None:
            self._connection = self.connect()
        headers = self._headers(accept, content_type if body is not None else None)
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            self._connection.request(method, target, payload, headers)
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        return Reply(
            response.status, _decoded(raw), {k.lower(): v for k, v in response.getheaders()}
        )

    def get(self, path: str, **query: Any) -> Reply:
        """GET."""
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: Any) -> Reply:
        """POST."""
        return self.request("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: Any) -> Reply:
        """PUT."""
        return self.request("PUT", path, body, **query)

    def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Reply:
        """PATCH, a merge patch unless said otherwise."""
        return self.request("PATCH", path, body, content_type=kind, **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> Reply:
        """DELETE."""
        return self.request("DELETE", path, body, **query)

    @contextmanager
    def watch(
        self, path: str, *, accept: str = "application/json", **query: Any
    ) -> Iterator[Watch]:
        """Open a watch on a connection of its own."""
        connection = self.connect()
        try:
            target = f"{path}?{urlencode({'watch': '1', **query})}"
            connection.request("GET", target, headers=self._headers(accept, None))
            response = connection.getresponse()
            yield Watch(response)
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPSConnection:
        """A new connection."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT_S, context=self._context
        )

    def _headers(self, accept: str, content_type: str | None) -> dict[str, str]:
        headers = {"Accept": accept, "Authorization": f"Bearer {self.token}"}
        return headers | ({"Content-Type": content_type} if content_type else {})


@dataclass(frozen=True)
class Seen:
    """One event of a watch."""

    type: str
    object: Any

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])

    @property
    def version(self) -> str:
        """The object's version."""
        return str(self.object["metadata"]["resourceVersion"])


class Watch:
    """An open watch: iterate over its events, or take so many of them."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.code = response.status
        self._response = response

    @property
    def status(self) -> Any:
        """The Status of a watch that was refused."""
        return _decoded(self._response.read())

    def __iter__(self) -> Iterator[Seen]:
        while line := self._response.readline():
            event = json.loads(line)
            yield Seen(event["type"], event["object"])

    def take(self, count: int) -> list[Seen]:
        """The next events, exactly so many; blocks until they are there."""
        events = iter(self)
        return [next(events) for _ in range(count)]

    def until(self, wanted: Callable[[Seen], bool]) -> list[Seen]:
        """The next events, up to and including the wanted one."""
        seen = []
        for event in self:
            seen.append(event)
            if wanted(event):
                return seen
        raise AssertionError(f"the watch ended before the wanted event; it sent {seen}")


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw
