"""HTTP requests for Leases: their paths, queries and bodies."""

from __future__ import annotations

import json

from elasticjob.agent.api.messages import Request
from elasticjob.wire.codec import Json
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import LEASE_API

MERGE_PATCH = "application/merge-patch+json"
_INITIAL = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"


@dataclass(frozen=True)
class Selection:
    """A selection of Leases, by a field or by a label."""

    field: str = ""  # NAME=VALUE
    label: str = ""  # NAME=VALUE

    @property
    def query(self) -> str:
        """The parameter of the query. In these values only `=` needs to be escaped."""
        kind = "fieldSelector" if self.field else "labelSelector"
        return f"{kind}={(self.field or self.label).replace('=', '%3D')}"


def by_name(name: str) -> Selection:
    """Select the Lease with this name."""
    return Selection(field=f"metadata.name={name}")


def by_label(label: str, value: str) -> Selection:
    """Select all Leases with this label."""
    return Selection(label=f"{label}={value}")


@dataclass(frozen=True)
class LeaseRequests:
    """Requests for the Leases of one namespace."""

    namespace: str

    def get(self, name: str) -> Request:
        """Read a Lease consistently: without a resourceVersion no cache answers."""
        return Request("GET", self._path(name))

    def create(self, manifest: Json) -> Request:
        """Create a Lease."""
        return Request("POST", self._path(), _body(manifest))

    def patch(self, name: str, change: Json) -> Request:
        """Apply a merge patch; with a resourceVersion it is a compare-and-swap."""
        return Request("PATCH", self._path(name), _body(change), MERGE_PATCH)

    def list(self, selection: Selection) -> Request:
        """List Leases consistently, with the version from which to watch."""
        return Request("GET", f"{self._path()}?{selection.query}")

    def watch(self, selection: Selection, version: str | None) -> Request:
        """Watch changes after this version. None: the watch begins with all Leases."""
        since = _INITIAL if version is None else f"&resourceVersion={version}"
        query = f"{selection.query}&watch=true&allowWatchBookmarks=true{since}"
        return Request("GET", f"{self._path()}?{query}")

    def _path(self, name: str = "") -> str:
        path = f"/apis/{LEASE_API}/namespaces/{self.namespace}/leases"
        return f"{path}/{name}" if name else path


def _body(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
