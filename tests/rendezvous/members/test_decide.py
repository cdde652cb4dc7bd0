"""Rule 8: every guard, and which of them comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.mutants import table, without
from tests.support.protocol import active, address, case, forming, letter, pod, seen

from elasticjob.rendezvous.members import decide as d
from elasticjob.rendezvous.members import decide as decide_module
from elasticjob.rendezvous.members.decide import Wait, decide
from elasticjob.rendezvous.members.judge import Case, judge
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import JoinWaitKind, Progress, Report
from elasticjob.wire.round import Endpoint, Phase, Round

ABC = active(2, "A B C", charged=[2])
ALL = {"A": "running 2", "B": "running 2", "C": "running 2"}
DONE = {"A": "done 2", "B": "done 2", "C": "done 2"}


def shown(round_: Any) -> str:
    """The outcome in short: `3 Active A B charged 2,3`."""
    if not isinstance(round_, Round):
        return "wait" if round_ is Wait.WAIT else "nothing"
    words = [str(round_.n), round_.phase.value, *(letter(m.pod) for m in round_.members)]
    if round_.charged.numbers:
        words += ["charged", ",".join(map(str, sorted(round_.charged.numbers)))]
    return " ".join(words)


def outcome(case_: Case) -> str:
    return shown(decide(case_, judge(case_)))


def decided(case_: Case) -> Round:
    found = decide(case_, judge(case_))
    assert isinstance(found, Round)
    return found


# ---- in order ------------------------------------------------------------------------------------


FIRST = [
    # what is there to do, from the first guard on: each line leaves out what the last one did
    (DONE, {"wanted": ""}, "3 Succeeded A B C charged 2"),
    ({**DONE, "B": "running 1 ended", "C": "failed 2"}, {"wanted": "", "max_restarts": 1},
     "3 Active A charged 3"),
    ({**ALL, "C": "failed 2"}, {"wanted": "", "max_restarts": 1}, "wait"),
    ({**ALL, "D": "ready 2"}, {"wanted": "", "cooldown_s": 0.0}, "3 Forming charged 2"),
    (ALL, {"wanted": "A B"}, "3 Active A B charged 2"),
    ({**ALL, "D": "ready 2"}, {"wanted": "A B C D", "cooldown_s": 0.0},
     "3 Active A B C D charged 2"),
    (ALL, {}, "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "wanted", "result"), FIRST)
def test_the_first_guard_that_applies_wins(
    entries: dict[str, Any], wanted: dict[str, Any], result: str
) -> None:
    assert outcome(case(ABC, entries, **wanted)) == result


def test_n_is_above_every_number_that_the_writer_received() -> None:
    """Rule 1: a Round Lease that was restored from a backup is older than what was seen (I1)."""
    later = replace(case(ABC, {**ALL, "C": "running 2 ended"}), highest_n=7)
    assert outcome(later) == "8 Active A B charged 2,8"


# ---- all done ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "result"),
    [
        (DONE, "3 Succeeded A B C charged 2"),
        ({**DONE, "C": "running 2"}, "nothing"),
        ({**DONE, "C": "done 1"}, "nothing"),  # F1
        ({**DONE, "C": "done 2 ended"}, "3 Succeeded A B C charged 2"),  # F12
        ({**DONE, "C": seen("C", "done 2", pulses=9, confirmed=True)},
         "3 Succeeded A B C charged 2"),
    ],
)  # fmt: skip
def test_all_done(entries: dict[str, Any], result: str) -> None:
    assert outcome(case(ABC, entries)) == result


def test_success_has_no_cause_and_no_delay() -> None:
    before = replace(ABC, cause=Cause(CauseKind.WORKER_FAILED), delay_ms=4000)
    found = decided(case(before, DONE))
    assert (found.cause, found.delay_ms, found.starts) == (None, 0, ABC.starts)


def test_a_round_without_members_is_never_done() -> None:
    assert outcome(case(forming(2), {"A": "done 2"}, wanted="A")) == "nothing"


# ---- some gone -----------------------------------------------------------------------------------

SILENT = seen("C", "running 2", pulses=3, confirmed=True)


@pytest.mark.parametrize(
    ("entries", "wanted", "result"),
    [
        ({"C": "running 2 ended"}, {}, "3 Active A B charged 2,3"),
        ({"C": SILENT}, {}, "3 Active A B charged 2,3"),
        ({"C": "running 2 leaving"}, {}, "3 Active A B charged 2"),  # uncharged
        ({"C": "ready 2 leaving"}, {}, "3 Active A B charged 2"),  # V3
        ({"C": "running 1 leaving"}, {}, "3 Active A B charged 2"),  # F20: strikes nothing
        ({"C": "running 2 ended excused"}, {}, "3 Active A B charged 2"),  # F22
        ({"C": "running 1 ended excused"}, {}, "3 Active A B charged 2"),  # F20
        ({"C": "running 2 ended excused"}, {"max_restarts": 0}, "3 Active A B charged 2"),
        ({"B": "running 1 ended excused", "C": "running 2 ended"}, {}, "3 Active A charged 2,3"),
        ({"C": "running 1 ended"}, {}, "3 Active A B charged 3"),  # F8: one incident, one charge
        ({"C": seen("C", pulses=3, confirmed=True)}, {}, "3 Active A B charged 3"),  # no Lease: n-1
        ({"B": "running 2 leaving", "C": "running 2 ended"}, {}, "3 Active A charged 2,3"),
        ({"B": "running 1 leaving", "C": "running 2 ended"}, {}, "3 Active A charged 2,3"),
        ({"B": "running 2 ended", "C": "running 2 ended"}, {}, "3 Active A charged 2,3"),
        ({"C": "running 2 ended"}, {"min_members": 3}, "3 Forming charged 2,3"),
        ({"C": "running 2 leaving"}, {"min_members": 3}, "3 Forming charged 2"),
        ({"C": "running 2 ended", "D": "ready 2"}, {"wanted": "A B D", "min_members": 3},
         "3 Active A B D charged 2,3"),
        ({"C": "running 2 ended", "C'": "ready 2"}, {"min_members": 3},
         "3 Active A B C' charged 2,3"),
        ({"B": "done 2", "C": "running 2 ended"}, {}, "3 Active A B charged 2,3"),
        ({"B": "done 2", "C": "running 2 ended", "C'": "ready 2"}, {},
         "3 Active A B charged 2,3"),  # F14
        ({"C": "running 2 ended"}, {"wanted": "A C"}, "3 Active A charged 2,3"),
        ({"C": "running 2 ended"}, {"wanted": "A C", "min_members": 2},
         "3 Active A B charged 2,3"),  # superfluous B stays: else too few
        ({"C": "running 2 ended"}, {"max_restarts": 2}, "3 Active A B charged 2,3"),
        ({"C": "running 2 ended"}, {"max_restarts": 1}, "3 Failed A B C charged 2,3"),
        ({"C": "running 1 ended"}, {"max_restarts": 1}, "3 Active A B charged 3"),
        ({"C": "running 2 leaving"}, {"max_restarts": 0}, "3 Active A B charged 2"),
        ({"C": "running 2 ended"}, {"max_restarts": 1, "pardoned": frozenset({2})},
         "3 Active A B charged 2,3"),
        ({"C": "running 2 ended"}, {"max_restarts": 2, "charged": frozenset({1})},
         "3 Failed A B C charged 2,3"),
    ],
)  # fmt: skip
def test_some_lost_or_leaving(entries: dict[str, Any], wanted: dict[str, Any], result: str) -> None:
    assert outcome(case(ABC, {**ALL, **entries}, **wanted)) == result


def test_a_loss_strikes_by_number_and_not_only_the_last_round() -> None:
    """W5: uncharged rounds came between the loss and its discovery."""
    abc = active(5, "A B C", charged=[2, 3, 5])
    entries = {"A": "running 5", "B": "running 5", "C": seen("C", "running 2 ended")}
    assert outcome(case(abc, entries)) == "6 Active A B charged 2,6"
    with without("8-strike-all"):
        assert outcome(case(abc, entries)) == "6 Active A B charged 2,3,6"
    with without("8-strike"):
        assert outcome(case(abc, entries)) == "6 Active A B charged 2,3,5,6"


@pytest.mark.parametrize(
    ("entries", "delay_ms"),
    [
        ({"C": "running 2 ended"}, 1000),  # the second charge
        ({"C": "running 1 ended"}, 0),  # the first: its crash was struck
        ({"C": "running 2 leaving"}, 500),  # for later leavers
        ({"B": "running 2 ended", "C": "running 2 leaving"}, 1000),
        ({"B": "running 1 ended", "C": "running 2 leaving"}, 500),
        ({"C": "running 2 ended excused"}, 500),  # deletions, too, come in numbers
    ],
)
def test_start_delay_without_the_gone(entries: dict[str, Any], delay_ms: int) -> None:
    assert decided(case(ABC, {**ALL, **entries})).delay_ms == delay_ms


LATER = replace(ABC, delay_ms=60_000)  # seen 10 s ago
WAITING = {"A": "running 1", "B": "running 1", "C": "running 1"}


@pytest.mark.parametrize(
    ("round_", "entries", "wanted", "result", "delay_ms"),
    [
        (LATER, {"C": "running 1 leaving"}, {}, "3 Active A B charged 2", 50_000),
        (LATER, {"C": "running 1 leaving"}, {"min_members": 3}, "3 Forming charged 2", 50_000),
        (LATER, {"C": "running 1 ended excused"}, {}, "3 Active A B charged 2", 50_000),
        (LATER, {"C": "running 1 ended"}, {}, "3 Active A B charged 3", 50_000),
        (LATER, {}, {"wanted": "A B"}, "3 Active A B charged 2", 50_000),
        (LATER, {"D": "ready 2"}, {"wanted": "A B C D", "cooldown_s": 0.0},
         "3 Active A B C D charged 2", 50_000),
        # a Forming round passes it on, until it is over
        (forming(2, [2], delay_ms=60_000), {"A": "ready 2", "B": "ready 2", "C": "ready 2"}, {},
         "3 Active A B C charged 2", 50_000),
        (forming(2, [2], delay_ms=10_000), {"A": "ready 2", "B": "ready 2", "C": "ready 2"}, {},
         "3 Active A B C charged 2", 0),
        # some member has run: it is over, whenever this holder first saw the round
        (LATER, {"B": "running 2", "C": "running 1 leaving"}, {}, "3 Active A B charged 2", 500),
        # it is over: what comes now has its own
        (replace(ABC, delay_ms=9_600), {"C": "running 2 leaving"}, {}, "3 Active A B charged 2",
         500),
        # suspending the job, or a new template, ends the delay
        (LATER, {}, {"wanted": ""}, "3 Forming charged 2", 0),
    ],
)  # fmt: skip
def test_no_round_shortens_the_delay_of_the_one_before(
    round_: Round, entries: dict[str, Any], wanted: dict[str, Any], result: str, delay_ms: int
) -> None:
    """F20: the job keeps the delay if a pod leaves, joins or is lost meanwhile."""
    made = case(round_, {**WAITING, **entries}, **wanted)
    assert (outcome(made), decided(made).delay_ms) == (result, delay_ms)


@pytest.mark.parametrize(
    ("entries", "kind", "message"),
    [
        ({"C": "running 2 ended"}, CauseKind.POD_ENDED, "the pod ended"),
        ({"C": SILENT}, CauseKind.POD_SILENT, "the agent did not renew its Lease in time"),
        ({"C": "running 2 leaving"}, CauseKind.LEAVING, "the pod received a termination signal"),
        ({"C": "running 2 ended excused"}, CauseKind.POD_DELETED, "the pod was deleted"),
        ({"B": "running 2 ended excused", "C": "running 2 leaving"}, CauseKind.LEAVING,
         "the pod received a termination signal; and 1 more pod"),
        ({"B": "running 2 ended excused", "C": "running 2 ended"}, CauseKind.POD_ENDED,
         "the pod ended; and 1 more pod"),
        ({"B": "running 2 leaving", "C": SILENT}, CauseKind.POD_SILENT,
         "the agent did not renew its Lease in time; and 1 more pod"),
    ],
)  # fmt: skip
def test_the_cause_names_the_loss(entries: dict[str, Any], kind: CauseKind, message: str) -> None:
    found = decided(case(ABC, {**ALL, **entries})).cause
    assert found == Cause(kind, "demo-2-0", "node-2", message=message, n=2)


def test_late_is_a_separate_cause() -> None:
    late = case(ABC, {**ALL, "C": seen("C", "ready 1", confirmed=True)}, round_at=0.0)
    found = decided(late).cause
    assert found is not None
    assert found.kind is CauseKind.POD_LATE


def test_a_healthy_time_pays_off_before_a_loss_is_charged() -> None:
    """The round ran for longer than resetAfter."""
    found = decided(case(ABC, {**ALL, "C": "running 2 ended"}, round_at=0.0, reset_after_s=999.0))
    assert found.charged == Charges(frozenset({3}), forgiven=2)
    assert (found.resets, found.delay_ms) == (1, 0)


# ---- failed over budget --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "own", "result"),
    [
        # F9, V5: the others renew first, as a loss may explain the failure
        ({"B": seen("B", "failed 2", order=5)}, "A", "wait"),
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "running 2", order=5)}, "A", "wait"),
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "running 2", order=6)}, "A",
         "3 Failed A B C charged 2,3"),
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "done 2", order=1)}, "A",
         "3 Failed A B C charged 2,3"),
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "failed 2", order=3)}, "A",
         "3 Failed A B C charged 2,3"),
        ({"A": seen("A", "failed 2", order=5), "C": seen("C", "running 2", order=6)}, "A", "wait"),
        ({"A": seen("A", "failed 2", order=5), "B": seen("B", "running 2", order=7),
          "C": seen("C", "running 2", order=6)}, "A", "3 Failed A B C charged 2,3"),
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "running 1 ended", order=6)}, "A",
         "3 Active A B charged 3"),  # the loss explains it: one incident
        # F9: a departure answers no crash, and a leaving member is not waited for
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "running 2 leaving", order=1)}, "A",
         "3 Failed A B C charged 2,3"),
        ({"B": seen("B", "failed 2", order=5), "C": seen("C", "running 2 ended excused", order=1)},
         "A", "3 Failed A B C charged 2,3"),
    ],
)  # fmt: skip
def test_failed_waits_for_a_renewal_of_every_member(
    entries: dict[str, Any], own: str, result: str
) -> None:
    assert outcome(case(ABC, {**ALL, **entries}, own=own, max_restarts=1)) == result


def test_while_it_waits_nothing_else_is_decided() -> None:
    entries = {**ALL, "B": "failed 2", "D": "ready 2"}
    assert outcome(case(ABC, entries, wanted="", max_restarts=1)) == "wait"


def test_failed_within_the_budget_is_not_this_guards() -> None:
    """The budget was raised, or a charge was pardoned: its agent steps the round itself."""
    entries = {**ALL, "B": seen("B", "failed 2", order=0)}
    assert outcome(case(ABC, entries, max_restarts=2)) == "nothing"


def test_the_first_failure_of_the_round_is_blamed() -> None:
    """By the time since the round began, on each pod's own clock; without a time: last."""

    def failed(letter_: str, after_ms: int | None) -> Any:
        cause = Cause(CauseKind.WORKER_FAILED, f"job-{letter_}", after_ms=after_ms)
        return seen(letter_, "failed 2", order=5, cause=cause)

    entries = {"A": failed("A", None), "B": failed("B", 900), "C": failed("C", 200)}
    found = decided(case(ABC, entries, max_restarts=1))
    assert found.phase is Phase.FAILED
    assert found.cause is not None
    assert found.cause.pod == "job-C"


