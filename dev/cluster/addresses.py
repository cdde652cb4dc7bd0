"""The addresses of the cluster. All are fixed, so none needs to be stored."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
API_PORT = 6443
DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Lan:
    """A /24: API servers from .1, nodes from .11, this machine at .254."""

    network: str

    def _at(self, number: int) -> str:
        return str(ipaddress.IPv4Network(self.network)[number])

    def api(self, number: int = 1) -> str:
        """The address of an API server; the first also answers for DNS."""
        return self._at(number)

    def node(self, number: int) -> str:
        return self._at(10 + number)

    @property
    def machine(self) -> str:
        return self._at(254)

    @property
    def dns(self) -> str:
        return self.api()


def pods_of(number: int) -> str:
    """The addresses of the pods of a node."""
    return str(list(ipaddress.IPv4Network(PODS).subnets(new_prefix=24))[number])
