"""The structure of YAML as go-yaml v2 finds it, which kubectl uses: PyYAML, except for tabs.

PyYAML takes a tab for a character of a value. In go-yaml it separates like a space, except where it
could indent.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.events import ScalarEvent
from yaml.nodes import Node, ScalarNode
from yaml.scanner import ScannerError

from elasticjob.local import yaml_scalars as scalars
from elasticjob.wire.untrusted import DEEPEST

MOST_VALUES = 100_000
TOO_MANY = f"more than {MOST_VALUES} values: use fewer aliases, or split the file"
TOO_DEEP = f"values are nested more than {DEEPEST} levels deep: remove them"
_BREAKS = "\r\n\x85\u2028\u2029"
_END = f"\0{_BREAKS}"


class YamlError(ValueError):
    """A text is no YAML, or has values that JSON lacks. The text is one line with the place."""


class Loader(yaml.SafeLoader):
    """Stops at the first node too many: a node costs 20 us and 500 bytes. Resolves no scalar."""

    def __init__(self, text: str, line: int, most: int) -> None:
        """`line`: the number of lines before this text in its file. `most`: its values."""
        super().__init__(text)
        self.line = line
        self._left = most
        self._levels = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """The next node with those in it. PyYAML calls this for each one."""
        self._left -= 1
        if self._left < 0:
            raise YamlError(TOO_MANY)
        if self._levels > DEEPEST:
            raise YamlError(TOO_DEEP)
        event = self.peek_event()
        if isinstance(event, ScalarEvent) and event.tag == "!":
            event.tag = scalars.STRING
        self._levels += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._levels -= 1

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        """The tag of a node without one."""
        if kind is ScalarNode:
            return scalars.PLAIN if implicit[0] else scalars.STRING
        return str(super().resolve(kind, value, implicit))

    # ---- tabs ------------------------------------------------------------------------------------

    def scan_to_next_token(self) -> None:
        """Skip spaces, comments and line breaks; tabs where no indentation can be."""
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            while self.peek() == " " or (self.peek() == "\t" and self._may_have_tab()):
                self.forward()
            if self.peek() == "#":
                while self.peek() not in _END:
                    self.forward()
            if not self.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def _may_have_tab(self) -> bool:
        return bool(self.flow_level or not self.allow_simple_key)

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str]:
        """The spaces between two words of a plain value, or the line breaks in place of them."""
        blanks = ""
        while self.peek() in " \t":
            blanks += self.peek()
            self.forward()
        if self.peek() not in _BREAKS:
            return [blanks] if blanks else []
        breaks = [self.scan_line_break()]
        self.allow_simple_key = True
        while True:
            if self.prefix(3) in ("---", "...") and self.peek(3) in f"{_END} \t":
                return []
            if self.peek() == "\t" and self.column < indent:
                raise self._fault("a tab must not indent a line; use spaces")
            if self.peek() in " \t":
                self.forward()
            elif self.peek() in _BREAKS:
                breaks.append(self.scan_line_break())
            else:
                break
        first, *more = breaks
        return [*([first] if first != "\n" else [] if more else [" "]), *more]

    def scan_block_scalar_indentation(self) -> tuple[list[str], int, Any]:
        """The line breaks before a block, its indentation, and where it begins."""
        found: tuple[list[str], int, Any] = super().scan_block_scalar_indentation()
        if self.peek() == "\t":
            raise self._fault("a tab must not indent a line; use spaces")
        return found

    def _fault(self, text: str) -> ScannerError:
        return ScannerError(None, None, text, self.get_mark())