def test_the_first_failure_may_be_that_of_a_worker_that_still_runs() -> None:
    """Its agent renews with it, before the job fails."""

    def reports(letter_: str, state: str, after_ms: int, n: int = 2) -> Any:
        cause = Cause(CauseKind.WORKER_FAILED, f"job-{letter_}", n=n, after_ms=after_ms)
        return seen(letter_, state, order=4 if "failed" in state else 5, cause=cause)

    entries = {
        "A": reports("A", "running 2", 20, n=1),  # of an older round
        "B": reports("B", "failed 2", 900),
        "C": reports("C", "running 2", 200),
    }
    found = decided(case(ABC, entries, max_restarts=1))
    assert found.cause is not None
    assert found.cause.pod == "job-C"
    done = {**entries, "C": reports("C", "done 2", 200)}
    found = decided(case(ABC, done, max_restarts=1))
    assert found.cause is not None
    assert found.cause.pod == "job-B"


def test_the_first_failure_may_be_the_holders_own() -> None:
    """The view does not have it yet: the holder writes its own Lease only from time to time."""
    cause = Cause(CauseKind.WORKER_FAILED, "job-B", n=2, after_ms=900)
    entries = {
        "A": "running 2", "B": seen("B", "failed 2", order=4, cause=cause),
        "C": seen("C", "running 2", order=5),
    }  # fmt: skip
    mine = replace(cause, pod="job-A", after_ms=100)
    found = decided(replace(case(ABC, entries, max_restarts=1), own_cause=mine))
    assert found.cause == mine


