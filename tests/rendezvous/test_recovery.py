"""What a recovery took, as the holder reports it, compared with a stopwatch, in virtual time.

The stopwatch knows when the server received the last sign of life of what failed, and runs until
the holder reports that all members run. It has one clock, which the agents do not have.
"""

from __future__ import annotations

from typing import Callable

import pytest
from tests.support import meeting as m
from tests.support.meeting import Meeting, Step
from tests.support.protocol import desired

from elasticjob.rendezvous.actions import CreateLease, Pulse, WriteState
from elasticjob.rendezvous.events import LeaveRequested, WorkerExited
from elasticjob.rendezvous.members.recovery import recovery_until
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.codec import LARGEST
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import pulse_patch
from elasticjob.wire.report import Recovery
from elasticjob.wire.round import Phase, Round

LONGEST_S = 400.0
SIGNS = (CreateLease, WriteState, Pulse)


class Job:
    """Agents A, B and C that run round 1, of which A is the holder."""

    def __init__(self, min_members: int = 1, on_one_node: str = "", **fields: float) -> None:
        wanted = {"cooldown_s": 0.0, "startup_last_call_s": 30.0, "last_call_s": 0.0, **fields}
        self.world = Meeting(desired(min_members=min_members, **wanted))
        self.world.on_step = self._note
        self.signs: dict[str, float] = {}  # letter -> when its agent last wrote anything
        for letter in "ABC":
            self.world.start(letter, node="shared" if letter in on_one_node else "")
        self.wait(12.0)
        assert self.world.server.round().holder == "demo-0-0"
        assert self.recovery() is None

    def _note(self, step: Step) -> None:
        player, _, actions = step
        if any(isinstance(action, SIGNS) for action in actions) and not player.fails:
            self.signs[player.letter] = self.world.now

    def wait(self, seconds: float) -> None:
        """Let everything happen that happens in this time."""
        until = self.world.now + seconds
        self.world.go()
        while self.world.tick(until):
            self.world.go()
        self.world.go()

    def recovery(self) -> Recovery | None:
        """The recovery in the report of the current round."""
        lease = self.world.server.round()
        is_current = lease.report is not None and lease.report.n == lease.round.n
        return lease.report.recovery if is_current and lease.report else None

    def recover(self, n: int = 2) -> tuple[Recovery, float]:
        """Wait for the recovery that led to round n or a later one; and its end."""
        until = self.world.now + LONGEST_S
        self.world.go()
        while (found := self.recovery()) is None or found.n < n:
            assert self.world.tick(until), self.world.server.round()
            self.world.go()
        return found, self.world.now

    def end(self, letter: str, reported: bool = False) -> None:
        """A pod ends without a word. reported: the operator marks its Lease."""
        self.world.end(letter)
        if reported:
            m.mark(self.world, letter)

    def crash(self, letter: str, n: int = 1) -> None:
        """A worker fails."""
        failure = Cause(CauseKind.WORKER_FAILED, code=1, n=n)
        self.world.feed(letter, WorkerExited(n, failure))

    def leave(self, letter: str) -> None:
        """A pod receives SIGTERM."""
        self.world.feed(letter, LeaveRequested())

    def stop_slowly(self, letters: str) -> None:
        """The workers of these pods do not end before they are let go."""
        for letter in letters:
            self.world.players[letter].held.add("workers")

    def let_go(self, letters: str) -> None:
        """The workers of these pods end and start at once again."""
        for letter in letters:
            self.world.players[letter].held.discard("workers")
        self.world.go()


def parts_s(found: Recovery) -> tuple[float, float, float, float]:
    """Detection, stop, rendezvous and start, in seconds."""
    parts = (found.detect_ms, found.stop_ms, found.rendezvous_ms, found.start_ms)
    return tuple(part / 1000 for part in parts)  # type: ignore[return-value]


def assert_as_the_stopwatch(found: Recovery, began_at: float, ended_at: float) -> None:
    assert found.total_ms == pytest.approx(1000 * (ended_at - began_at), abs=5)


# ---- each kind of failure ------------------------------------------------------------------------

Fault = Callable[[Job, str], None]


def silent(job: Job, letter: str) -> None:
    job.end(letter)


def ended(job: Job, letter: str) -> None:
    job.end(letter, reported=True)


@pytest.mark.parametrize("letter", ["A", "B"], ids=["the holder", "another member"])
@pytest.mark.parametrize("fault", [silent, ended])
def test_a_lost_pod_is_detected_since_its_last_sign_of_life(fault: Fault, letter: str) -> None:
    job = Job()
    fault(job, letter)
    sign_at = job.signs[letter]
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, sign_at, ended_at)
    assert found.detect_ms >= found.total_ms - 2500  # claims and pulses; nothing is stopped slowly


@pytest.mark.parametrize("letter", ["A", "B"], ids=["the holder", "another member"])
def test_a_leaving_pod_is_detected_since_it_reports_so(letter: str) -> None:
    job = Job()
    began_at = job.world.now
    job.leave(letter)
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, began_at, ended_at)
    assert found.start_ms == 500  # the delay of a round after a departure


