from __future__ import annotations

import json

import pytest

from elasticjob.wire.cause import MESSAGE_BYTES, Cause, CauseKind, clip, with_end
from elasticjob.wire.codec import WireError

_FULL = Cause(
    CauseKind.WORKER_SIGNALED, "job-1-0", "node-a", 9, signal=11, message="boom", n=3, after_ms=4200
)


@pytest.mark.parametrize(
    "cause",
    [
        Cause(CauseKind.LEAVING),
        _FULL,
        Cause(CauseKind.WORKER_FAILED, "job-0-0", "n", 0, code=0, message="x", n=0, after_ms=0),
        *[Cause(kind) for kind in CauseKind],
    ],
    ids=lambda cause: cause.kind.value,
)
def test_there_and_back(cause: Cause) -> None:
    fields = json.loads(json.dumps(cause.to_fields()))
    assert Cause.from_fields(fields, "round") == cause


def test_a_kind_of_a_later_release_is_other() -> None:
    found = Cause.from_fields({"kind": "EatenByADog", "pod": "job-0-0"}, "round")
    assert found == Cause(CauseKind.OTHER, "job-0-0")


def test_none_stays_none() -> None:
    assert Cause.from_fields(None, "round") is None


@pytest.mark.parametrize(
    "fields",
    [
        [], "x", 1, True, {}, {"kind": 1}, {"kind": None}, {"kind": "Leaving", "pod": 1},
        {"kind": "Leaving", "node": []}, {"kind": "Leaving", "rank": -1},
        {"kind": "Leaving", "rank": "0"}, {"kind": "Leaving", "code": 1.5},
        {"kind": "Leaving", "signal": None}, {"kind": "Leaving", "message": {}},
        {"kind": "Leaving", "n": -1}, {"kind": "Leaving", "afterMs": 10**400},
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_fields_are_refused(fields: object) -> None:
    with pytest.raises(WireError, match="cause"):
        Cause.from_fields(fields, "round")


@pytest.mark.parametrize("message", ["", "short", "x" * MESSAGE_BYTES])
def test_a_short_message_is_kept(message: str) -> None:
    assert clip(message) == message


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\u4f60", "\U0001f600", "\ud800"])
def test_a_long_line_keeps_both_ends(letter: str) -> None:
    """A lone surrogate comes from the JSON of an error file."""
    clipped = clip("ValueError: " + letter * 1000 + " in the end")
    assert clipped.startswith("ValueError: ")
    assert "..." in clipped
    assert clipped.endswith(" in the end")
    assert MESSAGE_BYTES - 6 <= len(clipped.encode()) <= MESSAGE_BYTES
    assert clip(clipped) == clipped


def test_a_long_message_keeps_its_first_line_and_the_last_lines_that_fit() -> None:
    lines = [f"line {number} " + "x" * 60 for number in range(20)]
    clipped = clip("\n".join(["ValueError: nan", *lines]))
    assert clipped.split("\n") == ["ValueError: nan", "...", *lines[-7:]]
    assert clip("\n".join(["ValueError: nan", *lines]), 100) == "\n".join(
        ["ValueError: nan", "...", lines[-1]]
    )
    assert clip("\n".join(["ValueError: nan", *lines]), 40) == "ValueError: nan"
    assert clip(clipped) == clipped


def test_a_long_message_keeps_the_heading_of_its_lines() -> None:
    lines = [f"line {number} " + "x" * 60 for number in range(20)]
    clipped = clip(with_end("ValueError: nan", [*lines, "ValueError: nan"], "stderr"))
    first = ["ValueError: nan", "the end of stderr:"]
    assert clipped.split("\n") == [*first, *lines[-6:], "ValueError: nan"]
    assert clip(clipped, 100) == "\n".join([*first, "ValueError: nan"])
    assert clip(clipped) == clipped


def test_a_long_error_leaves_room_for_the_lines_before_it() -> None:
    error = "ValueError: " + "x" * 300
    text = clip(with_end(error, ["    frame()", error], "the traceback"))
    first, heading, frame, again = text.split("\n")
    assert (first, heading, frame) == (error, "the end of the traceback:", "    frame()")
    assert len(again) == 80


@pytest.mark.parametrize("lines", [[], ["E"]])
def test_an_error_without_other_lines_has_no_heading(lines: list[str]) -> None:
    assert with_end("E", lines, "stderr") == "E"


def test_a_line_that_begins_like_a_heading_is_a_line_like_any_other() -> None:
    assert clip("E\nthe end of the world\n" + "x" * 490 + "\ny") == "E\n...\n" + "x" * 490 + "\ny"
    assert clip("E\nthe end of " + "x" * 1000 + "\ny") == "E\n...\ny"


def test_empty_lines_before_a_long_message_are_left_out() -> None:
    assert clip("\n\nValueError: nan\n" + "x" * 1000) == "ValueError: nan"
    assert clip("\n" * 1000 + "ValueError: nan") == "ValueError: nan"


def test_a_short_message_is_cleaned_too() -> None:
    assert clip("bad \ud800\x1b[2J text") == "bad \ufffd\ufffd[2J text"


def test_a_clipped_message_is_not_clipped_again() -> None:
    """Else the agent would write its Lease for ever, as it compares the text with the last one."""
    once = Cause.from_fields(Cause(CauseKind.OTHER, message="\u4f60" * 200).to_fields(), "it")
    assert once is not None
    assert Cause.from_fields(once.to_fields(), "it") == once
