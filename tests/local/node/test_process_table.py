from __future__ import annotations

import os

import pytest

from elasticjob.local.node.process_table import descendants, pids_with_env, read_parents

TABLE = {1: 0, 10: 1, 11: 10, 12: 10, 13: 12, 20: 1, 21: 20}


@pytest.mark.parametrize(
    ("roots", "found"),
    [
        ({10}, {11, 12, 13}),
        ({12}, {13}),
        ({13}, set()),
        ({10, 20}, {11, 12, 13, 21}),
        ({10, 12}, {11, 12, 13}),  # a root below another root is a descendant
        ({99}, set()),
        (set(), set()),
    ],
)
def test_descendants(roots: set[int], found: set[int]) -> None:
    assert descendants(TABLE, roots) == found


def test_a_process_id_reused_as_its_own_ancestor_does_not_loop() -> None:
    assert descendants({5: 6, 6: 5}, {5}) == {5, 6}


def test_this_process_and_its_parent_are_found() -> None:
    assert read_parents()[os.getpid()] == os.getppid()


def test_no_process_has_an_unknown_variable() -> None:
    assert pids_with_env("ELASTICJOB_TEST_NOBODY", "") == set()