def test_a_crash_is_detected_since_the_worker_failed() -> None:
    job = Job()
    began_at = job.world.now
    job.crash("B")
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, began_at, ended_at)
    assert parts_s(found)[1:] == (0.0, 0.0, 0.0)


def test_a_late_member_has_not_lived_since_the_round_began() -> None:
    job = Job()
    job.stop_slowly("C")
    began_at = job.world.now
    job.crash("B")
    found, ended_at = job.recover(n=3)
    assert_as_the_stopwatch(found, began_at, ended_at)
    assert found.detect_ms == found.total_ms - found.start_ms
    assert found.detect_ms >= 28_000  # the start deadline


def test_two_silent_pods_count_from_the_first_of_them() -> None:
    job = Job(on_one_node="BC")
    job.end("B")
    job.wait(4.0)
    job.end("C")
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, min(job.signs["B"], job.signs["C"]), ended_at)


def test_a_silent_holder_and_a_silent_member_are_one_recovery() -> None:
    """The round without the holder never runs, as the other member is dead, too."""
    job = Job()
    job.end("A")
    job.end("B")
    found, ended_at = job.recover(n=3)
    assert_as_the_stopwatch(found, job.signs["A"], ended_at)
    assert found.detect_ms >= 25_000


def test_a_failure_over_a_budget_that_is_raised_begins_a_recovery() -> None:
    """The report then lists all members but one as running."""
    job = Job(max_restarts=1)
    job.crash("B")
    job.recover(n=2)
    job.wait(1000.0)
    job.world.players["C"].held.add("requests")
    began_at = job.world.now
    job.crash("B", n=2)
    job.wait(3.0)
    report = job.world.server.round().report
    assert report is not None
    assert report.failed
    m.want(job.world, replace(job.world.server.round().desired, max_restarts=2))
    job.world.players["C"].held.clear()
    found, ended_at = job.recover(n=3)
    assert_as_the_stopwatch(found, began_at, ended_at)


def test_a_lost_pod_whose_lease_was_deleted_begins_a_recovery() -> None:
    """The reports before it is lost do not list it as running."""
    job = Job()
    job.crash("B")
    job.recover(n=2)
    job.wait(1000.0)
    job.end("B")
    job.world.server.delete("demo-1-0")
    found, ended_at = job.recover(n=3)
    assert_as_the_stopwatch(found, job.signs["B"], ended_at)


# ---- through rounds without members --------------------------------------------------------------


def test_waiting_for_a_replacement_is_the_rendezvous() -> None:
    job = Job(min_members=3)
    job.end("B", reported=True)
    sign_at, found_at = job.signs["B"], job.world.now
    job.wait(20.0)
    assert job.world.server.round().round.phase is Phase.FORMING
    assert job.recovery() is None
    job.world.start("B'")
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, sign_at, ended_at)
    assert parts_s(found) == (found_at - sign_at, 0.0, pytest.approx(20.0), 0.0)


@pytest.mark.parametrize("letter", ["A", "B"], ids=["the holder", "another member"])
def test_a_slow_stop_of_a_leaving_pod_is_stopping_and_not_the_rendezvous(letter: str) -> None:
    """The replacement waits until the pod has ended."""
    job = Job(min_members=3)
    job.stop_slowly(letter)
    began_at = job.world.now
    job.leave(letter)
    job.wait(18.0)
    job.let_go(letter)
    m.mark(job.world, letter, excused=True)
    job.wait(2.0)
    job.world.start(f"{letter}'")
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, began_at, ended_at)
    assert found.stop_ms == pytest.approx(18_000, abs=200)
    assert found.rendezvous_ms == pytest.approx(2_000, abs=200)


def test_a_holder_that_fell_silent_while_it_was_leaving_is_replaced() -> None:
    """Its node went down: it has reported `leaving`, and could not make the role vacant."""
    job = Job(min_members=3)
    began_at = job.world.now
    job.world.players["A"].held.add("requests")
    job.leave("A")
    assert job.world.perform_all("A", "renew")
    job.end("A")
    job.wait(40.0)
    assert job.world.server.round().round.phase is Phase.FORMING
    m.mark(job.world, "A", excused=True)
    job.wait(1.0)
    job.world.start("A'")
    found, ended_at = job.recover()
    assert found.total_ms <= 1000 * (ended_at - began_at)


def test_without_an_operator_a_pod_that_has_left_stopped_at_most_t_after_its_last_renewal() -> None:
    job = Job(min_members=3)
    job.leave("B")
    job.wait(40.0)
    m.mark(job.world, "B", excused=True)
    job.world.start("B'")
    found, _ = job.recover()
    assert found.stop_ms <= 5_000
    assert found.rendezvous_ms >= 35_000


def test_a_slow_stop_of_the_others_is_stopping_and_not_the_rendezvous() -> None:
    job = Job(min_members=3)
    job.stop_slowly("C")
    began_at = job.world.now
    job.leave("B")
    job.wait(1.0)
    m.mark(job.world, "B", excused=True)
    job.world.start("B'")
    job.wait(6.0)
    job.let_go("C")
    found, ended_at = job.recover()
    assert_as_the_stopwatch(found, began_at, ended_at)
    assert parts_s(found)[1] == pytest.approx(7.0)


