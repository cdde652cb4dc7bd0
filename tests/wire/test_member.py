from __future__ import annotations

import pytest

from elasticjob.wire.codec import WireError
from elasticjob.wire.member import (
    Member,
    Pod,
    dump_pods,
    dump_shares,
    is_role,
    load_members,
    load_pods,
    pod_from_name,
)


def test_pods_are_ranges_of_indexes_with_generation() -> None:
    pods = [Pod(2, 1), Pod(0, 0), Pod(1, 0), Pod(10, 0), Pod(9, 0)]
    assert dump_pods(pods) == "0-1@0,2@1,9-10@0"
    assert load_pods("0-1@0,2@1,9-10@0", "it") == tuple(sorted(pods))


def test_a_thousand_members_need_few_bytes() -> None:
    members = [Member(Pod(i, 2 if i == 998 else 0), 8) for i in range(1000)]
    pods, shares = dump_pods(m.pod for m in members), dump_shares(members)
    assert (pods, shares) == ("0-997@0,998@2,999@0", "0-999x8")
    assert load_members(pods, shares, "it") == tuple(members)


@pytest.mark.parametrize(
    ("members", "shares"),
    [
        ([], ""),
        ([Member(Pod(0, 0))], "0x1"),
        ([Member(Pod(i, 0), 8) for i in range(7)] + [Member(Pod(7, 0), 4)], "0-6x8,7x4"),
        (
            [Member(Pod(0, 0), 1, "learner"), Member(Pod(1, 0), 1, "actor"),
             Member(Pod(2, 5), 1, "actor")],
            "0x1:learner,1-2x1:actor",
        ),
    ],
)  # fmt: skip
def test_shares(members: list[Member], shares: str) -> None:
    assert dump_shares(members) == shares
    assert list(load_members(dump_pods(m.pod for m in members), shares, "it")) == members


def test_a_pod_without_a_share_has_one_worker() -> None:
    assert load_members("0-1@0", "1x4", "it") == (Member(Pod(0, 0)), Member(Pod(1, 0), 4))


def test_pods_are_sorted_by_number() -> None:
    assert sorted([Pod(10, 0), Pod(9, 1), Pod(9, 0)]) == [Pod(9, 0), Pod(9, 1), Pod(10, 0)]


@pytest.mark.parametrize(
    ("pods", "shares"),
    [("0@x", ""), ("0@-1", ""), ("0@\u00b2", ""), ("0@0", "0xx"), ("0@0", "0x"), ("0@0", "0x1:a b"),
     ("0@0", "0x-1"), ("0@0", "0x1:a:b"), ("0@" + "9" * 5000, "")],
)  # fmt: skip
def test_members_that_cannot_be_read_are_refused(pods: str, shares: str) -> None:
    with pytest.raises(WireError):
        load_members(pods, shares, "round.members")


@pytest.mark.parametrize("role", ["default", "actor", "A-1", "a.b_c", "0"])
def test_a_role_is_a_plain_word(role: str) -> None:
    assert is_role(role)


@pytest.mark.parametrize("role", ["", "a,b", "a:b", "a b", "a@b", "\u00e4", "a\n", "x" * 64])
def test_a_text_that_would_break_a_range_is_no_role(role: str) -> None:
    assert not is_role(role)


def test_the_same_members_are_decoded_once() -> None:
    """A pulse and a crash deliver the same texts again, to every agent."""
    assert load_pods("0-127@0", "it") is load_pods("0-127@0", "it")
    assert load_members("0-127@0", "0-127x8", "it") is load_members("0-127@0", "0-127x8", "it")


@pytest.mark.parametrize(
    ("name", "job", "pod"),
    [
        ("job-3-1", "job", Pod(3, 1)),
        ("my-job-2-10-3", "my-job-2", Pod(10, 3)),
        ("job-0-3-1", "job-0", Pod(3, 1)),
        ("job-0-3-1", "job", None),
        ("evil-3-1", "job", None),
        ("job-3-1", "jo", None),
        ("job-03-1", "job", None),
        ("job-3-01", "job", None),
        ("job-round", "job", None),
        ("job", "job", None),
        ("", "job", None),
    ],
)
def test_a_name_is_that_of_one_pod_of_one_job(name: str, job: str, pod: Pod | None) -> None:
    assert pod_from_name(name, job) == pod
