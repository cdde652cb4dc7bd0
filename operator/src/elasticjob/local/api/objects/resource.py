"""The description of a resource of the API: its names, storage rules and schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
"""One API object as decoded from JSON. It is shared, and therefore never changed in place."""

Key = tuple[str, str]
"""(group, plural): identifies a resource. Only one version of each is served."""


@dataclass(frozen=True)
class Resource:
    """One resource: a constant of `builtins`, or the resource of a CustomResourceDefinition.

    Equality compares the names only: a definition whose schema has changed is the same resource.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    singular: str = ""
    # The fields for field selectors, in addition to metadata.name and metadata.namespace.
    selectable: tuple[str, ...] = field(default=(), compare=False)
    tracks_generation: bool = field(default=False, compare=False)
    # DELETE returns the deleted object instead of a Status.
    returns_deleted: bool = field(default=False, compare=False)
    # PUT without a resourceVersion overwrites the object instead of being refused.
    unconditional_update: bool = field(default=True, compare=False)
    # PUT of an object that does not exist creates it.
    create_on_update: bool = field(default=False, compare=False)
    initial_status: Mapping[str, Any] | None = field(default=None, compare=False)
    # The structural schema of a custom resource; None for a built-in resource.
    schema: Mapping[str, Any] | None = field(default=None, compare=False)
    columns: Sequence[Mapping[str, Any]] = field(default=(), compare=False)
    # The JSON paths of `/scale`, as in `subresources.scale` of a definition.
    scale: Mapping[str, str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.singular:
            object.__setattr__(self, "singular", self.kind.lower())

    @property
    def key(self) -> Key:
        """The key of the resource in the store."""
        return (self.group, self.plural)

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects: `v1`, `coordination.k8s.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified_name(self) -> str:
        """Its name in messages of Kubernetes: `pods`, `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """Its kind in messages of Kubernetes: `Pod`, `Lease.coordination.k8s.io`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def has_status(self) -> bool:
        """Whether only `/status` writes the status of its objects."""
        return "status" in self.subresources

    @property
    def is_custom(self) -> bool:
        """Whether a CustomResourceDefinition defines it."""
        return self.schema is not None
