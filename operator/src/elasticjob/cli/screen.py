"""Lines from several sources on one terminal."""

from __future__ import annotations

import asyncio
import io
import sys
import zlib

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error, where rich ends the process."""
        raise


class Screen:
    """A screen on which each line begins with its source, in the colour of the source.

    A line that cannot be written raises no error: the one who prints it may be the API server.
    """

    def __init__(self, console: Console | None = None) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(
                errors="replace"
            )  # a worker prints what the terminal cannot show
        self._console = console or _Console(highlight=False, markup=False, soft_wrap=True)
        self._width = 0
        self._fault = ""
        self._is_broken = asyncio.Event()

    async def broken(self) -> str:
        """Wait until a line cannot be written; returns why."""
        await self._is_broken.wait()
        return self._fault

    def print(self, text: str) -> None:
        """Print a line without a source."""
        self._print(Text(text))

    def print_line(self, source: str, text: str) -> None:
        """Print a line of a source. The sources form one column."""
        self._width = max(self._width, len(source))
        colour = COLOURS[zlib.crc32(source.encode()) % len(COLOURS)]
        self._print(Text.assemble((f"{source:<{self._width}} | ", colour), text))

    def _print(self, text: Text) -> None:
        try:
            self._console.print(text)
        except OSError as error:
            self._fault = self._fault or f"standard output: {error.strerror}"
            self._is_broken.set()
