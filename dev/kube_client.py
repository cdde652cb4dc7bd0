"""A Kubernetes client on http.client, for tools and tests: every byte of a request can be chosen.

The kubernetes package only reads the kubeconfig, so tokens, certificates and exec plugins work.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from kubernetes import client, config

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

Json = dict[str, Any]


class RefusedError(Exception):
    """The API server answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Reply:
    """The API server's answer to one request."""

    code: int
    body: Any
    """Parsed JSON; bytes if the answer is no JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    """By lower-case name."""

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
        """The fields that the causes of a Status name."""
        return {cause["field"] for cause in self.body.get("details", {}).get("causes", ())}

    @property
    def names(self) -> list[str]:
        """The names of the objects of a list."""
        return [item["metadata"]["name"] for item in self.body["items"]]

    def accepted(self) -> Any:
        """The body; raises RefusedError if the code is no 2xx."""
        if 200 <= self.code < 300:
            return self.body
        message = self.body.get("message") if isinstance(self.body, dict) else None
        raise RefusedError(self.code, str(message or self.body))


class Client:
    """Requests to one server as one user, over one connection that is reopened when it breaks.

    A request without an answer raises OSError. No proxy is used.
    """

    def __init__(
        self,
        url: str,
        ca: bytes,
        token: str = "",
        *,
        certificate: tuple[str, str] | None = None,
        is_verified: bool = True,
        timeout_s: float = 20.0,
    ) -> None:
        """Take the CA as PEM, b"" for the system's, and the files of certificate and key."""
        self.url, self.ca, self.token, self.timeout_s = url, ca, token, timeout_s
        self._tls = ssl.create_default_context(cadata=ca.decode() or None)
        # as the agent does: a cluster's CA may have no key identifiers, which Python 3.13 demands
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not is_verified:
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        if certificate:
            self._tls.load_cert_chain(*certificate)
        self._connection: http.client.HTTPSConnection | None = None

    @classmethod
    def from_kubeconfig(
        cls, path: Path | None = None, context: str | None = None, *, timeout_s: float = 20.0
    ) -> Client:
        """Connect to the cluster of a context; None: the file and the context that kubectl uses."""
        found = client.Configuration()
        config.load_kube_config(str(path) if path else None, context, found)
        token = found.get_api_key_with_prefix("BearerToken") or ""
        return cls(
            found.host,
            Path(found.ssl_ca_cert).read_bytes() if found.ssl_ca_cert else b"",
            token.removeprefix("Bearer "),
            certificate=(found.cert_file, found.key_file) if found.cert_file else None,
            is_verified=found.verify_ssl,
            timeout_s=timeout_s,
        )

    def as_user(self, token: str) -> Client:
        """Return a client of the same server with another user's token."""
        return Client(self.url, self.ca, token, timeout_s=self.timeout_s)

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
        if self._connection is None or _is_dropped(self._connection):
            self.close()
            self._connection = self.connect()
        headers = self._headers(accept, content_type if body is not None else None)
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            self._connection.request(method, target, payload, headers)
            response = self._connection.getresponse()
            raw = response.read()
        except OSError:
            self.close()
            raise
        except http.client.HTTPException as error:
            self.close()
            raise ConnectionError(repr(error)) from error
        return Reply(
            response.status, _decoded(raw), {k.lower(): v for k, v in response.getheaders()}
        )

    def get(self, path: str, **query: Any) -> Reply:
        """Send a GET."""
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: Any) -> Reply:
        """Send a POST."""
        return self.request("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: Any) -> Reply:
        """Send a PUT."""
        return self.request("PUT", path, body, **query)

    def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Reply:
        """Send a PATCH, by default a merge patch."""
        return self.request("PATCH", path, body, content_type=kind, **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> Reply:
        """Send a DELETE."""
        return self.request("DELETE", path, body, **query)

    @contextmanager
    def watch(
        self, path: str, *, accept: str = "application/json", **query: Any
    ) -> Iterator[Watch]:
        """Open a watch on its own connection."""
        connection = self.connect()
        try:
            target = f"{path}?{urlencode({'watch': '1', **query})}"
            connection.request("GET", target, headers=self._headers(accept, None))
            response = connection.getresponse()
            yield Watch(response)
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPSConnection:
        """Open a new connection."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=self.timeout_s, context=self._tls
        )

    def _headers(self, accept: str, content_type: str | None) -> dict[str, str]:
        headers = {"Accept": accept}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers | ({"Content-Type": content_type} if content_type else {})


@dataclass(frozen=True)
class Event:
    """One event of a watch."""

    type: str
    object: Any

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])

    @property
    def version(self) -> str:
        """The object's resourceVersion."""
        return str(self.object["metadata"]["resourceVersion"])


class Watch:
    """An open watch: iterate over its events, or take a number of them."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.code = response.status
        self._response = response

    @property
    def status(self) -> Any:
        """The Status of a watch that was refused."""
        return _decoded(self._response.read())

    def __iter__(self) -> Iterator[Event]:
        while line := self._response.readline():
            event = json.loads(line)
            yield Event(event["type"], event["object"])

    def take(self, count: int) -> list[Event]:
        """The next `count` events; blocks until they have arrived."""
        events = iter(self)
        return [next(events) for _ in range(count)]

    def until(self, is_last: Callable[[Event], bool]) -> list[Event]:
        """The next events, up to and including the first for which `is_last` holds."""
        seen = []
        for event in self:
            seen.append(event)
            if is_last(event):
                return seen
        raise AssertionError(f"the watch ended before the wanted event; it sent {seen}")


def _is_dropped(connection: http.client.HTTPSConnection) -> bool:
    """Whether the server has closed an idle connection: then there is something to read."""
    if connection.sock is None:
        return False  # not opened yet
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw
