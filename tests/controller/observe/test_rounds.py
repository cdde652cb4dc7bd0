from __future__ import annotations

import pytest
from tests.support.protocol import active

from elasticjob.controller.observe.rounds import PastRound, Reserved, past
from elasticjob.wire.codec import WireError
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("", ""),
        ("0-3@0", ""),
        ("0-1@0,2@2,3@0", ""),
        ("4@0", "4@0"),
        ("0-5@0", "4-5@0"),
        ("0-3@1", "0-1@1"),
        ("2@3", "2@3"),
        ("1-2@2", "1@2"),
    ],
)
def test_which_pods_are_reserved(named: str, fault: str) -> None:
    reserved = Reserved("uid", "0-1@1,2@3,3@1")
    found = reserved.fault(named, "round.members")
    said = f"round.members names {fault}, and the operator has created no such pods"
    assert found == (said if fault else "")


def test_pods_that_exist_count_without_a_status() -> None:
    reserved = Reserved("uid", "0@1", lambda: {Pod(1, 0), Pod(2, 5)})
    assert reserved.fault("0-1@0,2@5", "it") == ""
    assert reserved.fault("0-2@0", "it") != ""
    assert reserved.fault("0-9999@0", "it") != ""


def test_a_fault_names_no_pod_that_exists() -> None:
    reserved = Reserved("uid", "", lambda: {Pod(0, 0), Pod(1, 0), Pod(3, 0)})
    said = "it names {}, and the operator has created no such pods"
    assert reserved.fault("0-3@0", "it") == said.format("2-3@0")
    assert reserved.fault("0-1@0,3@1", "it") == said.format("3@1")


@pytest.mark.parametrize("generations", ["garbage", "0-99999@1", "0@1,0@2"])
def test_generations_that_cannot_be_read_are_none(generations: str) -> None:
    """Only another client writes such a status; the round is not to blame."""
    reserved = Reserved("uid", generations, lambda: {Pod(0, 0)})
    assert reserved.fault("0@0", "it") == ""
    assert "it names 1@0" in reserved.fault("0-1@0", "it")


def test_a_text_that_names_too_many_is_a_fault_and_a_broken_one_an_error() -> None:
    assert Reserved("uid").fault("0-99999@0", "it") == "it names more than 10000 numbers"
    with pytest.raises(WireError):
        Reserved("uid").fault("a-b@0", "it")


def test_members_of_earlier_rounds() -> None:
    before = past(active(1, [Pod(0, 0), Pod(1, 0), Pod(2, 0), Pod(4, 1)]))
    after = PastRound(2, Phase.ACTIVE, "0@0,2@1,4@1")
    assert before.members == "0-2@0,4@1"
    assert list(before.members_without(after)) == [Pod(1, 0), Pod(2, 0)]
    assert [before.has(pod) for pod in (Pod(1, 0), Pod(1, 1), Pod(3, 0), Pod(4, 1))] == [
        True, False, False, True,
    ]  # fmt: skip
