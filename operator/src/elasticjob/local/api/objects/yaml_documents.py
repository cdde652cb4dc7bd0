"""YAML text as values of JSON. Aliases and depth are limited, as in kube-apiserver.

An alias is a reference, so that a value is small in memory and grows when it is written as JSON:
180 bytes of aliases of aliases are 111,110 values, and each further line has ten times as many.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import ComposerError

MOST_ALIASED = 10_000
"""The values that all aliases of a document together stand for. kube-apiserver refuses a document
when aliases are 99 % of more than 1,000 values."""
DEEPEST = 100
"""Objects of Kubernetes are nested at most a few dozen levels deep."""


class YamlError(Exception):
    """A text that cannot be used. The message is one line with the place, if it is known."""


def documents(text: str | bytes) -> list[Any]:
    """The values of all documents of a text. Raises YamlError."""
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        where = f"line {place.line + 1}, column {place.column + 1}: " if place else ""
        raise YamlError(f"{where}{error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: bytes that are no text, or a date
        raise YamlError(f"not valid YAML: {error}".splitlines()[0]) from None
    except RecursionError:
        raise YamlError(f"nested more than {DEEPEST} levels deep") from None


class _Loader(yaml.SafeLoader):
    """A loader that measures each value when it is complete, with its aliases written out."""

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._measures: dict[yaml.Node, tuple[int, int]] = {}  # (values, levels)
        self._aliased = 0

    def compose_document(self) -> yaml.Node | None:
        self._aliased = 0
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if not isinstance(event, yaml.AliasEvent):
            self._measures[node] = self._measure(node, event)
        elif node not in self._measures:
            raise _fault(event, f"anchor '{event.anchor}' contains itself; write out the values")
        else:
            self._aliased += self._measures[node][0]
            if self._aliased > MOST_ALIASED:
                message = f"aliases stand for more than {MOST_ALIASED} values; write out the values"
                raise _fault(event, message)
        return node

    def _measure(self, node: yaml.Node, event: Any) -> tuple[int, int]:
        below: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            below = node.value
        values = 1 + sum(self._measures[part][0] for part in below)
        levels = 1 + max((self._measures[part][1] for part in below), default=0)
        if levels > DEEPEST:
            raise _fault(event, f"nested more than {DEEPEST} levels deep")
        return values, levels


def _fault(event: Any, message: str) -> ComposerError:
    return ComposerError(None, None, message, event.start_mark)
