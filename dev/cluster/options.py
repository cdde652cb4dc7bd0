"""The options of a cluster, recorded so that a second `up` with others is refused."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from dataclasses import dataclass
from typing import Any

from dev.cluster.errors import ClusterError

MOST_NODES = 9


@dataclass(frozen=True)
class Options:
    """The choices of `make cluster`."""

    nodes: int = 3
    lan: str = "10.90.0.0/24"
    """The network of the bridge, the nodes and this machine."""
    feature_gates: str = ""
    """For kube-apiserver, as --feature-gates takes them."""
    key_identifiers: bool = True
    """False: a CA without Authority Key Identifier, as several clouds have it."""
    audit: bool = False
    """Log every request of a ServiceAccount to logs/audit.log."""

    def __post_init__(self) -> None:
        if not 0 < self.nodes <= MOST_NODES:
            raise ClusterError(f"nodes is {self.nodes}; it must be 1 to {MOST_NODES}")
        try:
            network = ipaddress.IPv4Network(self.lan)
        except ValueError as error:
            raise ClusterError(f"lan: {error}. Cure: a network such as 10.90.0.0/24") from None
        if network.prefixlen != 24:
            raise ClusterError(f"lan is {self.lan}; it must be a /24, such as 10.90.0.0/24")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Options:
        return cls(**json.loads(text))

    def differences(self, other: Options) -> list[str]:
        """Return 'nodes is 3, not 2' for each option that differs."""
        mine: dict[str, Any] = dataclasses.asdict(self)
        return [
            f"{name} is {mine[name]!r}, not {value!r}"
            for name, value in dataclasses.asdict(other).items()
            if mine[name] != value
        ]
