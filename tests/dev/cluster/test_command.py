"""The command line: whose words are whose."""

from __future__ import annotations

import pytest
from dev.cluster.__main__ import options, parser, split
from dev.cluster.options import Options


@pytest.mark.parametrize(
    ("argv", "ours", "theirs"),
    [
        (["up", "--nodes=2"], ["up", "--nodes=2"], []),
        (["kubectl", "-n", "x", "get", "pods"], ["kubectl"], ["-n", "x", "get", "pods"]),
        (["kubectl", "--", "exec", "p", "--", "ls"], ["kubectl"], ["exec", "p", "--", "ls"]),
        (["exec", "node1", "ps", "-e"], ["exec", "node1"], ["ps", "-e"]),
        (["bare", "--nodes=1", "--", "pytest", "-q"], ["bare", "--nodes=1"], ["pytest", "-q"]),
        ([], [], []),
    ],
)
def test_what_is_passed_on_is_passed_on_as_it_is(
    argv: list[str], ours: list[str], theirs: list[str]
) -> None:
    assert split(argv) == (ours, theirs)


def test_options_are_what_was_said() -> None:
    words = parser().parse_args(["up", "--nodes=2", "--no-key-identifiers", "--audit"])
    assert options(words) == Options(nodes=2, key_identifiers=False, audit=True)
    assert options(parser().parse_args(["up"])) == Options()
