"""The part of HTTP/1.1 over TLS that the agent needs; each request has a deadline.

http.client would import the email package (a tenth of the agent's time to join), and limits the
time of each read, not of a request. When the host of an API server dies, a third of all kept-alive
connections hang; therefore a request has a deadline, and its retry uses a new connection.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from elasticjob.agent.api.connection import Connection, Head, UnreachableError, error_text
from elasticjob.agent.api.credentials import Credentials
from elasticjob.agent.api.messages import Address, Request, Response
from elasticjob.agent.clock import Clock
from elasticjob.wire.dataclasses import dataclass

_LONGEST_LINE = 16 << 20  # of a watch: far more than the largest object with its escapes
_KEEPALIVE = (5, 5, 3)  # seconds until the first probe, seconds between probes, lost probes


@dataclass(frozen=True)
class Limits:
    """Time limits in seconds."""

    connect_s: float = 1.0
    request_s: float = 2.0
    idle_s: float = 75.0  # between events of a watch; a bookmark comes about every minute


LIMITS = Limits()


class Client:
    """Opens connections to the API server."""

    def __init__(
        self, address: Address, credentials: Credentials, clock: Clock, limits: Limits = LIMITS
    ) -> None:
        self.address = address
        self.limits = limits
        self._credentials = credentials
        self._clock = clock

    def session(self) -> Session:
        """Return a session for one thread, which connects when it is first used."""
        return Session(self)

    def stream(self, request: Request) -> Stream:
        """Send a request on a new connection; return the open response. Raises UnreachableError."""
        connection = self.connect()
        try:
            deadline = self._clock.now() + self.limits.request_s
            connection.send(self.message(request), deadline)
            return Stream(connection, connection.head(deadline), self._clock, self.limits)
        except UnreachableError:
            connection.close()
            raise

    def exchange(self, connection: Connection, request: Request) -> Response:
        """Send a request, and read the whole response in its time. Raises UnreachableError."""
        deadline = self._clock.now() + min(self.limits.request_s, request.timeout_s)
        connection.send(self.message(request), deadline)
        return connection.response(connection.head(deadline), deadline)

    def connect(self) -> Connection:
        """Open a connection. Raises UnreachableError."""
        try:
            context = self._credentials.context()
            raw = socket.create_connection(
                (self.address.bare, self.address.port), self.limits.connect_s
            )
        except OSError as error:
            raise UnreachableError(error_text(error)) from None
        try:
            _tune(raw)
            wrapped = context.wrap_socket(raw, server_hostname=self.address.bare)
        except (OSError, ValueError) as error:
            raw.close()
            raise UnreachableError(error_text(error)) from None
        return Connection(wrapped, self._clock)

    def message(self, request: Request) -> bytes:
        """Render a request with the token. Raises UnreachableError if there is no token."""
        try:
            token = self._credentials.token()
        except (OSError, ValueError) as error:
            raise UnreachableError(f"cannot read the token: {error_text(error)}") from None
        return render(request, self.address, token)


def render(request: Request, address: Address, token: str) -> bytes:
    """Render a request as one message: a second one would wait for the first acknowledgement."""
    lines = [
        f"{request.method} {request.path} HTTP/1.1",
        f"Host: {address}",
        f"Authorization: Bearer {token}",
        "Accept: application/json",
        "User-Agent: elasticjob-agent",
    ]
    if request.body:
        lines.append(f"Content-Type: {request.content_type}")
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body


class Session:
    """Sends the requests of one thread over one kept-alive connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connection: Connection | None = None

    def send(self, request: Request) -> Response:
        """Send a request, and return the response. Raises UnreachableError.

        The server may have closed the connection while it was idle, so a failure on it is repeated
        once on a new connection.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                return self._exchange(connection, request)
            except UnreachableError:
                pass  # the server had closed it
        return self._exchange(self._client.connect(), request)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, connection: Connection, request: Request) -> Response:
        try:
            response = self._client.exchange(connection, request)
        except UnreachableError:
            connection.close()
            raise
        if connection.reusable:
            self._connection = connection
        else:
            connection.close()
        return response


class Stream:
    """An open response: a watch. Any thread may close it."""

    def __init__(self, connection: Connection, head: Head, clock: Clock, limits: Limits) -> None:
        self.status = head.status
        self._limits = limits
        self._connection = connection
        self._head = head
        self._clock = clock
        self._idle_since = clock.now()

    def response(self) -> Response:
        """Read the whole response, if the server refused the watch. Raises UnreachableError."""
        try:
            return self._connection.response(self._head, self._clock.now() + self._limits.request_s)
        finally:
            self._connection.close()

    def lines(self) -> Iterator[bytes]:
        """Yield each line as it comes, until the server ends the response.

        Raises UnreachableError, also when no line comes for Limits.idle_s, or one has no end.
        """
        rest = bytearray()
        self._idle_since = self._clock.now()
        try:
            for piece in self._connection.pieces(self._head, self._deadline):
                rest += piece
                if b"\n" in piece:
                    *lines, last = bytes(rest).split(b"\n")
                    rest = bytearray(last)
                    for line in filter(bytes.strip, lines):
                        yield line
                        self._idle_since = self._clock.now()
                if len(rest) > _LONGEST_LINE:
                    raise UnreachableError(f"an event has more than {_LONGEST_LINE} bytes")
        finally:
            self._connection.close()

    def close(self) -> None:
        """Close the response; a thread that waits for a line gets UnreachableError."""
        self._connection.abort()

    def _deadline(self) -> float:
        return self._idle_since + self._limits.idle_s


def _tune(raw: socket.socket) -> None:
    """Send small messages at once, and detect a dead peer of an idle connection within 20 s."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    for name, value in zip(names, _KEEPALIVE):
        raw.setsockopt(socket.IPPROTO_TCP, name, value)
