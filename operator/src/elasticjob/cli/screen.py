"""Lines from several speakers on one terminal."""

from __future__ import annotations

import zlib

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


class Screen:
    """Each line begins with who says it, in a colour of theirs when it is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, soft_wrap=True)
        self._width = 0

    def line(self, text: str) -> None:
        """A line of our own."""
        self._console.print(Text(text))

    def say(self, who: str, text: str) -> None:
        """A line of somebody's; the names stay in one column."""
        self._width = max(self._width, len(who))
        colour = COLOURS[zlib.crc32(who.encode()) % len(COLOURS)]
        self._console.print(Text.assemble((f"{who:<{self._width}} | ", colour), text))
