from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod

_WANTED = Desired(wanted=(Pod(0, 0), Pod(1, 2), Pod(3, 0)))


@pytest.mark.parametrize(
    ("pod", "is_wanted"),
    [
        (Pod(0, 0), True),
        (Pod(0, 5), True),
        (Pod(1, 1), False),
        (Pod(1, 2), True),
        (Pod(1, 3), True),
        (Pod(2, 0), False),
    ],
)
def test_an_index_is_wanted_from_its_lowest_generation_on(pod: Pod, is_wanted: bool) -> None:
    assert _WANTED.is_wanted(pod) is is_wanted


def test_defaults_are_those_of_docs_design() -> None:
    page = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE))
    written = json.loads(Desired(wanted=(), max_start_restarts=2).to_json())  # absent: no limit
    assert written["min"] == 1  # one member is enough; the operator writes minReplicas
    not_a_default = {"v", "wanted", "min"}
    assert {key: int(value) for key, value in documented.items()} == {
        key: value for key, value in written.items() if key not in not_a_default
    }
