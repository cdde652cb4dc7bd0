"""What the Events of a pod report about why it does not start."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.controller.observe.pod_events import KEPT, PodWarning, warnings
from elasticjob.wire.codec import Json

MISSING = 'MountVolume.SetUp failed for volume "data" : configmap "train" not found'
PLAIN = 'configmap "train" not found (volume data)'
ID = 64 * "a"


def event(second: int, reason: str, message: str = "m", **fields: Any) -> Json:
    """An Event as a kubelet writes it."""
    usual = {"type": "Warning", "lastTimestamp": time(second), "metadata": {}, "count": 2}
    return {**usual, "reason": reason, "message": message, **fields}


def progress(second: int, reason: str) -> Json:
    return event(second, reason, type="Normal")


def time(second: int) -> str:
    return f"2026-01-01T12:00:{second:02d}Z"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([progress(1, "Scheduled"), progress(1, "Pulling")], []),
        ([progress(1, "Scheduled"), event(1, "FailedMount", MISSING)], [("FailedMount", PLAIN, 1)]),
        ([event(1, "FailedScheduling"), progress(2, "Scheduled")], []),
        ([event(1, "FailedMount", MISSING), progress(3, "Pulling")], []),
        (  # a kubelet reports this after each try
            [event(1, "FailedCreatePodSandBox"), progress(2, "SandboxChanged")],
            [("FailedCreatePodSandBox", "m", 1)],
        ),
        (
            [event(1, "FailedMount", "a"), event(3, "FailedAttachVolume", "b")],
            [("FailedAttachVolume", "b", 3), ("FailedMount", "a", 1)],
        ),
        (  # another Event of the same kubelet after its restart
            [event(1, "FailedMount", "a"), event(2, "FailedMount", "a")],
            [("FailedMount", "a", 2)],
        ),
        (
            [event(second, "FailedMount", f"{second}") for second in range(9)],
            [("FailedMount", f"{second}", second) for second in (8, 7, 6)],
        ),
    ],
)
def test_warnings(events: list[Json], expected: list[tuple[str, str, int]]) -> None:
    assert warnings(events) == tuple(PodWarning(r, m, time(second)) for r, m, second in expected)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"lastTimestamp": None, "eventTime": "2026-01-01T12:00:07.123456Z"}, time(7)),
        ({"series": {"lastObservedTime": "2026-01-01T12:00:08.5Z"}}, time(8)),
        ({"lastTimestamp": None, "firstTimestamp": time(9)}, time(9)),
        ({"lastTimestamp": None, "metadata": {"creationTimestamp": time(3)}}, time(3)),
        ({"lastTimestamp": None}, ""),
    ],
)
def test_the_time_is_that_of_the_last_occurrence(fields: Json, at: str) -> None:
    (found,) = warnings([event(1, "FailedMount", **fields)])
    assert found.at == at


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (MISSING, PLAIN),
        (
            'AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = Internal desc = no',
            "rpc error: code = Internal desc = no (volume pvc-1)",
        ),
        (
            f'Failed to create pod sandbox: failed to setup network for sandbox "{ID}": no',
            "Failed to create pod sandbox: failed to setup network for sandbox ...: no",
        ),
        ("a\n  b", "a b"),
        ("\x1b[31mred", "\ufffd[31mred"),
        (None, "no message"),
    ],
)
def test_a_message_is_one_plain_line_that_each_try_repeats(message: Any, expected: str) -> None:
    (found,) = warnings([event(1, "FailedMount", message)])
    assert found.message == expected


@pytest.mark.parametrize("reason", ["no reason", "a", "", None, "X" * 99, "A\nB"])
def test_any_user_may_write_an_event_and_its_reason_stays_one_word(reason: Any) -> None:
    (found,) = warnings([event(1, reason, 10_000 * "x")])
    assert found.reason == "PodWarning"
    assert len(found.message) <= 600


def test_few_warnings_are_kept() -> None:
    assert len(warnings(event(1, "FailedMount", str(n)) for n in range(1000))) == KEPT