def test_before_it_has_trained_the_holder_comes_to_the_result_of_the_agent() -> None:
    """By what the agent has reported and the holder's report, not by the holder's clock."""
    at_start = Charges(frozenset({1, 2}), at_start=frozenset({1, 2}))
    round_ = replace(ABC, charged=at_start)

    def found(after_ms: int, report: Report | None = None, **fields: Any) -> Any:
        cause = Cause(CauseKind.WORKER_FAILED, "job-B", n=2, after_ms=after_ms)
        entries = {
            "A": "running 2", "B": seen("B", "failed 2", order=4, cause=cause),
            "C": seen("C", "running 2", order=5),
        }  # fmt: skip
        given = case(replace(round_, **fields), entries, max_restarts=10, max_start_restarts=2)
        return decide(replace(given, report=report), judge(replace(given, report=report)))

    failed = found(5000)
    assert failed.phase is Phase.FAILED
    assert failed.charged.at_start == {1, 2, 3}
    assert found(60_000) is None
    assert found(5000, Report(2, progress=Progress(1))) is None
    assert found(5000, trained=True) is None


@pytest.mark.parametrize(
    ("entries", "age_s", "report", "trained"),
    [
        (ALL, 60.0, None, True),
        (ALL, 59.0, None, False),
        ({"A": "ready 1", "B": "ready 1", "C": "ready 1"}, 60.0, None, False),  # it has not run
        (ALL, 1.0, Report(2, progress=Progress(1)), True),
        (ALL, 1.0, Report(2), False),
        (ALL, 1.0, Report(1, trained=True), True),  # all agents are new
        (ALL | {"B": seen("B", "running 1", trained=True)}, 1.0, None, True),
    ],
)
def test_each_next_round_says_whether_the_job_has_trained(
    entries: dict[str, Any], age_s: float, report: Report | None, trained: bool
) -> None:
    given = case(ABC, entries, wanted="")
    given = replace(given, round_at=given.now.at - age_s, report=report)
    found = decide(given, judge(given))
    assert isinstance(found, Round)
    assert found.trained is trained


