"""The token and the CA of the API server, read again when their files change."""

from __future__ import annotations

import os
import ssl

_Stamp = tuple[int, int, int]


class Credentials:
    """Of one directory with the files token and ca.crt, as a projected volume has them.

    The kubelet swaps both through a symbolic link long before a token expires. Threads may read at
    once: at worst a file is read twice.
    """

    def __init__(self, directory: str) -> None:
        self._token_path = os.path.join(directory, "token")
        self._ca_path = os.path.join(directory, "ca.crt")
        self._token: tuple[_Stamp, str] | None = None
        self._context: tuple[_Stamp, ssl.SSLContext] | None = None

    def token(self) -> str:
        """The bearer token. Raises OSError."""
        stamp = _stamp(self._token_path)
        if self._token is None or self._token[0] != stamp:
            with open(self._token_path, encoding="ascii") as file:
                self._token = (stamp, file.read().strip())
        return self._token[1]

    def context(self) -> ssl.SSLContext:
        """Trusts the API server's CA and nothing else. Raises OSError."""
        stamp = _stamp(self._ca_path)
        if self._context is None or self._context[0] != stamp:
            self._context = (stamp, _context(self._ca_path))
        return self._context[1]


def _context(ca_path: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Python 3.13 sets this flag for everybody who asks for a default context. It refuses CAs
    # without an Authority Key Identifier, and several clouds' clusters have such.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=ca_path)
    return context


def _stamp(path: str) -> _Stamp:
    found = os.stat(path)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
