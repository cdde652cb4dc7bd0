"""The token and the CA of the API server, read again when their files change."""

from __future__ import annotations

import os
import ssl

_Stamp = tuple[int, int, int]


class Credentials:
    """The files token and ca.crt of one directory, a projected volume of the pod.

    The kubelet replaces both through a symbolic link long before a token expires. Several threads
    may call at the same time: at worst a file is read twice.
    """

    def __init__(self, directory: str) -> None:
        self._token_path = os.path.join(directory, "token")
        self._ca_path = os.path.join(directory, "ca.crt")
        self._token: tuple[_Stamp, str] | None = None
        self._context: tuple[_Stamp, ssl.SSLContext] | None = None

    def token(self) -> str:
        """Return the bearer token. Raises OSError."""
        stamp = _stamp(self._token_path)
        if self._token is None or self._token[0] != stamp:
            with open(self._token_path, encoding="ascii") as file:
                self._token = (stamp, file.read().strip())
        return self._token[1]

    def context(self) -> ssl.SSLContext:
        """Return a context that trusts only the API server's CA. Raises OSError."""
        stamp = _stamp(self._ca_path)
        if self._context is None or self._context[0] != stamp:
            self._context = (stamp, _context(self._ca_path))
        return self._context[1]


def check_tls() -> None:
    """Check that this Python can use TLS at all. Raises OSError, as ssl.SSLError is one."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _context(ca_path: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Python 3.13 sets this flag in default contexts. It refuses CAs without an Authority Key
    # Identifier, which several clouds use for their clusters.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # the default from Python 3.10 on
    context.load_verify_locations(cafile=ca_path)
    return context


def _stamp(path: str) -> _Stamp:
    found = os.stat(path)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
