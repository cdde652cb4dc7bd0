from __future__ import annotations

import pytest

from elasticjob.wire import codec

# ---- records -------------------------------------------------------------------------------------


def test_a_record_is_one_compact_object_with_its_version() -> None:
    assert codec.dump({"n": 0, "a": "x", "b": [1]}) == '{"v":1,"n":0,"a":"x","b":[1]}'


def test_empty_values_are_left_out() -> None:
    assert codec.dump({"a": None, "b": False, "c": "", "d": [], "e": 0, "f": True}) == (
        '{"v":1,"e":0,"f":true}'
    )


def test_unknown_keys_are_ignored() -> None:
    assert codec.load('{"v":1,"n":3,"later":{"deep":[]}}', "round")["n"] == 3


@pytest.mark.parametrize("version", ["2", '"1"', "null", "true", "1.5"])
def test_another_version_is_refused_with_a_message_that_names_it(version: str) -> None:
    with pytest.raises(
        codec.WireError, match=r"round has version .*, this release reads 1.*one release"
    ):
        codec.load(f'{{"v":{version}}}', "round")


def test_no_version_is_refused() -> None:
    with pytest.raises(codec.WireError, match="round has version None"):
        codec.load("{}", "round")


@pytest.mark.parametrize(
    "broken",
    ["", "{", "not json", '{"v":1', "[1]", "1", '"text"', "null", "[" * 100_000, "\x00"],
    ids=["empty", "open", "words", "cut", "list", "int", "str", "null", "deep", "nul"],
)
def test_another_text_than_a_record_is_refused(broken: str) -> None:
    with pytest.raises(codec.WireError, match="round is not "):
        codec.load(broken, "round")


# ---- fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, 1.5, 1.0, True, "1", None, [], {}, 2**53 + 1, 10**400])
def test_a_number_is_whole_and_small_enough_to_compute_with(value: object) -> None:
    with pytest.raises(codec.WireError, match=r"round\.n is .*, not a whole number from 0"):
        codec.number({"n": value}, "n", "round")


def test_a_number_has_no_default_unless_it_is_given_one() -> None:
    assert codec.number({}, "n", "round", 7) == 7
    with pytest.raises(codec.WireError, match=r"round\.n is None"):
        codec.number({}, "n", "round")


@pytest.mark.parametrize(
    "value", [-0.5, True, "1", None, float("nan"), float("inf"), 10**400], ids=repr
)
def test_seconds_are_finite_and_not_below_0(value: object) -> None:
    with pytest.raises(codec.WireError, match=r"desired\.t is .*, not a number of seconds from 0"):
        codec.seconds({"t": value}, "t", "desired", 1.0)


def test_seconds_may_be_whole_or_not() -> None:
    assert codec.seconds({"t": 5}, "t", "desired", 1.0) == 5.0
    assert codec.seconds({"t": 0.25}, "t", "desired", 1.0) == 0.25
    assert codec.seconds({}, "t", "desired", 1.0) == 1.0


@pytest.mark.parametrize("value", [1, None, True, [], {}])
def test_a_text_is_a_string(value: object) -> None:
    with pytest.raises(codec.WireError, match=r"agent\.node is .*, not a string"):
        codec.text({"node": value}, "node", "agent")


@pytest.mark.parametrize("value", [1, None, "true", [], 0])
def test_a_flag_is_true_or_false(value: object) -> None:
    with pytest.raises(codec.WireError, match=r"agent\.leaving is .*, not true or false"):
        codec.flag({"leaving": value}, "leaving", "agent")


def test_a_flag_is_off_unless_it_is_set() -> None:
    assert codec.flag({}, "leaving", "agent") is False
    assert codec.flag({"leaving": True}, "leaving", "agent") is True


def test_compact_seconds() -> None:
    assert [codec.compact(30.0), codec.compact(0.2), codec.compact(0.0)] == [30, 0.2, 0]


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", " 1", "1_0", "1.0", "\u00b2", "\u0663", "9" * 20, "9" * 5000, "x"]
)
def test_whole_number_reads_plain_digits_only(value: str) -> None:
    """str.isdigit accepts superscripts, which int refuses, and the digits of other scripts."""
    assert codec.whole_number(value) is None


