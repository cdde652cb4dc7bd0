"""A Kubernetes client on http.client, for tools and tests: every byte of a request can be chosen.

The kubernetes package only reads the kubeconfig, so tokens, certificates and exec plugins work.
docs/cluster.md lists the limits.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
from collections.abc import Callable, Iterator, Mapping
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


class KubeconfigError(Exception):
    """The kubeconfig needs a feature that the client lacks; the message names it and the cure."""


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

    A request without an answer raises OSError. The client uses no proxy. After a 401, it reads the
    token again, and repeats the request if there is a new one: tokens of exec plugins are short.
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
        read_token: Callable[[], str] | None = None,
    ) -> None:
        """Take the CA as PEM, b"" for the system's, and the files of certificate and key."""
        self.url, self.ca, self.token, self.timeout_s = url, ca, token, timeout_s
        self._read_token = read_token
        self._tls = ssl.create_default_context(cadata=ca.decode() or None)
        # as the agent does: a cluster's CA may have no key identifiers, which Python 3.13 demands
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not is_verified:
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        if certificate:
            self._tls.load_cert_chain(*certificate)
        self._connection: http.client.HTTPConnection | None = None

    @classmethod
    def from_kubeconfig(
        cls, path: Path | None = None, context: str | None = None, *, timeout_s: float = 20.0
    ) -> Client:
        """Connect to the cluster of a context; None: the file and the context that kubectl uses.

        Raises KubeconfigError.
        """
        found = _read_kubeconfig(path, context)
        return cls(
            found.host,
            Path(found.ssl_ca_cert).read_bytes() if found.ssl_ca_cert else b"",
            _token(found),
            certificate=(found.cert_file, found.key_file) if found.cert_file else None,
            is_verified=found.verify_ssl,
            timeout_s=timeout_s,
            read_token=lambda: _token(_read_kubeconfig(path, context)),
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
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        target = self._target(path, query)
        content_type = content_type if body is not None else None
        reply = self._send(method, target, payload, self._headers(accept, content_type))
        if reply.code == 401 and self._renew_token():
            reply = self._send(method, target, payload, self._headers(accept, content_type))
        return reply

    def _send(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> Reply:
        if self._connection is None or _is_dropped(self._connection):
            self.close()
            self._connection = self.connect()
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
            target = self._target(path, {"watch": "1", **query})
            connection.request("GET", target, headers=self._headers(accept, None))
            response = connection.getresponse()
            if response.status == 401 and self._renew_token():
                connection.close()
                connection.request("GET", target, headers=self._headers(accept, None))
                response = connection.getresponse()
            yield Watch(response)
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """Open a new connection."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout_s)
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=self.timeout_s, context=self._tls
        )

    def _target(self, path: str, query: Mapping[str, Any]) -> str:
        """The target of a request: a server's URL may have a path, as behind a gateway."""
        prefix = urlsplit(self.url).path.rstrip("/")
        return prefix + path + (f"?{urlencode(query)}" if query else "")

    def _renew_token(self) -> bool:
        """Read the token again; whether it is a new one."""
        token = self._read_token() if self._read_token else self.token
        is_new, self.token = token != self.token, token
        return is_new

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


def _read_kubeconfig(path: Path | None, context: str | None) -> client.Configuration:
    found = client.Configuration()
    found.proxy = None  # else that of the environment, which this client does not use
    config.load_kube_config(str(path) if path else None, context, found)
    for feature, value in (("proxy-url", found.proxy), ("tls-server-name", found.tls_server_name)):
        if value:
            where = f"{path or config.KUBE_CONFIG_DEFAULT_LOCATION}: cluster {found.host}"
            cure = "use the --context of another cluster, or a kubeconfig for `kubectl proxy`"
            raise KubeconfigError(f"{where}: {feature} {value} is not supported: {cure}")
    return found


def _token(found: client.Configuration) -> str:
    return str(found.get_api_key_with_prefix("BearerToken") or "").removeprefix("Bearer ")


def _is_dropped(connection: http.client.HTTPConnection) -> bool:
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
