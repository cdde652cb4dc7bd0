"""The operator's client of the API server: raw dicts in and out. No other module has a client.

The official client provides configuration, credentials and TLS. Its typed models are not used: a
round trip through them silently drops every field that they do not have. Requests block, so they
run on a few threads, each with a deadline.

    KubeError
      NotFoundError       404
      AlreadyExistsError  409 on a create
      ConflictError       409: the object has another version or UID than the write was made for
      RefusedError        other 4xx
      UnavailableError    other 5xx, 429, no connection, no answer in time
        FailedError       500: the API server answers, but this request failed
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

import urllib3
from kubernetes import config as kubernetes_config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import should_bypass_proxies

from elasticjob.wire import names, untrusted
from elasticjob.wire.codec import Json

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 15.0
PAGE = 500
NOT_INSTALLED = "the definition of ElasticJob is not installed: apply crds/ first"
_JSON = "application/json"
_ONLY_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_MERGE_PATCH = "application/merge-patch+json"


class KubeError(Exception):
    """An error of a request.

    reason: of the API server's Status. server_message: the API server's message alone; the text of
    the exception has the request, too.
    """

    def __init__(self, message: str, reason: str = "", server_message: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.server_message = server_message or message


class NotFoundError(KubeError):
    """The object does not exist."""


class AlreadyExistsError(KubeError):
    """An object with this name exists."""


class ConflictError(KubeError):
    """The object has another version or UID than the write was made for."""


class RefusedError(KubeError):
    """The API server refused this request: a missing right, a quota, admission, or a bad field.
    Other requests may succeed."""


class UnavailableError(KubeError):
    """The API server cannot be reached, is overloaded, or failed. A later try may succeed."""


class FailedError(UnavailableError):
    """The API server, an admission webhook or a quota failed at this request. Other requests may
    succeed: a webhook, for one, is called for some kinds of objects only."""


@dataclass(frozen=True)
class Resource:
    """A kind of namespaced objects by its path in the API."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of a collection or an object; an empty namespace means all namespaces."""
        parts = [f"apis/{self.group}" if self.group else "api", self.version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [part for part in (self.plural, quote(name), subresource) if part]
        return "/" + "/".join(parts)


ELASTIC_JOBS = Resource(names.GROUP, names.VERSION, names.PLURAL)
PODS = Resource("", "v1", "pods")
EVENTS = Resource("", "v1", "events")
CONFIG_MAPS = Resource("", "v1", "configmaps")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings")


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Json]
    version: str  # of the whole collection, the same for all pages


class Api(Protocol):
    """The requests that the operator sends to the API server. Each raises KubeError."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Read one object, consistently."""

    def list(
        self,
        resource: Resource,
        namespace: str,
        selector: str = "",
        metadata: bool = False,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """Read a collection page by page, consistently; an empty namespace means all namespaces.

        selector, fields: of labels and of fields. metadata: read nothing else of the objects.
        """

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Create an object. Raises AlreadyExistsError if one of this name exists."""

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Json, subresource: str = ""
    ) -> Json:
        """Apply a merge patch; one with a resourceVersion applies to that version only."""

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this UID, and in the background the objects that it owns."""


@dataclass(frozen=True)
class Credentials:
    """What another client needs to connect in the same way. Paths are those of files."""

    server: str
    ca_path: str | None = None
    verify: bool = True
    scheme: str | None = None
    token: str | None = None
    username: str | None = None
    password: str | None = None
    certificate_path: str | None = None
    key_path: str | None = None
    proxy: str | None = None


class Kube:
    """The client for the cluster of a kubeconfig, or for the cluster that the operator runs in.

    on_answer: called with method, resource and status of each answer (0: none), for the metrics.
    before_write: called on the sending thread right before a write; it may end the process.
    """

    def __init__(
        self,
        kubeconfig: Path | None,
        *,
        threads: int,
        on_answer: Callable[[str, Resource, int], None] = lambda method, resource, status: None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._configuration = _configuration(kubeconfig)
        self._configuration.connection_pool_maxsize = threads
        self._configuration.retries = urllib3.Retry(0)  # the queue's back-off is the only one
        self._client = ApiClient(self._configuration)
        self._client.user_agent = "elasticjob-controller"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="kube")
        self._on_answer = on_answer
        self._before_write = before_write

    def close(self) -> None:
        """End the threads and the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def credentials(self) -> Credentials:
        """The current credentials; a token that expires is read from its file again."""
        found = self._configuration
        header = found.get_api_key_with_prefix("BearerToken")
        header = header or found.get_api_key_with_prefix("authorization") or ""
        scheme, _, token = header.rpartition(" ")
        return Credentials(
            server=found.host,
            ca_path=found.ssl_ca_cert,
            verify=found.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            username=found.username or None,
            password=found.password or None,
            certificate_path=found.cert_file,
            key_path=found.key_file,
            proxy=found.proxy,
        )

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """As in Api."""
        return await self._call("GET", resource, resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str,
        selector: str = "",
        metadata: bool = False,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """As in Api."""
        accept = _ONLY_METADATA if metadata else _JSON
        query = {"limit": str(PAGE)}
        query |= {"labelSelector": selector} if selector else {}
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            path = f"{resource.path(namespace)}?{urlencode(query)}"
            answer = await self._call("GET", resource, path, accept=accept)
            meta = answer.get("metadata") or {}
            yield Page(answer.get("items") or [], meta.get("resourceVersion") or "")
            if not meta.get("continue"):
                return
            query["continue"] = meta["continue"]

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """As in Api."""
        return await self._call("POST", resource, resource.path(namespace), body)

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Json, subresource: str = ""
    ) -> Json:
        """As in Api."""
        path = resource.path(namespace, name, subresource)
        return await self._call("PATCH", resource, path, body)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """As in Api."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._call("DELETE", resource, resource.path(namespace, name), options)

    async def _call(
        self,
        method: str,
        resource: Resource,
        path: str,
        body: Json | None = None,
        accept: str = _JSON,
    ) -> Json:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._send, method, path, body, accept)
        self._on_answer(method, resource, answer.status)
        if 200 <= answer.status < 300:
            return answer.body
        raise _error(method, path, answer)

    def _send(self, method: str, path: str, body: Json | None, accept: str) -> _Answer:
        """Send one request and wait for the answer. An error on the way has status 0."""
        try:
            headers = {"Accept": accept}
            if body is not None:
                headers["Content-Type"] = _MERGE_PATCH if method == "PATCH" else _JSON
            _, url, headers, _, _ = self._client.param_serialize(
                method, path, header_params=headers, auth_settings=["BearerToken"]
            )
            if method != "GET":
                self._before_write()
            response = self._client.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
                redirect=False,
            )
            return _Answer(response.status, _parsed(response.data))
        except (urllib3.exceptions.HTTPError, OSError, ApiException) as error:
            return _Answer(0, {"message": _last_cause(error)})