def test_a_slow_stop_within_an_active_round_is_stopping_and_not_the_start() -> None:
    job = Job()
    job.stop_slowly("C")
    job.crash("B")
    job.wait(2.0)
    job.let_go("C")
    found, _ = job.recover()
    assert parts_s(found) == (0.0, 2.0, 0.0, 0.0)


def test_a_delay_after_repeated_failures_is_a_part_of_the_start() -> None:
    job = Job()
    job.crash("B")
    job.recover(n=2)
    job.wait(10.0)
    job.crash("B", n=2)
    found, _ = job.recover(n=3)
    assert parts_s(found) == (0.0, 0.0, 0.0, 1.0)


def test_a_round_that_was_replaced_before_it_ran_is_part_of_the_rendezvous() -> None:
    job = Job()
    began_at = job.world.now
    job.leave("B")
    job.wait(0.2)
    job.leave("C")
    found, ended_at = job.recover(n=3)
    assert_as_the_stopwatch(found, began_at, ended_at)
    assert parts_s(found) == (0.0, 0.0, pytest.approx(0.2), 0.5)


def test_an_agent_that_joins_while_the_job_waits_reports_the_whole_time_as_the_holder() -> None:
    """The report has the age of the round, up to T old."""
    job = Job(min_members=3)
    job.end("C", reported=True)
    sign_at = job.signs["C"]
    job.wait(60.0)
    for letter in "AB":
        job.leave(letter)
        job.wait(1.0)
        m.mark(job.world, letter, excused=True)
        job.world.start(f"{letter}'")
        job.wait(10.0)
    job.world.start("C'")
    found, ended_at = job.recover()
    assert 1000 * (ended_at - sign_at) - 5_000 <= found.total_ms <= 1000 * (ended_at - sign_at)


def test_the_largest_age_that_a_report_can_contain_is_passed_on() -> None:
    """Code in a pod may have written it. A larger one could be read by no agent."""
    job = Job(min_members=3)
    job.end("B", reported=True)
    job.wait(7.0)
    job.end("C", reported=True)
    job.end("A", reported=True)
    lease = job.world.server.round()
    assert lease.report is not None
    forged = pulse_patch(replace(lease.report, age_ms=LARGEST), "forged", lease.version)
    job.world.server.patch(m.ROUND, forged)
    job.world.start("A'")
    job.wait(20.0)
    pulse = job.world.server.round().renew_time
    job.wait(10.0)
    lease = job.world.server.round()
    assert lease.renew_time != pulse
    assert lease.report is not None
    assert lease.report.age_ms == LARGEST
    job.world.start("B'")
    job.world.start("C'")
    found, _ = job.recover()
    assert found.rendezvous_ms == LARGEST


def test_a_suspension_is_no_recovery() -> None:
    job = Job()
    m.want(job.world, desired("", cooldown_s=0.0))
    job.wait(30.0)
    m.want(job.world, desired("A B C", cooldown_s=0.0, last_call_s=0.0))
    job.wait(30.0)
    lease = job.world.server.round()
    assert lease.round.phase is Phase.ACTIVE
    assert lease.report is not None
    assert len(lease.report.running) == 3
    assert job.recovery() is None


# ---- the sums ------------------------------------------------------------------------------------

BEFORE = Round(2, Phase.ACTIVE, recovery=Recovery(2, detect_ms=15_000, rendezvous_ms=1_000))


@pytest.mark.parametrize(
    ("has_run", "before", "detect_ms", "stop_ms", "result"),
    [
        # a new recovery, of what failed or of a planned change
        (True, BEFORE, 300, 0, Recovery(3, detect_ms=300)),
        (True, BEFORE, None, 0, Recovery(3)),
        # the first start has not run yet; a failure in it is a recovery
        (False, Round(2), None, 0, None),
        (False, Round(2), 300, 0, Recovery(3, detect_ms=300)),
        # it continues: 4 s of round 2 without a failure, or with one
        (False, BEFORE, None, 0, Recovery(3, 15_000, 0, 5_000)),
        (False, BEFORE, None, 2_500, Recovery(3, 15_000, 2_500, 2_500)),
        (False, BEFORE, None, 9_000, Recovery(3, 15_000, 4_000, 1_000)),
        (False, BEFORE, 3_000, 0, Recovery(3, 18_000, 0, 2_000)),
        # the pod that is found now had failed within the recovery, or before it
        (False, BEFORE, 12_000, 0, Recovery(3, 19_000, 0, 1_000)),
        (False, BEFORE, 30_000, 0, Recovery(3, 29_000, 0, 1_000)),
    ],
)
def test_the_recovery_up_to_a_round(
    has_run: bool, before: Round, detect_ms: int | None, stop_ms: int, result: Recovery | None
) -> None:
    found = recovery_until(Round(3, Phase.ACTIVE), before, has_run, 4_000, detect_ms, stop_ms)
    assert found == result
