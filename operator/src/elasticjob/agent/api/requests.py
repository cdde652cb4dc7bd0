"""Requests for Leases, as pure values: paths, queries, bodies."""

from __future__ import annotations

import json

from elasticjob.agent.api.http import Request
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import LEASE_API, Json

MERGE_PATCH = "application/merge-patch+json"
_INITIAL = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"


@dataclass(frozen=True)
class Selection:
    """Which Leases: one by its name, or those with a label. value: of the name or label."""

    field: str = ""
    label: str = ""

    @property
    def query(self) -> str:
        """As a part of a query. The signs in these values are safe but for `=`."""
        kind = "fieldSelector" if self.field else "labelSelector"
        return f"{kind}={(self.field or self.label).replace('=', '%3D')}"


def by_name(name: str) -> Selection:
    """The one Lease of this name."""
    return Selection(field=f"metadata.name={name}")


def by_label(label: str, value: str) -> Selection:
    """All Leases with this label."""
    return Selection(label=f"{label}={value}")


@dataclass(frozen=True)
class LeaseRequests:
    """Requests for the Leases of one namespace."""

    namespace: str

    def get(self, name: str) -> Request:
        """Without a resourceVersion: the newest, never from a cache."""
        return Request("GET", self._path(name))

    def create(self, manifest: Json) -> Request:
        """A new Lease."""
        return Request("POST", self._path(), _body(manifest))

    def patch(self, name: str, change: Json) -> Request:
        """A merge patch; compare-and-swap if it carries a resourceVersion."""
        return Request("PATCH", self._path(name), _body(change), MERGE_PATCH)

    def delete(self, name: str, uid: str) -> Request:
        """This very object, not one that has taken its name since."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        return Request("DELETE", self._path(name), _body(options))

    def list(self, selection: Selection) -> Request:
        """All of them as they are now, and the version to watch from."""
        return Request("GET", f"{self._path()}?{selection.query}")

    def watch(self, selection: Selection, version: str | None) -> Request:
        """Changes after this version; None: first everything that there is."""
        since = _INITIAL if version is None else f"&resourceVersion={version}"
        query = f"{selection.query}&watch=true&allowWatchBookmarks=true{since}"
        return Request("GET", f"{self._path()}?{query}")

    def _path(self, name: str = "") -> str:
        path = f"/apis/{LEASE_API}/namespaces/{self.namespace}/leases"
        return f"{path}/{name}" if name else path


def _body(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
