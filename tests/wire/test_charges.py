from __future__ import annotations

import pytest

from elasticjob.wire.charges import KEPT, NO_CHARGES, Charges
from elasticjob.wire.codec import WireError


def charges(*numbers: int, older: int = 0) -> Charges:
    return Charges(frozenset(numbers), older)


@pytest.mark.parametrize(
    ("before", "n", "after"),
    [
        (NO_CHARGES, 1, charges(1)),
        (charges(1), 1, charges(1)),
        (charges(1, 3), 2, charges(1, 2, 3)),
        (charges(*range(1, 65)), 65, charges(*range(2, 66), older=1)),
        (charges(*range(1, 65), older=9), 65, charges(*range(2, 66), older=10)),
        (charges(*range(1, 65)), 64, charges(*range(1, 65))),
    ],
)
def test_with_charge(before: Charges, n: int, after: Charges) -> None:
    assert before.with_charge(n) == after


def test_only_the_last_64_are_named() -> None:
    many = NO_CHARGES
    for n in range(1, 201):
        many = many.with_charge(n)
    assert many == Charges(frozenset(range(137, 201)), older=136)
    assert len(many.numbers) == KEPT


@pytest.mark.parametrize(
    ("before", "n", "after"),
    [
        (charges(1, 2, 3), 1, charges(1)),
        (charges(1, 2, 3), 0, NO_CHARGES),
        (charges(1, 2, 3), 3, charges(1, 2, 3)),
        (charges(5, older=2), 0, charges(older=2)),
        (Charges(frozenset({8}), forgiven=7), 7, Charges(forgiven=7)),
    ],
)
def test_struck_above(before: Charges, n: int, after: Charges) -> None:
    assert before.struck_above(n) == after


@pytest.mark.parametrize(
    ("these", "fields"),
    [
        (NO_CHARGES, {}),
        (charges(2, 3, 7), {"charged": "2-3,7"}),
        (charges(9, older=4), {"charged": "9", "chargedOlder": 4}),
        (Charges(forgiven=7), {"forgiven": 7}),
    ],
)
def test_there_and_back(these: Charges, fields: dict[str, object]) -> None:
    assert these.to_fields() == fields
    assert Charges.from_record(dict(fields), "round") == these


@pytest.mark.parametrize(
    "record",
    [{"charged": 1}, {"charged": "x"}, {"charged": ["1"]}, {"chargedOlder": -1}, {"forgiven": "1"}],
)
def test_wrong_fields_are_refused(record: dict[str, object]) -> None:
    with pytest.raises(WireError, match=r"round\.(charged|forgiven)"):
        Charges.from_record(record, "round")
