"""A kind of object that the API serves: its names, its rules of storage, its published shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
"""One API object as decoded from JSON. Readers share it, so nobody changes one in place."""

Key = tuple[str, str]
"""(group, plural): what a resource is stored under. Only one version of each is served."""


@dataclass(frozen=True)
class Resource:
    """Built-in resources are constants of `builtins`; custom ones are made from their definition.

    Equality looks at the names only: a definition whose schema has changed is the same resource.
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
    selectable: tuple[str, ...] = field(default=(), compare=False)
    """Fields that a field selector may name, beyond metadata.name and metadata.namespace."""
    tracks_generation: bool = field(default=False, compare=False)
    returns_deleted: bool = field(default=False, compare=False)
    """DELETE answers the object that is gone, not a Status: a choice of each resource."""
    unconditional_update: bool = field(default=True, compare=False)
    """PUT without a resourceVersion overwrites; elsewhere it is refused."""
    create_on_update: bool = field(default=False, compare=False)
    """PUT of an object that is not there creates it."""
    initial_status: Mapping[str, Any] | None = field(default=None, compare=False)
    schema: Mapping[str, Any] | None = field(default=None, compare=False)
    """The structural schema; set for custom resources, and only for them."""
    columns: Sequence[Mapping[str, Any]] = field(default=(), compare=False)
    scale: Mapping[str, str] | None = field(default=None, compare=False)
    """The JSON paths behind `/scale`, as in a definition's `subresources.scale`."""

    def __post_init__(self) -> None:
        if not self.singular:
            object.__setattr__(self, "singular", self.kind.lower())

    @property
    def key(self) -> Key:
        """What the store files its objects under."""
        return (self.group, self.plural)

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects: `v1`, `coordination.k8s.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Its name in Kubernetes' messages: `pods`, `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """Its kind in Kubernetes' messages: `Pod`, `Lease.coordination.k8s.io`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def has_status(self) -> bool:
        """Whether `status` is written through `/status` only."""
        return "status" in self.subresources

    @property
    def custom(self) -> bool:
        """Whether it comes from a CustomResourceDefinition."""
        return self.schema is not None
