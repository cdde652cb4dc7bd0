from __future__ import annotations

from pathlib import Path

import pytest

from elasticjob.agent.workers.oom_kills import OUT_OF_MEMORY, OomKills, oom_kills


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 9\n", 2),
        (b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        (b"oom_kill_disable 1\nunder_oom 0\n", 0),  # before Linux 4.13
        (b"oom_kill many\n", 0),
        (b"\xff\x00", 0),
        (b"", 0),
    ],
)
def test_the_counter_of_a_control_group(data: bytes, count: int) -> None:
    assert oom_kills(data) == count


def test_only_kills_since_the_round_began_explain_a_failure(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 1\n")
    kills = OomKills(str(tmp_path))
    kills.begin()
    assert kills.explain("exit code 1") == "exit code 1"
    counter.write_text("oom_kill 2\n")
    assert kills.explain("exit code 1") == f"{OUT_OF_MEMORY}\nexit code 1"
    kills.begin()
    assert kills.explain("exit code 1") == "exit code 1"


@pytest.mark.parametrize("directory", ["", "/nowhere"])
def test_without_control_groups_nothing_is_explained(directory: str) -> None:
    kills = OomKills(directory)
    kills.begin()
    assert kills.explain("exit code 1") == "exit code 1"