def test_a_round_that_was_delayed_has_trained_a_minute_after_its_delay() -> None:
    for age_s, trained in ((119.0, False), (120.0, True)):
        given = case(replace(ABC, delay_ms=60_000), ALL, wanted="")
        found = decide(replace(given, round_at=given.now.at - age_s), judge(given))
        assert isinstance(found, Round)
        assert found.trained is trained


# ---- none wanted, superfluous --------------------------------------------------------------------


def test_none_wanted_is_forming_once() -> None:
    found = decided(case(ABC, ALL, wanted=""))
    assert (shown(found), found.master, found.delay_ms) == ("3 Forming charged 2", None, 0)
    assert found.cause is not None
    assert found.cause.kind is CauseKind.SUSPENDED
    assert outcome(case(forming(3), {"A": "ready 3"}, wanted="")) == "nothing"


@pytest.mark.parametrize(
    ("wanted", "min_members", "entries", "result"),
    [
        ("A B", 1, {}, "3 Active A B charged 2"),
        ("A B", 2, {}, "3 Active A B charged 2"),
        ("A B", 3, {}, "nothing"),  # at least min members remain
        ("A B", 3, {"D": "ready 2"}, "nothing"),  # D is not wanted
        ("A B D", 3, {"D": "ready 2"}, "3 Active A B D charged 2"),
        ("A B", 1, {"C": "done 2"}, "nothing"),  # done: let it be
        ("A B'", 1, {}, "3 Active A charged 2"),
        # by plan: replacements take the places of superfluous members, also where all are needed
        ("A B' C", 3, {}, "nothing"),
        ("A B' C", 3, {"B'": "ready 2"}, "3 Active A B' C charged 2"),
        ("A' B' C'", 3, {"A'": "ready 2", "B'": "ready 2"}, "nothing"),
        ("A' B' C'", 3, {"A'": "ready 2", "B'": "ready 2", "C'": "ready 2"},
         "3 Active A' B' C' charged 2"),
        ("A' B' C'", 2, {"A'": "ready 2", "B'": "ready 2"}, "3 Active A' B' charged 2"),
    ],
)  # fmt: skip
def test_superfluous(wanted: str, min_members: int, entries: dict[str, Any], result: str) -> None:
    made = case(ABC, {**ALL, **entries}, wanted=wanted, min_members=min_members)
    assert outcome(made) == result


