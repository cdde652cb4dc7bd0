"""One API request and its response, independent of the HTTP library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from elasticjob.local import yaml_documents
from elasticjob.local.api.objects.encoding import encode
from elasticjob.local.api.objects.errors import bad_request, no_such_path, unsupported_media_type
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.selectors import exact_name
from elasticjob.local.api.query import parse_bool
from elasticjob.wire.untrusted import decode

JSON = "application/json"
BODY_TYPES = ("", JSON, "application/yaml")
"""The empty type is that of kubectl's PUT of a scale and of the Python client's POST."""
ACCEPTED = ("", JSON, "application/*", "*/*")
ONLY_METADATA = "as=PartialObjectMetadataList"  # of the objects in a list
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Call:
    """An HTTP request whose body is not decoded yet."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    content_type: str = ""
    authorization: str = ""
    body: bytes = b""

    @property
    def is_watch(self) -> bool:
        """Whether the request of a list is one for a watch."""
        return self.method == "GET" and parse_bool(self.query.get("watch"))

    @property
    def accepts_json(self) -> bool:
        """Whether the client accepts JSON: whole objects, Tables, or metadata in lists."""
        kinds = [kind.replace(" ", "") for kind in self.accept.split(",")]
        return any(
            kind.split(";")[0] in ACCEPTED
            and ("as=" not in kind or "as=Table" in kind or ONLY_METADATA in kind)
            for kind in kinds
        )

    @property
    def is_dry_run(self) -> bool:
        """Whether the server does everything but the write."""
        return self.query.get("dryRun") == "All"

    def decode_body(self, accepted: tuple[str, ...] = BODY_TYPES) -> Any:
        """The body as a JSON value, or None if it is empty. Raises 415 or 400."""
        kind = self.content_type.partition(";")[0].strip()
        if kind not in accepted:
            raise unsupported_media_type(accepted)
        if not self.body:
            return None
        try:
            if "yaml" not in kind:
                return decode(self.body, "it")
            documents = yaml_documents.load(self.body) or [None]
            if len(documents) > 1:
                raise ValueError(f"it has {len(documents)} documents: send one")
            return documents[0]
        except ValueError as error:
            raise bad_request(f"the body of the request cannot be decoded: {error}") from None


@dataclass(frozen=True)
class Target:
    """The resource that a path addresses, in the terms of authorization."""

    verb: str
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True)
class Response:
    """A complete response; a dict is sent as JSON."""

    body: Object | bytes
    code: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self) -> bytes:
        """The body as bytes."""
        return self.body if isinstance(self.body, bytes) else encode(self.body)


@dataclass(frozen=True)
class Stream:
    """A response without a known end. Its source is open from the first byte to the last."""

    source: AbstractContextManager[AsyncIterator[bytes]]
    content_type: str = JSON


def target_of(call: Call) -> Target | None:
    """The target of a resource path, or None for other paths (discovery, version, health)."""
    steps = call.path.strip("/").split("/")
    if steps[0] == "api" and len(steps) > 2:
        group, version, rest = "", steps[1], steps[2:]
    elif steps[0] == "apis" and len(steps) > 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    plural, name, subresource, *excess = [*rest, "", ""]
    if any(excess) or not all(rest):
        raise no_such_path()
    verb = _verb(call, name)
    if not name and verb in ("list", "watch", "deletecollection"):
        selected = exact_name(call.query.get("fieldSelector", ""))
        return Target(verb, group, version, plural, namespace, selected or "", subresource)
    return Target(verb, group, version, plural, namespace, name, subresource)


def _verb(call: Call, name: str) -> str:
    if call.method == "GET":
        return "get" if name else "watch" if call.is_watch else "list"
    if call.method == "DELETE":
        return "delete" if name else "deletecollection"
    return VERBS.get(call.method, call.method.lower())