@dataclass(frozen=True)
class _Answer:
    status: int
    body: Json


def _configuration(kubeconfig: Path | None) -> Configuration:
    """The configuration of the client. Raises RefusedError without kubeconfig and pod account."""
    found = Configuration()
    try:
        if kubeconfig is None:
            kubernetes_config.load_incluster_config(client_configuration=found)
        else:
            kubernetes_config.load_kube_config(str(kubeconfig), client_configuration=found)
    except kubernetes_config.ConfigException as error:
        cure = "give --kubeconfig" if kubeconfig is None else f"correct {kubeconfig}"
        raise RefusedError(f"no API server is configured: {error}; {cure}") from error
    _decide_on_proxy(found)
    return found


def _decide_on_proxy(found: Configuration) -> None:
    """Choose the proxy for every client of the operator, as each library reads NO_PROXY otherwise.

    The proxy is that of the kubeconfig, else of the environment; NO_PROXY overrides both.
    """
    if found.proxy and should_bypass_proxies(found.host, found.no_proxy or ""):
        found.proxy = None
    if not found.proxy:
        return
    proxy = urlsplit(found.proxy)
    if proxy.scheme not in ("http", "https"):
        cure = "give HTTPS_PROXY, or proxy-url in the kubeconfig, as http://HOST:PORT"
        raise RefusedError(f"the proxy is not one of http:// or https://; {cure}")
    if proxy.username:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        found.proxy_headers = urllib3.make_headers(proxy_basic_auth=login)


def _parsed(raw: bytes) -> Json:
    try:
        found = untrusted.decode_answer(raw, "the answer")
    except untrusted.WireError:
        found = None
    return found if isinstance(found, dict) else {"message": raw[:256].decode("utf-8", "replace")}


def _last_cause(error: BaseException) -> str:
    """The innermost error, which is the one for people: urllib3 wraps it several times."""
    reason = getattr(error, "reason", None)
    while isinstance(reason, BaseException) and getattr(reason, "reason", None):
        reason = cast(Any, reason).reason
    return str(reason or error)


def _error(method: str, path: str, answer: _Answer) -> KubeError:
    reason = untrusted.plain(str(answer.body.get("reason") or ""))
    message = untrusted.plain(str(answer.body.get("message") or reason or "no message"))
    text = f"{method} {path.partition('?')[0]}: {answer.status or 'no answer'}: {message}"
    return error_of(answer.status, reason, text, message)


def error_of(status: int, reason: str, message: str, server_message: str = "") -> KubeError:
    """The error for an HTTP status (0: no answer) and the reason in the API server's Status."""
    return _kind(status, reason)(message, reason, server_message)


def _kind(status: int, reason: str) -> type[KubeError]:
    if status == 404:
        return NotFoundError
    if status == 409:
        return AlreadyExistsError if reason == "AlreadyExists" else ConflictError
    if 400 <= status < 500 and status != 429:
        return RefusedError
    return FailedError if status == 500 else UnavailableError
