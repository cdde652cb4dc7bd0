"""Options: which are refused, and which error a second `up` with others gets."""

from __future__ import annotations

from typing import Any

import pytest
from dev.cluster.errors import ClusterError
from dev.cluster.options import Options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nodes": 0}, "nodes is 0; it must be 1 to 9"),
        ({"nodes": 10}, "nodes is 10; it must be 1 to 9"),
        ({"lan": "10.90.0.0/16"}, "lan is 10.90.0.0/16; it must be a /24"),
        ({"lan": "10.90.0.1/24"}, "lan: 10.90.0.1/24 has host bits set"),
        ({"lan": "here"}, "Cure: a network such as 10.90.0.0/24"),
    ],
)
def test_invalid_options_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message.replace("+", r"\+")):
        Options(**given)


def test_options_survive_a_file() -> None:
    options = Options(nodes=5, feature_gates="WatchList=false", key_identifiers=False)
    assert Options.from_json(options.to_json()) == options


def test_each_difference_is_named() -> None:
    assert Options().differences(Options()) == []
    other = Options(nodes=2, feature_gates="WatchList=false")
    assert Options().differences(other) == [
        "nodes is 3, not 2",
        "feature_gates is '', not 'WatchList=false'",
    ]
