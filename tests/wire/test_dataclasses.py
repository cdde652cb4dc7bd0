"""Compare wire.dataclasses with the standard library's: both decorate the same classes."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest

from elasticjob.wire import dataclasses as ours
from elasticjob.wire.member import Member, Pod


def made(by: Any) -> SimpleNamespace:
    """Three classes: with defaults and a method; with an order; without fields."""

    @by.dataclass(frozen=True)
    class Round:
        n: int
        members: tuple[int, ...] = ()
        _: str | None = None

        @cached_property
        def total(self) -> int:
            return sum(self.members)

    @by.dataclass(frozen=True, order=True)
    class Pod:
        index: int
        generation: int = 0

    @by.dataclass(frozen=True)
    class Tick:
        pass

    return SimpleNamespace(Round=Round, Pod=Pod, Tick=Tick)


both = pytest.mark.parametrize("by", [dataclasses, ours], ids=["standard", "ours"])


@both
def test_fields_by_place_by_name_and_by_default(by: Any) -> None:
    make = made(by)
    one = make.Round(1, _="x")
    assert (one.n, one.members, one._) == (1, (), "x")
    assert repr(one).endswith("Round(n=1, members=(), _='x')")
    assert repr(make.Tick()).endswith("Tick()")
    assert make.Pod.generation == 0


@both
@pytest.mark.parametrize(
    ("given", "named"), [((), {}), ((1, (), "x", 4), {}), ((1,), {"n": 1}), ((1,), {"m": 1})]
)
def test_wrong_arguments_are_refused(by: Any, given: Any, named: Any) -> None:
    make = made(by)
    with pytest.raises(TypeError, match="__init__"):
        make.Round(*given, **named)


@both
def test_equal_if_of_one_class_with_equal_fields(by: Any) -> None:
    make = made(by)
    assert make.Round(1, (2,)) == make.Round(1, (2,))
    assert make.Round(1) != make.Round(2)
    assert len({make.Round(1), make.Round(1), make.Round(2), make.Tick(), make.Tick()}) == 3
    assert make.Pod(1, 0) != (1, 0)
    assert make.Pod(1) != made(by).Pod(1)
    assert make.Pod(1) != Member(make.Pod(1))


@both
def test_an_order_only_if_it_is_requested(by: Any) -> None:
    make = made(by)
    low, middle, high = make.Pod(9), make.Pod(9, 1), make.Pod(10)
    assert sorted([high, middle, low]) == [low, middle, high]
    assert make.Pod(1) < make.Pod(1, 1) <= make.Pod(1, 1) <= make.Pod(2)
    assert make.Pod(2) > make.Pod(1, 1) >= make.Pod(1, 1)
    for other in (make.Round(2), 2):
        with pytest.raises(TypeError):
            assert make.Pod(1) < other
    with pytest.raises(TypeError):
        assert make.Round(1) < make.Round(2)


@both
def test_frozen(by: Any) -> None:
    make = made(by)
    one = make.Round(1)
    with pytest.raises(AttributeError):
        one.n = 2
    with pytest.raises(AttributeError):
        del one.n
    with pytest.raises(AttributeError):
        make.Tick().x = 1
    assert one == make.Round(1)


@both
def test_a_copy_with_changes(by: Any) -> None:
    make = made(by)
    one = make.Round(1, (2, 3))
    assert one.total == 5
    other = by.replace(one, members=(4,))
    assert (other, other.total, one.total) == (make.Round(1, (4,)), 4, 5)
    assert by.replace(other) == other
    assert by.replace(make.Tick()) == make.Tick()
    with pytest.raises(TypeError):
        by.replace(one, m=1)


def test_the_standard_module_accepts_these_classes() -> None:
    member = Member(Pod(1, 2), 8)
    assert dataclasses.is_dataclass(member)
    assert [field.name for field in dataclasses.fields(Member)] == ["pod", "workers", "role"]
    assert dataclasses.asdict(member)["pod"] == {"index": 1, "generation": 2}
    assert dataclasses.replace(member, workers=4) == Member(Pod(1, 2), 4)


def test_only_frozen_classes() -> None:
    with pytest.raises(TypeError, match="frozen dataclasses only"):
        ours.dataclass(frozen=False)
