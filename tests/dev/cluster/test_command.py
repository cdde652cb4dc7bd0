"""The command line: our words and those of other programs."""

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
def test_words_of_other_programs_are_passed_unchanged(
    argv: list[str], ours: list[str], theirs: list[str]
) -> None:
    assert split(argv) == (ours, theirs)


def test_options_come_from_the_command_line() -> None:
    words = parser().parse_args(["up", "--nodes=2", "--no-key-identifiers", "--audit"])
    assert options(words) == Options(nodes=2, key_identifiers=False, audit=True)
    assert options(parser().parse_args(["up"])) == Options()
