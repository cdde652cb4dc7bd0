"""Run conversations with the API server on threads, with sockets, clocks, jitter and the log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Callable, Protocol

from elasticjob.agent.api.connection import UnreachableError
from elasticjob.agent.api.conversation import (
    BUSY,
    Answer,
    Conversation,
    Line,
    Need,
    NextLine,
    NoAnswer,
    Open,
    Pause,
    Problem,
    ReadClock,
    Recovery,
    SetupError,
    Time,
    resume,
)
from elasticjob.agent.api.http import Stream
from elasticjob.agent.api.messages import Request, Response
from elasticjob.agent.clock import Clock, format_time
from elasticjob.agent.inbox import Message, SetupFailed, WatchEvent
from elasticjob.agent.log import Log
from elasticjob.wire.dataclasses import dataclass


class Transport(Protocol):
    """A connection for requests: http.Session, or an object of a test."""

    def send(self, request: Request) -> Response:
        """Send a request, and return the response. Raises UnreachableError."""

    def close(self) -> None:
        """Close the connection."""


class StreamTransport(Protocol):
    """What opens streams: http.Client, or an object of a test."""

    def stream(self, request: Request) -> Stream:
        """Send a request, and return the open response. Raises UnreachableError."""


@dataclass(frozen=True)
class Machine:
    """What the drivers of an agent have in common."""

    clock: Clock
    log: Log
    jitter: Callable[[], float]  # returns a new random number in [0, 1)
    post: Callable[[Message], None]  # any thread may call it


class Driver:
    """Answers what a conversation needs, except requests."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.closed = False

    def run(self, conversation: Conversation[None], what: str) -> None:
        """Run a conversation to its end. An error reaches the loop, which would wait for ever."""
        try:
            need = resume(conversation)
            while need is not None and not self.closed:
                need = resume(conversation, self.answer(need))
        except SetupError as error:
            self.machine.post(SetupFailed(str(error)))
        except Exception as error:
            if not self.closed:
                self.machine.post(SetupFailed(f"internal error in {what}: {error!r}"))
        self.end()

    def end(self) -> None:
        """Free what the conversation still uses."""

    def answer(self, need: Need) -> Any:
        """Do what a conversation needs, and return the answer."""
        if isinstance(need, Pause):
            return self.pause(need.seconds(self.machine.jitter()), need.until_answer)
        if isinstance(need, ReadClock):
            clock = self.machine.clock
            return Time(clock.now(), format_time(clock.wall_at()))
        if isinstance(need, Problem):
            return self.machine.log.problem(need.topic, need.text)
        if isinstance(need, Recovery):
            return self.machine.log.recovery(need.topic, need.text)
        return self.post(need)

    def pause(self, seconds: float, until_answer: bool) -> bool:
        """Wait. Whether an answer to another request has ended it."""
        return self.machine.clock.pause(seconds)

    def post(self, event: Any) -> None:
        """Pass an event to the loop."""
        self.machine.post(event)


class CallDriver(Driver):
    """Runs one call. answered: is called with each response, unless the server was busy."""

    def __init__(
        self, machine: Machine, transport: Transport, answered: Callable[[], None]
    ) -> None:
        super().__init__(machine)
        self._transport = transport
        self._answered = answered

    def answer(self, need: Need) -> Any:
        """Do what a call needs, and return the answer."""
        return self._send(need) if isinstance(need, Request) else super().answer(need)

    def _send(self, request: Request) -> Answer:
        try:
            response = self._transport.send(request)
        except UnreachableError as error:
            return NoAnswer(str(error))
        if response.status not in BUSY:
            self._answered()
        return response


class WatchDriver(Driver):
    """Runs one watch until it is closed. number: identifies its events."""

    def __init__(self, machine: Machine, transport: StreamTransport, number: int) -> None:
        super().__init__(machine)
        self._transport = transport
        self._number = number
        self._stream: Stream | None = None
        self._lines: Iterator[bytes] = iter(())
        self._answered = threading.Event()

    def close(self) -> None:
        """End the watch; any thread may call this."""
        self.closed = True
        self._answered.set()
        stream = self._stream  # the thread of the watch may remove it meanwhile
        if stream is not None:
            stream.close()

    def note_answer(self) -> None:
        """Record that the API server has answered a call; any thread may call this."""
        self._answered.set()

    def end(self) -> None:
        """Close the stream, and read it to its end, which frees its connection."""
        if self._stream is not None:
            self._stream.close()
        while self._stream is not None:
            self._next_line()

    def answer(self, need: Need) -> Any:
        """Do what a watch needs, and return the answer."""
        if isinstance(need, NextLine):
            return self._next_line()
        if isinstance(need, Open):
            self._answered.clear()
            return self._request(need.request, keeps_open=True)
        if isinstance(need, Request):
            return self._request(need, keeps_open=False)
        return super().answer(need)

    def pause(self, seconds: float, until_answer: bool) -> bool:
        """Wait. Whether an answer to another request has ended it."""
        return self.machine.clock.pause(seconds, self._answered if until_answer else None)

    def post(self, event: Any) -> None:
        """Pass an event to the loop, with the number of the watch."""
        self.machine.post(WatchEvent(self._number, event))

    def _request(self, request: Request, keeps_open: bool) -> Answer:
        try:
            stream = self._transport.stream(request)
            if not keeps_open or stream.status != 200:
                return stream.response()
        except UnreachableError as error:
            return NoAnswer(str(error))
        self._stream, self._lines = stream, stream.lines()
        if self.closed:
            stream.close()
        return Response(stream.status)

    def _next_line(self) -> Line:
        try:
            line = next(self._lines, None)
        except UnreachableError as error:
            return self._end(NoAnswer(str(error)))
        return self._end(None) if line is None else line

    def _end(self, line: Line) -> Line:
        """Close the stream. Only answers after its end show that a new one can be opened."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._lines = None, iter(())
        self._answered.clear()
        return line
