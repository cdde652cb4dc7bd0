"""The loopback addresses of the pods of a server.

On Linux, all of 127.0.0.0/8 is this machine. The two middle octets are the port of the server, so
that the pods of two servers on one machine have different addresses.
"""

from __future__ import annotations

HOSTS = 254


class Addresses:
    """A pool of 254 addresses. A released address is reused after all others."""

    def __init__(self, port: int) -> None:
        self._prefix = f"127.{port >> 8}.{port & 255}"
        self._free = [f"{self._prefix}.{host}" for host in range(1, HOSTS + 1)]

    def take(self) -> str:
        """Take an address that no running pod has."""
        return self._free.pop(0)

    def release(self, address: str) -> None:
        """Return the address of a pod that has ended."""
        self._free.append(address)
