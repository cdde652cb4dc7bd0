"""YAML that a user or a client has written, as the values of JSON that kubectl reads in it.

No other module of the local mode reads YAML. PyYAML finds the structure, `yaml_scalars` the values;
tests/local/yaml_truth compares both with the libraries of kubectl. An alias counts as often as it
is used: 180 bytes of aliases of aliases stand for 100,000 values, and a document that contains
itself for no end of them.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from elasticjob.local import yaml_scalars as scalars
from elasticjob.local.yaml_loader import MOST_VALUES, TOO_DEEP, TOO_MANY, Loader, YamlError
from elasticjob.wire.untrusted import DEEPEST, WireError, decode

__all__ = ["MOST_VALUES", "YamlError", "load"]

_SEPARATOR = "---"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_MAP = "<< must be followed by an object or a list of objects"


def load(text: str | bytes) -> list[Any]:
    """The documents of a text that are not empty. Raises YamlError."""
    try:
        return [each for each in _documents(_decoded(text)) if each is not None]
    except yaml.YAMLError as error:
        raise YamlError(_fault(error)) from None
    except YamlError:
        raise
    except Exception as error:  # PyYAML does not catch those of characters and recursion
        fault = str(error).partition("\n")[0]
        raise YamlError(f"not valid YAML: {type(error).__name__}: {fault}") from None


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    return text.decode("utf-16" if text[:2] in _UTF_16 else "utf-8")


def _documents(text: str) -> Iterator[Any]:
    if text.lstrip().startswith("{"):
        try:
            yield decode(text, "the document")
            return
        except WireError:
            pass  # an object in YAML
    left = MOST_VALUES
    for part, line in _parts(text):
        found, number = _document(part, line, left)
        left -= number
        yield found


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """The documents, each with the number of lines before it, as kubectl separates them: at lines
    that begin with ---, also in a quoted text."""
    part: list[str] = []
    begin = 0
    for number, line in enumerate(text.split("\n")):
        if not line.startswith(_SEPARATOR):
            part.append(line.removesuffix("\r"))
            continue
        rest = line.removeprefix(_SEPARATOR).strip()
        if rest and not rest.startswith("#"):
            raise YamlError(f"line {number + 1}: only a comment may follow {_SEPARATOR}")
        yield "\n".join(part) + "\n", begin
        part, begin = [], number + 1
    yield "\n".join(part if not part or part[-1] == "" else [*part, ""]), begin


def _document(text: str, line: int, most: int) -> tuple[Any, int]:
    """The document of a text, which has this number of lines before it, and the number of its
    values. Raises YamlError if these are more than `most`."""
    loader = Loader(text, line, most)
    try:
        if not loader.check_node():
            return None, 1
        node = loader.get_node()
        assert node is not None
        number = _count(node, most)
        found = _value(node)
        loader.check_node()  # raises an error if a second one follows, which kubectl ignores
        return decode(json.dumps(found, allow_nan=False), "the document"), number
    finally:
        loader.dispose()


def _count(document: Node, most: int) -> int:
    """The number of values in a document. Raises YamlError if it is too large, before they are
    made."""
    level, number = [document], 0
    for _ in range(DEEPEST + 1):
        number += len(level)
        if number > most:
            raise YamlError(TOO_MANY)
        level = list(islice(_below(level), most + 1))
        if not level:
            return number
    raise YamlError(TOO_DEEP)


def _below(level: Iterable[Node]) -> Iterator[Node]:
    """The nodes in these nodes."""
    for node in level:
        if isinstance(node, SequenceNode):
            yield from node.value
        elif isinstance(node, MappingNode):
            for pair in node.value:
                yield from pair


def _value(node: Node) -> Any:
    if isinstance(node, SequenceNode):
        return [_value(each) for each in node.value]
    if isinstance(node, MappingNode):
        return {name: _value(each) for name, each in _fields(node).items()}
    with _at(node):
        return scalars.in_json(scalars.value(node.tag, node.value))


def _fields(node: MappingNode) -> dict[str, Node]:
    """The fields of an object. Of a field that is given twice the last one counts; the fields of a
    `<<` replace those before it."""
    found: dict[str, Node] = {}
    for name, each in node.value:
        if isinstance(name, ScalarNode) and _is_merge(name):
            for merged in _merged(each):
                found |= _fields(merged)
        else:
            found[_key(name)] = each
    return found


def _is_merge(name: ScalarNode) -> bool:
    return bool(name.value == "<<") and name.tag in (scalars.PLAIN, scalars.MERGE)


def _merged(node: Node) -> Iterator[MappingNode]:
    """The objects whose fields become those of another one, the first one last."""
    for each in reversed(node.value) if isinstance(node, SequenceNode) else [node]:
        if not isinstance(each, MappingNode):
            raise YamlError(f"line {node.start_mark.line + 1}: {_NO_MAP}")
        yield each


def _key(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise YamlError(f"line {node.start_mark.line + 1}: a key must be a text; put it in quotes")
    with _at(node):
        return scalars.key(scalars.value(node.tag, node.value))


@contextmanager
def _at(node: Node) -> Iterator[None]:
    """Add the place of a node to a ValueError."""
    try:
        yield
    except ValueError as error:
        raise YamlError(f"line {node.start_mark.line + 1}: {error}") from None


def _fault(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return f"not valid YAML: {error}".splitlines()[0]
