from __future__ import annotations

import pytest
from tests.support.protocol import active, pod

from elasticjob.rendezvous.members.ranks import Ranks, ranks_of
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import Endpoint, Phase, Round


def of(*members: Member) -> Round:
    return Round(1, Phase.ACTIVE, members, Endpoint("10.0.0.1"))


def ranks(round_: Round) -> list[tuple[int, ...]]:
    """(index, group rank, first rank, first role rank) of every member."""
    rows = []
    for member in round_.members:
        r = ranks_of(round_, member.pod)
        rows.append((member.pod.index, r.group_rank, r.first_rank, r.first_role))
    return rows


def test_alike_members() -> None:
    round_ = active(1, "A B C", workers=4)
    assert ranks(round_) == [(0, 0, 0, 0), (1, 1, 4, 4), (2, 2, 8, 8)]
    assert ranks_of(round_, pod("B")) == Ranks(1, 3, 4, 12, 4, 12, 4, "default")


def test_different_numbers_of_workers_are_running_sums() -> None:
    round_ = of(Member(Pod(0, 0), 8), Member(Pod(1, 0), 2), Member(Pod(2, 0), 4))
    assert ranks(round_) == [(0, 0, 0, 0), (1, 1, 8, 8), (2, 2, 10, 10)]
    assert {ranks_of(round_, m.pod).world for m in round_.members} == {14}


def test_roles_count_for_themselves() -> None:
    round_ = of(
        Member(Pod(0, 0), 1, "learner"),
        Member(Pod(1, 0), 2, "actor"),
        Member(Pod(2, 0), 1, "learner"),
        Member(Pod(3, 0), 3, "actor"),
    )
    assert ranks(round_) == [(0, 0, 0, 0), (1, 1, 1, 0), (2, 2, 3, 1), (3, 3, 4, 2)]
    assert [ranks_of(round_, m.pod).role_world for m in round_.members] == [2, 5, 2, 5]
    assert {ranks_of(round_, m.pod).world for m in round_.members} == {7}


def test_a_replacement_takes_the_index_of_the_lost_pod() -> None:
    """Rank 0 stays where it is while it lives, and so do all others."""
    before, after = active(1, "A B C"), active(2, "A B' C")
    assert ranks_of(after, pod("A")) == ranks_of(before, pod("A"))
    assert ranks_of(after, pod("B'")) == ranks_of(before, pod("B"))
    assert ranks_of(after, pod("C")) == ranks_of(before, pod("C"))


def test_without_a_member_the_later_ones_move_up() -> None:
    assert ranks(active(2, "A C")) == [(0, 0, 0, 0), (2, 1, 1, 1)]


def test_10_comes_after_9() -> None:
    """Numbers, not names: as names, demo-10-0 sorts before demo-9-0."""
    round_ = of(*(Member(Pod(i, 0)) for i in (9, 10, 2)))
    assert [ranks_of(round_, Pod(i, 0)).group_rank for i in (2, 9, 10)] == [0, 1, 2]


def test_every_rank_is_given_once() -> None:
    round_ = of(*(Member(Pod(i, i % 3), 1 + i % 4, "ab"[i % 2]) for i in range(50)))
    given = []
    for member in round_.members:
        r = ranks_of(round_, member.pod)
        given += range(r.first_rank, r.first_rank + r.workers)
    assert given == list(range(sum(m.workers for m in round_.members)))


@pytest.mark.parametrize("stranger", ["D", "A'"])
def test_a_pod_that_is_no_member_has_no_rank(stranger: str) -> None:
    with pytest.raises(KeyError):
        ranks_of(active(1, "A B C"), pod(stranger))
