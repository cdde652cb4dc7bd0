from __future__ import annotations

import pytest

from elasticjob.controller.observe import heartbeat


@pytest.mark.parametrize(
    ("agents", "expected"),
    [(0, 5.0), (4, 5.0), (500, 5.0), (501, 10.0), (1000, 10.0), (4000, 40.0), (99_999, 60.0)],
)
def test_one_namespace_may_write_all(agents: int, expected: float) -> None:
    assert heartbeat.needed_s("a", {"a": agents}, 100.0) == expected


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ({"a": 250, "b": 250}, (5.0, 5.0)),
        ({"a": 4, "b": 10_000}, (5.0, 60.0)),
        ({"a": 4, "b": 2000}, (5.0, 25.0)),
        ({"a": 250, "b": 2000}, (5.0, 40.0)),
        ({"a": 251, "b": 2000}, (10.0, 40.0)),
        ({"a": 500, "b": 500}, (10.0, 10.0)),
        ({"a": 100, "b": 150, "c": 450}, (5.0, 5.0)),
        ({"a": 0, "b": 1000}, (5.0, 10.0)),
        ({"b": 1000}, (5.0, 10.0)),
    ],
)
def test_namespaces_share_the_writes(agents: dict[str, int], expected: tuple[float, float]) -> None:
    found = tuple(heartbeat.needed_s(name, agents, 100.0) for name in ("a", "b"))
    assert found == expected


@pytest.mark.parametrize(
    ("held", "needed", "expected"),
    [(5.0, 5.0, 5.0), (10.0, 5.0, 10.0), (15.0, 5.0, 5.0), (5.0, 10.0, 10.0)],
)
def test_a_change_is_made_only_when_it_matters(held: float, needed: float, expected: float) -> None:
    assert heartbeat.kept_s(held, needed) == expected
