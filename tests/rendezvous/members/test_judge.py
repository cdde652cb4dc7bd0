"""Rule 7: every clause, and the trace that needs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.mutants import table, without
from tests.support.protocol import active, case, desired, forming, letter, pod, pods, seen

from elasticjob.rendezvous.members import judge as j
from elasticjob.rendezvous.members.judge import judge
from elasticjob.rendezvous.view import Seen
from elasticjob.wire.cause import CauseKind

RUN2 = active(2, "A B C")
ALL = {"A": "running 2", "B": "running 2", "C": "running 2"}


def letters(found: Any) -> str:
    return " ".join(letter(p) for p in sorted(found))


# ---- members -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reported", "done", "leaving", "lost", "failed"),
    [
        ("running 2", "", "", "", ""),
        ("done 2", "B", "", "", ""),
        ("done 1", "", "", "", ""),  # F1: of this n only
        ("done 3", "", "", "", ""),
        ("failed 2", "", "", "", "B"),
        ("failed 1", "", "", "", ""),
        ("running 2 leaving", "", "B", "", ""),
        ("ready 2 leaving", "", "B", "", ""),  # V3
        ("done 2 leaving", "B", "", "", ""),  # done before leaving: it has finished
        ("running 2 ended", "", "", "B", ""),
        ("done 2 ended", "B", "", "", ""),  # F12: its pod is gone, its state counts
        ("running 2 leaving ended", "", "B", "", ""),  # leaving before lost: no charge
        ("failed 2 leaving", "", "B", "", "B"),  # F24
        ("ready 1", "", "", "", ""),  # not late yet
    ],
)
def test_a_member_is_done_or_leaving_or_lost_in_this_order(
    reported: str, done: str, leaving: str, lost: str, failed: str
) -> None:
    found = judge(case(RUN2, {**ALL, "B": reported}))
    assert letters(found.done) == done
    assert letters(found.leaving) == leaving
    assert letters(found.lost) == lost
    assert letters(found.failed) == failed
    assert found.removed == pods(f"{leaving} {lost}")


@pytest.mark.parametrize(
    ("member", "loss", "is_suspect"),
    [
        (seen("B", "running 2", pulses=2, confirmed=True), None, False),
        (seen("B", "running 2", pulses=3), None, True),  # F13: a GET settles it
        (seen("B", "running 2", pulses=3, confirmed=True), CauseKind.POD_SILENT, False),
        (seen("B", "running 2", pulses=9, quiet_s=14.9, confirmed=True), None, False),
        (seen("B", "running 2", pulses=2, quiet_s=99.0, confirmed=True), None, False),
        (seen("B", pulses=0), None, False),  # V7: absent is silent, not lost at once
        (seen("B", pulses=3), None, True),
        (seen("B", pulses=3, confirmed=True), CauseKind.POD_SILENT, False),
        (seen("B", "done 2", pulses=9, confirmed=True), None, False),
        (seen("B", "running 2 ended", pulses=0), CauseKind.POD_ENDED, False),  # no GET needed
    ],
)
def test_silence_is_three_pulses_and_three_t_and_confirmed(
    member: Seen, loss: CauseKind | None, is_suspect: bool
) -> None:
    found = judge(case(RUN2, {**ALL, "B": member}))
    assert found.lost.get(pod("B")) is loss
    assert (pod("B") in found.suspects) is is_suspect


@pytest.mark.parametrize(
    ("reported", "is_suspect"),
    [
        ("ready 1", True),
        ("running 1", True),
        ("done 1", True),
        ("ready 2", True),
        ("running 2", False),
        ("failed 2", False),
        ("done 2", False),
    ],
)
def test_late_is_not_running_by_the_start_deadline(reported: str, is_suspect: bool) -> None:
    """3 s grace, 2 T and 15 s after the round was seen (F7, F10)."""
    late = case(RUN2, {**ALL, "B": seen("B", reported)}, round_at=1000.0 - 28.0)
    assert (pod("B") in judge(late).suspects) is is_suspect
    assert not judge(late).lost  # V9: late, too, is confirmed by a GET
    confirmed = case(RUN2, {**ALL, "B": seen("B", reported, confirmed=True)}, round_at=972.0)
    lost = {pod("B"): CauseKind.POD_LATE} if is_suspect else {}
    assert dict(judge(confirmed).lost) == lost
    early = case(RUN2, {**ALL, "B": seen("B", reported, confirmed=True)}, round_at=972.1)
    assert not judge(early).lost


def test_a_get_from_before_it_was_silent_or_late_confirms_nothing() -> None:
    """F13: the GET confirmed another suspicion than the later one."""
    early = replace(seen("B", "running 2", pulses=9), got_at=990.0, got_pulse=1000 - 7)
    entries = {**ALL, "B": early, "C": seen("C", "running 2", pulses=9, confirmed=True)}
    found = judge(case(RUN2, entries))
    assert (letters(found.lost), letters(found.suspects)) == ("C", "B")
    late = replace(seen("B", "running 1"), got_at=999.0, got_pulse=1000)
    assert letters(judge(case(RUN2, {**ALL, "B": late}, round_at=972.0)).suspects) == "B"
    assert letters(judge(case(RUN2, {**ALL, "B": late}, round_at=970.0)).lost) == "B"


def test_late_counts_from_the_end_of_the_start_delay() -> None:
    delayed = active(2, "A B C", delay_ms=4000)
    entries = {**ALL, "B": seen("B", "running 1", confirmed=True)}
    assert not judge(case(delayed, entries, round_at=970.0)).lost
    assert judge(case(delayed, entries, round_at=968.0)).lost


def test_the_holder_never_suspects_itself() -> None:
    """It does not renew its own Lease: it pulses instead."""
    entries = {**ALL, "A": seen("A", "ready 1", pulses=99, confirmed=True)}
    found = judge(case(RUN2, entries, round_at=0.0))
    assert not found.lost
    assert not found.suspects


def test_a_late_member_that_the_view_lacks_is_read_by_a_get() -> None:
    found = judge(case(RUN2, {"A": "running 2", "B": "running 2"}, round_at=0.0))
    assert found.suspects == pods("C")
    assert not found.lost


LEFT_OUT = [
    # clause, B's state, round_at, the lost members with the clause and without it
    ("7-ended", "running 2 ended", 990.0, "B", ""),
    ("7-late", seen("B", "running 1", confirmed=True), 0.0, "B", ""),
    ("7-silent", seen("B", "running 2", pulses=3, confirmed=True), 990.0, "B", ""),
    ("7-confirm", seen("B", "running 2", pulses=3), 990.0, "", "B"),
    ("7-absent-is-silent", seen("B"), 990.0, "", "B"),
    ("7-leaving-before-lost", "running 2 leaving ended", 990.0, "", "B"),
]


@pytest.mark.parametrize(("clause", "reported", "round_at", "lost", "mutant"), LEFT_OUT)
def test_every_clause_of_a_loss_is_needed(
    clause: str, reported: Any, round_at: float, lost: str, mutant: str
) -> None:
    whole = case(RUN2, {**ALL, "B": reported}, round_at=round_at)
    assert letters(judge(whole).lost) == lost
    with without(clause):
        assert letters(judge(whole).lost) == mutant


# ---- many are silent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "pulses", "lost"),
    [
        (("n1", "n1"), 3, "B C"),  # one node: its end explains both
        (("n1", "n2"), 3, ""),  # F6: two nodes, so the cause may be the holder's network
        (("n1", "n2"), 8, ""),
        (("n1", "n2"), 9, "B C"),  # ... but never forbidden
    ],
)
def test_nine_pulses_where_the_silent_sit_on_several_nodes(
    nodes: tuple[str, str], pulses: int, lost: str
) -> None:
    entries = {
        "A": "running 2",
        "B": seen("B", "running 2", pulses, confirmed=True, node_=nodes[0]),
        "C": seen("C", "running 2", pulses, confirmed=True, node_=nodes[1]),
    }
    assert letters(judge(case(RUN2, entries)).lost) == lost


def test_a_member_without_a_node_counts_as_one_more_node() -> None:
    no_node = Seen(None, 0.0, 1000 - 3, got_at=1000.0, got_pulse=1000)
    entries = {"A": "running 2", "B": no_node, "C": no_node}
    assert not judge(case(RUN2, entries)).lost


def test_done_and_leaving_members_do_not_count_as_silent() -> None:
    quiet = seen("C", "running 2", pulses=3, confirmed=True)
    for word in ("done 2", "running 2 leaving"):
        other = seen("B", word, pulses=3, confirmed=True)
        assert letters(judge(case(RUN2, {**ALL, "B": other, "C": quiet})).lost) == "C"


# ---- superfluous ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "reported", "superfluous"),
    [
        ("A B C", "running 2", ""),
        ("A C", "running 2", "B"),
        ("A B' C", "running 2", "B"),  # by plan: a lower generation than the lowest wanted
        ("A C", "done 2", ""),
        ("A C", "running 2 leaving", ""),
        ("A C", "running 2 ended", ""),
    ],
)
def test_superfluous_is_not_wanted_and_neither_done_nor_going(
    wanted: str, reported: str, superfluous: str
) -> None:
    found = judge(case(RUN2, {**ALL, "B": reported}, wanted=wanted))
    assert letters(found.superfluous) == superfluous


# ---- newcomers -----------------------------------------------------------------------------------

PAIR = active(2, "A B")


@pytest.mark.parametrize(
    ("candidate", "is_newcomer"),
    [
        (seen("C", "ready 2"), True),
        (seen("C", "ready 2", pulses=2), True),
        (seen("C", "ready 1"), False),  # F4, V10: stale
        (seen("C", "ready 3"), False),
        (seen("C", "running 2"), False),
        (seen("C", "done 2"), False),
        (seen("C", "failed 2"), False),
        (seen("C", "ready 2 leaving"), False),
        (seen("C", "ready 2 ended"), False),  # V10
        (seen("C", "ready 2", pulses=3), False),  # F4, V10: silent, no GET needed
        (seen("C"), False),
    ],
)
def test_a_newcomer_reports_ready_n_and_is_not_silent(candidate: Seen, is_newcomer: bool) -> None:
    found = judge(case(PAIR, {"A": "running 2", "B": "running 2", "C": candidate}))
    assert (found.newcomers == pods("C")) is is_newcomer


@pytest.mark.parametrize(
    ("wanted", "newcomers"),
    [("A B C", "C'"), ("A B C'", "C'"), ("A B C''", ""), ("A B", ""), ("A B D", "")],
)
def test_a_newcomer_is_wanted(wanted: str, newcomers: str) -> None:
    entries = {"A": "running 2", "B": "running 2", "C'": "ready 2"}
    assert letters(judge(case(PAIR, entries, wanted=wanted)).newcomers) == newcomers


def test_the_newest_such_of_an_index() -> None:
    """V14: both report `ready n`; the older one has left, or was given up."""
    entries = {"A": "running 2", "B": "running 2", "C": "ready 2", "C'": "ready 2"}
    assert letters(judge(case(PAIR, entries)).newcomers) == "C'"
    entries["C'"] = "ready 2 leaving"
    assert letters(judge(case(PAIR, entries)).newcomers) == "C"


def test_not_of_an_index_that_a_staying_member_has() -> None:
    """V12, W1: the member of the same index has not been judged yet."""
    entries = {"A": "running 2", "B": seen("B"), "B'": "ready 2"}
    assert letters(judge(case(PAIR, entries)).newcomers) == ""
    entries["B"] = seen("B", pulses=3, confirmed=True)
    found = judge(case(PAIR, entries))
    assert (letters(found.lost), letters(found.newcomers)) == ("B", "B'")


def test_a_superfluous_member_does_not_hold_its_index() -> None:
    """The operator wants the next generation, and its pod has joined."""
    entries = {"A": "running 2", "B": "running 2", "B'": "ready 2"}
    found = judge(case(PAIR, entries, wanted="A B'"))
    assert (letters(found.superfluous), letters(found.newcomers)) == ("B", "B'")


def test_a_lost_member_is_no_newcomer_in_the_same_breath() -> None:
    entries = {"A": "running 2", "B": seen("B", "running 2 ended")}
    assert letters(judge(case(PAIR, entries)).newcomers) == ""


def test_the_holder_may_be_a_newcomer_however_long_its_lease_is_unchanged() -> None:
    entries = {"A": seen("A", "ready 0", pulses=99), "B": "ready 0"}
    assert letters(judge(case(forming(0), entries)).newcomers) == "A B"


@pytest.mark.parametrize("name", table(j, "NEWCOMER"))
def test_every_term_of_a_newcomer_can_be_left_out(name: str) -> None:
    """Without the clause, a pod is a newcomer that otherwise is none."""
    entries = {
        "A": "running 2",
        "B": "running 2",
        "C": seen("C", "ready 2", pulses=9),
        "D": "ready 2 ended",
        "E": "ready 2 leaving",
        "F": "ready 1",
        "G": "ready 2",
    }
    wanted = "A B C D E F"
    assert not judge(case(PAIR, entries, wanted=wanted)).newcomers
    with without(name):
        assert len(judge(case(PAIR, entries, wanted=wanted)).newcomers) == 1


def test_desired_is_read_by_lowest_generation() -> None:
    found = judge(case(RUN2, ALL, desired=desired("A B' C'")))
    assert letters(found.superfluous) == "B C"