def test_too_few_without_the_superfluous_is_forming_if_they_may_not_stay() -> None:
    with without("8-superfluous-if-min"):
        made = case(ABC, ALL, wanted="A B", min_members=3)
        assert outcome(made) == "3 Forming charged 2"


def test_a_pod_and_its_replacement_are_never_in_one_round() -> None:
    """B is superfluous and has to stay, as C is lost: then B' cannot join (I2)."""
    entries = {**ALL, "B'": "ready 2", "C": "running 2 ended"}
    found = case(active(2, "A B C"), entries, wanted="A B' C", min_members=3)
    assert outcome(found) == "3 Forming charged 3"
    pair = case(active(2, "A B"), {"A": "running 2", "B": "running 2", "B'": "ready 2"},
                wanted="A B'", min_members=2)  # fmt: skip
    assert outcome(pair) == "3 Active A B'"


def test_scaling_is_planned() -> None:
    found = decided(case(ABC, ALL, wanted="A B"))
    assert found.cause is not None
    assert (found.cause.kind, found.cause.message) == (
        CauseKind.SCALED,
        "1 member no longer wanted",
    )
    assert found.starts == ABC.starts + 1


# ---- starts --------------------------------------------------------------------------------------

UNRUN = {"A": "running 1", "B": "running 1", "C": "running 1"}  # none of them runs round 2


