"""Lines from several sources on one terminal."""

from __future__ import annotations

import zlib

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


class Screen:
    """A screen on which each line begins with its source, in the colour of the source."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, soft_wrap=True)
        self._width = 0

    def print(self, text: str) -> None:
        """Print a line without a source."""
        self._console.print(Text(text))

    def print_line(self, source: str, text: str) -> None:
        """Print a line of a source. The sources form one column."""
        self._width = max(self._width, len(source))
        colour = COLOURS[zlib.crc32(source.encode()) % len(COLOURS)]
        self._console.print(Text.assemble((f"{source:<{self._width}} | ", colour), text))
