"""The loopback addresses of a server's pods.

All of 127.0.0.0/8 is this machine on Linux. The two middle octets are the server's port, which no
other server on the machine has, so the pods of two servers never share an address.
"""

from __future__ import annotations

HOSTS = 254


class Addresses:
    """At most 254 at a time. One that was given back is used again as late as possible."""

    def __init__(self, port: int) -> None:
        self._prefix = f"127.{port >> 8}.{port & 255}"
        self._free = [f"{self._prefix}.{host}" for host in range(1, HOSTS + 1)]

    def take(self) -> str:
        """An address that no living pod has."""
        return self._free.pop(0)

    def give_back(self, address: str) -> None:
        """Nothing listens there any longer."""
        self._free.append(address)