@pytest.mark.parametrize(
    ("entries", "wanted", "phase", "starts"),
    [
        # a member has run round 2, which was the second start
        ({**UNRUN, "A": "running 2", "C": "running 2 leaving"}, {}, Phase.ACTIVE, 3),
        ({**UNRUN, "A": "done 2", "C": "running 1 leaving"}, {}, Phase.ACTIVE, 3),
        ({**UNRUN, "C": "running 2 leaving"}, {"min_members": 3}, Phase.FORMING, 2),
        # no member has run it: round 3 starts the workers again instead of round 2
        ({**UNRUN, "C": "running 1 leaving"}, {}, Phase.ACTIVE, 2),
        ({**UNRUN, "C": "running 1 leaving"}, {"min_members": 3}, Phase.FORMING, 1),
        ({**UNRUN, "C": "running 1 ended"}, {"max_restarts": 0}, Phase.FAILED, 1),
    ],
)
def test_a_start_counts_once_a_member_has_run_it(
    entries: dict[str, Any], wanted: dict[str, Any], phase: Phase, starts: int
) -> None:
    found = decided(case(replace(ABC, starts=2), entries, **wanted))
    assert (found.phase, found.starts) == (phase, starts)


def test_a_round_without_members_keeps_the_starts() -> None:
    found = decided(case(forming(3, starts=1), {"A": "ready 3", "B": "ready 3"}, wanted="A B"))
    assert (found.phase, found.starts) == (Phase.ACTIVE, 2)


