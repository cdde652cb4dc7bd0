"""YAML that a user or a client has written, as the values of JSON that it stands for.

No other module of the local mode reads YAML. An alias counts as often as it is used: 180 bytes of
aliases of aliases stand for 100,000 values, and a document that contains itself for no end of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from elasticjob.wire.untrusted import DEEPEST, decode

MOST_VALUES = 100_000
_TAG = "tag:yaml.org,2002:"
_STRING = f"{_TAG}str"
_JSON = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")}
_MERGE = f"{_TAG}merge"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float")
_LONGEST_NUMBER = 4300  # as for int(). PyYAML multiplies for each colon of 1:30:00
_TOO_MANY = f"more than {MOST_VALUES} values: use fewer aliases, or split the file"
_TOO_DEEP = f"values are nested more than {DEEPEST} levels deep: remove them"


class YamlError(ValueError):
    """A text is no YAML, or has values that JSON lacks. The text is one line with the place."""


def load(text: str | bytes) -> list[Any]:
    """The documents of a text. Raises YamlError."""
    try:
        return list(_documents(text))
    except yaml.YAMLError as error:
        raise YamlError(_fault(error)) from None
    except YamlError:
        raise
    except Exception as error:  # PyYAML does not catch those of int, float, dict and recursion
        fault = str(error).partition("\n")[0]
        raise YamlError(f"not valid YAML: {type(error).__name__}: {fault}") from None


class _Loader(yaml.SafeLoader):
    """Stops at the first node too many: a node costs 20 us and 500 bytes."""

    _number = _levels = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """The next node with those in it. PyYAML calls this for each one."""
        self._number += 1
        if self._number > MOST_VALUES:
            raise YamlError(_TOO_MANY)
        if self._levels > DEEPEST:
            raise YamlError(_TOO_DEEP)
        self._levels += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._levels -= 1


def _documents(text: str | bytes) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            _check(node)
            document = loader.construct_document(node)
            yield decode(json.dumps(document, allow_nan=False), "the document")
    finally:
        loader.dispose()


def _check(document: Node) -> None:
    """Raise YamlError for what is no JSON, or too large, before the values are made."""
    level, number = [document], 0
    for _ in range(DEEPEST + 1):
        number += len(level)
        if number > MOST_VALUES:
            raise YamlError(_TOO_MANY)
        level = list(islice(_below(level), MOST_VALUES + 1))
        if not level:
            return
    raise YamlError(_TOO_DEEP)


def _below(level: Iterable[Node]) -> Iterator[Node]:
    """The nodes in these nodes. Dates, and keys of every kind, become strings."""
    for node in level:
        if node.tag == f"{_TAG}timestamp":
            node.tag = _STRING
        if node.tag not in _JSON:
            raise YamlError(f"line {node.start_mark.line + 1}: {node.tag} is not supported")
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise YamlError(f"line {node.start_mark.line + 1}: a number is too long")
        if isinstance(node, SequenceNode):
            yield from node.value
        elif isinstance(node, MappingNode):
            for key, value in node.value:
                if isinstance(key, ScalarNode) and key.tag != _MERGE:
                    key.tag = _STRING
                yield from (key, value)


def _fault(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return f"not valid YAML: {error}".splitlines()[0]