def test_whole_number_reads_numbers() -> None:
    assert [codec.whole_number("0"), codec.whole_number("007"), codec.whole_number(str(2**53))] == [
        0,
        7,
        2**53,
    ]


# ---- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([], []),
        ([4], [(4, 4)]),
        ([1, 2, 3, 7], [(1, 3), (7, 7)]),
        ([0, 2, 4], [(0, 0), (2, 2), (4, 4)]),
    ],
)
def test_runs(numbers: list[int], found: list[tuple[int, int]]) -> None:
    assert codec.runs(numbers) == found


@pytest.mark.parametrize(
    ("numbers", "written"),
    [(set(), ""), ({0}, "0"), ({3, 1, 2, 7}, "1-3,7"), (set(range(1000)), "0-999")],
)
def test_sets_of_numbers(numbers: set[int], written: str) -> None:
    assert codec.dump_numbers(numbers) == written
    assert codec.load_numbers(written, "it") == numbers


@pytest.mark.parametrize(
    ("pairs", "written"),
    [
        ([], ""),
        ([(0, "0")], "0@0"),
        ([(0, "0"), (1, "0"), (2, "3")], "0-1@0,2@3"),
        ([(0, "0"), (2, "0"), (3, "0")], "0@0,2-3@0"),
        ([(i, "0") for i in range(998)] + [(998, "2"), (999, "0")], "0-997@0,998@2,999@0"),
    ],
)
def test_tagged_numbers(pairs: list[tuple[int, str]], written: str) -> None:
    assert codec.dump_tagged(pairs, "@") == written
    assert codec.load_tagged(written, "@", "it") == pairs


_NO_SET = [
    ",", "1,", "x", "-", "1-", "-1", "3-1", "1-2-3", "1..2", "1@0", " 1", "\u00b2", "9" * 5000,
    "0-100000", "0-9999999999999", "1,1-99999999",
]  # fmt: skip


@pytest.mark.parametrize("broken", _NO_SET)
def test_a_set_that_cannot_be_read_is_refused(broken: str) -> None:
    with pytest.raises(codec.WireError, match=r"round\.charged (has a range|names more)"):
        codec.load_numbers(broken, "round.charged")


_NO_TAGGED = [
    "1", "1@", "@0", "@", "1-2", "2-1@0", "x@0", "1@0,", "1-@0", "0-100000@0", "\u00b2@0",
]  # fmt: skip


@pytest.mark.parametrize("broken", _NO_TAGGED)
def test_tagged_numbers_that_cannot_be_read_are_refused(broken: str) -> None:
    with pytest.raises(codec.WireError, match=r"round\.members (has a range|names more)"):
        codec.load_tagged(broken, "@", "round.members")


@pytest.mark.parametrize("twice", ["1@0,1@1", "0-3@0,2@1", "5@0,0-9@0"])
def test_an_index_is_named_once(twice: str) -> None:
    with pytest.raises(codec.WireError, match=r"round\.members names an index twice"):
        codec.load_tagged(twice, "@", "round.members")


def test_many_ranges_together_do_not_exhaust_the_readers_memory() -> None:
    """Each is allowed alone, and 256 KiB of annotation hold 20,000 of them."""
    step = codec.LARGEST_SET // 2 + 1
    ranges = ",".join(f"{i * step}-{i * step + step - 1}" for i in range(10_000))
    with pytest.raises(codec.WireError, match="names more than"):
        codec.load_numbers(ranges, "round.charged")
    with pytest.raises(codec.WireError, match="names more than"):
        codec.load_tagged(ranges.replace(",", "@0,") + "@0", "@", "round.members")


def test_a_message_about_a_long_text_is_short() -> None:
    with pytest.raises(codec.WireError) as caught:
        codec.load_numbers("x" * 200_000, "round.charged")
    assert len(str(caught.value)) < 200
    with pytest.raises(codec.WireError) as caught:
        codec.load_tagged("1@0," * 50_000 + "1@0", "@", "round.members")
    assert len(str(caught.value)) < 200