# ---- newcomers -----------------------------------------------------------------------------------

PAIR = active(2, "A B")
TWO = {"A": "running 2", "B": "running 2", "C": "ready 2"}


@pytest.mark.parametrize(
    ("round_at", "last_call_since", "wanted", "result"),
    [
        (990.0, None, {}, "nothing"),  # not sooner than the cooldown
        (940.0, None, {}, "3 Active A B C"),  # all wanted are there
        (940.1, None, {}, "nothing"),
        (0.0, None, {"wanted": "A B C D"}, "nothing"),  # D is wanted and not there: last call
        (0.0, 970.1, {"wanted": "A B C D"}, "nothing"),
        (0.0, 970.0, {"wanted": "A B C D"}, "3 Active A B C"),
        (990.0, 0.0, {"wanted": "A B C D"}, "nothing"),
        (990.0, None, {"cooldown_s": 0.0}, "3 Active A B C"),
    ],
)
def test_newcomers_to_an_active_round(
    round_at: float, last_call_since: float | None, wanted: dict[str, Any], result: str
) -> None:
    assert (
        outcome(case(PAIR, TWO, round_at=round_at, last_call_since=last_call_since, **wanted))
        == result
    )


@pytest.mark.parametrize(
    ("starts", "last_call_since", "wanted", "result"),
    [
        (0, None, {"wanted": "A B"}, "1 Active A B"),  # all wanted are there: at once
        (0, 800.0, {"min_members": 3}, "nothing"),  # fewer than min
        (0, 700.1, {}, "nothing"),  # the first start waits 300 s for images
        (0, 700.0, {}, "1 Active A B"),
        (1, 970.1, {}, "nothing"),
        (1, 970.0, {}, "1 Active A B"),
        (1, None, {}, "nothing"),
        (0, None, {"wanted": "A B", "min_members": 0}, "1 Active A B"),
    ],
)
def test_newcomers_to_a_forming_round(
    starts: int, last_call_since: float | None, wanted: dict[str, Any], result: str
) -> None:
    entries = {"A": "ready 0", "B": "ready 0"}
    made = case(
        forming(0, starts=starts),
        entries,
        round_at=999.0,
        last_call_since=last_call_since,
        **wanted,
    )
    assert outcome(made) == result


def test_an_active_round_has_at_least_one_member() -> None:
    assert outcome(case(forming(0), {}, wanted="A", min_members=0)) == "nothing"
    gone = {"A": "running 2 ended", "B": "running 2 ended"}
    assert outcome(case(PAIR, gone, own="C", min_members=0)) == "3 Forming charged 3"


@pytest.mark.parametrize("done", ["A", "B"])
def test_no_pod_joins_a_job_that_is_finishing(done: str) -> None:
    """F14."""
    entries = {**TWO, done: "done 2"}
    assert outcome(case(PAIR, entries, cooldown_s=0.0)) == "nothing"
    with without("8-new-unless-done"):
        assert outcome(case(PAIR, entries, cooldown_s=0.0)) == "3 Active A B C"


COOLDOWN, LAST_CALL = JoinWaitKind.COOLDOWN, JoinWaitKind.LAST_CALL


@pytest.mark.parametrize(
    ("round_", "entries", "since", "wanted", "expected"),
    [
        (PAIR, TWO, None, {}, (COOLDOWN, 1050.0)),
        (PAIR, {"A": "running 2", "B": "running 2"}, None, {}, None),  # there is no newcomer
        (PAIR, TWO, None, {"cooldown_s": 10.0}, None),  # it need not wait
        (PAIR, TWO, 1000.0, {"wanted": "A B C D"}, (COOLDOWN, 1050.0)),  # the last call ends before
        (PAIR, TWO, 1000.0, {"wanted": "A B C D", "cooldown_s": 0.0}, (LAST_CALL, 1030.0)),
        (PAIR, TWO, 1000.0, {"wanted": "A B C D", "last_call_s": 60.0}, (LAST_CALL, 1060.0)),
        (PAIR, {**TWO, "A": "done 2"}, None, {}, None),  # the job is finishing
        (forming(2, starts=1), {"A": "ready 2"}, 1000.0, {"wanted": "A B"}, (LAST_CALL, 1030.0)),
        (forming(0), {"A": "ready 0"}, 990.0, {"wanted": "A B"}, (LAST_CALL, 1290.0)),
        (forming(0), {"A": "ready 0"}, None, {"wanted": "A B", "min_members": 2}, None),  # too few
        (forming(0), {"A": "ready 0", "B": "ready 0"}, None, {"wanted": "A B"}, None),
    ],
)  # fmt: skip
def test_what_newcomers_wait_for(
    round_: Round, entries: Any, since: float | None, wanted: dict[str, Any], expected: Any
) -> None:
    case_ = case(round_, entries, last_call_since=since, **wanted)
    found = d.join_wait(case_, judge(case_))
    assert ((found.kind, found.at) if found else None) == expected


def test_a_forming_round_keeps_why_the_last_one_ended() -> None:
    lost = Cause(CauseKind.POD_ENDED, "demo-2-0")
    found = decided(case(forming(3, cause=lost), {"A": "ready 3", "B": "ready 3"}, wanted="A B"))
    assert found.cause == lost


def test_a_new_member_is_as_its_lease_reports() -> None:
    entries = {
        "A": seen("A", "ready 0", workers=8),
        "B": seen("B", "ready 0", workers=4, role="actor", port_base=23000),
    }
    found = decided(case(forming(0), entries, wanted="A B"))
    assert found.members == (Member(Pod(0, 0), 8), Member(Pod(1, 0), 4, "actor"))
    assert (found.master, found.starts) == (Endpoint(address(pod("A"))), 1)


def test_the_master_is_the_lowest_member() -> None:
    found = decided(case(PAIR, {**TWO, "A": "running 2 ended"}))
    assert found.master == Endpoint(address(pod("B")))
    found = decided(case(PAIR, {**TWO, "B": "running 2 ended"}))
    assert found.master == PAIR.master


def test_a_member_keeps_its_share_if_its_lease_changes() -> None:
    entries = {**TWO, "A": seen("A", "running 2", workers=9)}
    found = decided(case(PAIR, entries, cooldown_s=0.0))
    assert found.member(pod("A")) == Member(Pod(0, 0), 1)


def test_without_the_masters_address_it_waits() -> None:
    """B's Lease was deleted by hand just now: it is created again, or B is silent soon."""
    entries = {"A": "running 2 ended", "B": seen("B"), "C": "running 2"}
    assert outcome(case(active(2, "A B C"), entries, own="C")) == "wait"


def test_a_lease_without_an_address_is_no_master() -> None:
    """No agent could read the round that it would be in."""
    entries = {"A": "running 2 ended", "B": seen("B", "running 2", address=""), "C": "running 2"}
    assert outcome(case(active(2, "A B C"), entries, own="C")) == "wait"


# ---- the last call -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("round_", "entries", "wanted", "is_called"),
    [
        (forming(0), {"A": "ready 0"}, {}, True),
        (forming(0), {"A": "ready 0"}, {"min_members": 2}, False),
        (forming(0), {}, {"min_members": 0}, False),
        (PAIR, TWO, {}, True),
        (PAIR, {**TWO, "C": "ready 1"}, {}, False),
        (PAIR, {**TWO, "A": "done 2"}, {}, False),
    ],
)
def test_the_last_call_runs_while_a_round_could_begin(
    round_: Round, entries: dict[str, Any], wanted: dict[str, Any], is_called: bool
) -> None:
    made = case(round_, entries, **wanted)
    assert d.is_last_call(made, judge(made)) is is_called


@pytest.mark.parametrize("name", table(decide_module, "GUARDS"))
def test_every_guard_can_be_left_out(name: str) -> None:
    """And is then missed: the line of FIRST that it decides comes out differently."""
    cases = [case(ABC, entries, **wanted) for entries, wanted, _ in FIRST]
    with without(name):
        found = [outcome(made) for made in cases]
    assert found != [result for _, _, result in FIRST]
