"""The event of a round that has ended: its text, when it is written, and what was not observed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import JOB, active, forming
from tests.support.snapshots import ended, observed_pod, snapshot

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.rounds import ObservedRound, past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import round_events, state, status
from elasticjob.controller.report.journal import LONGEST_MESSAGE, Note
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Recovery, Report
from elasticjob.wire.round import Phase, Round

P = [Pod(index, 0) for index in range(8)]
NEW1 = Pod(1, 1)
PODS = tuple(observed_pod(index) for index in range(4))
RUNS = active(3, P[:4], starts=3)


def crash(n: int, **fields: Any) -> Cause:
    made = {"kind": CauseKind.WORKER_FAILED, "pod": "demo-1-0", "node": "node-1", "rank": 1}
    return Cause(**{**made, "code": 3, "message": "E: no\nmore", "n": n, **fields})


def notes(s: Snapshot, reported: Json | None = None) -> list[Note]:
    """What is reported after the round 3, if it was reported with this status."""
    before = ElasticJobStatus.model_validate({"round": 3, **(reported or {})})
    return list(round_events.of(s, before, status.of(s, state.of(s))))


def text(
    *rounds: Round, pods: tuple[Any, ...] = PODS, reported: Json | None = None, **fields: Any
) -> str:
    """The text of the one event after these rounds, which follow the round 3 of four members."""
    known = tuple(map(past, (RUNS, *rounds)))
    s = snapshot(*pods, round_=rounds[-1], past_rounds=known, replicas=4, **fields)
    (note,) = notes(s, reported)
    return f"{note.reason}{'!' if note.warning else ''}: {note.message}"


def recovered(n: int, *pods: Pod) -> Report:
    return Report(n, pods, recovery=Recovery(n, 2, 30, 0, 500))


CRASHED = (
    "WorkersFailed!: round 3 (4 members) ended: demo-1-0 (rank 1) on node-1: WorkerFailed:"
    " E: no; exit code 3"
)
RUNNING = (
    "round 4 runs with 4 members after 532 ms (detection 2 ms, stop 30 ms, rendezvous 0 ms, start"
    " 500 ms)"
)
STARTING = "round 4 starts with 4 members"
WAITING = "no round is active until 4 pods are ready"
OTHERS = [P[0], P[2], P[3]]
GONE = tuple(pod for pod in PODS if pod.pod != P[1])
OOM = observed_pod(1, container=ended(137, reason="OOMKilled"))
SILENT = Cause(CauseKind.POD_SILENT, "demo-1-0", "node-1", message="the agent is silent", n=3)
ENDED = Cause(CauseKind.POD_ENDED, "demo-1-0", n=3)
DELETED = Cause(CauseKind.POD_DELETED, "demo-1-0", n=3)
LEAVING = Cause(CauseKind.LEAVING, "demo-1-0", n=3)
GAP = Cause(CauseKind.LEAVING, "demo-1-0", n=4)
THRICE = Desired(tuple(P[:4]), max_start_restarts=3)


@pytest.mark.parametrize(
    ("rounds", "fields", "expected"),
    [
        (
            [active(4, P[:4], [4], cause=crash(3))],
            {},
            f"{CRASHED}; counted: 1 of maxRestarts 10; {STARTING}",
        ),
        (
            [active(4, P[:4], [2, 4], cause=crash(3), delay_ms=950)],
            {},
            f"{CRASHED}; counted: 2 of maxRestarts 10; {STARTING} after a delay of 0.95 s",
        ),
        (
            [active(4, P[:4], [4], cause=crash(3), delay_ms=450)],
            {"report": recovered(4, *P[:4])},
            f"{CRASHED}; counted: 1 of maxRestarts 10;"
            f" {RUNNING.replace('start 500 ms', 'start 50 ms after a delay of 0.45 s')}",
        ),
        (
            [active(4, P[:4], [4], cause=crash(3))],
            {"report": recovered(4, *P[:4])},
            f"{CRASHED}; counted: 1 of maxRestarts 10; {RUNNING}",
        ),
        (
            [
                active(
                    4, P[:4], Charges(frozenset({2, 4}), at_start=frozenset({2, 4})), cause=crash(3)
                )
            ],
            {"desired": THRICE},
            f"{CRASHED}; counted: 2 of maxRestarts 10 and, as no progress was known yet, 2 of"
            f" maxStartRestarts 3; {STARTING}",
        ),
        (  # a failure of an agent, after a crash at a start
            [active(4, P[:4], Charges(frozenset({2, 4}), at_start=frozenset({2})), cause=crash(3))],
            {"desired": THRICE},
            f"{CRASHED}; counted: 2 of maxRestarts 10; {STARTING}",
        ),
        (
            [
                active(
                    4,
                    P[:4],
                    Charges(frozenset({2, 4}), at_start=frozenset({2, 4})),
                    cause=crash(3),
                    trained=True,
                )
            ],
            {"desired": THRICE},
            f"{CRASHED}; counted: 2 of maxRestarts 10; {STARTING}",
        ),
        (
            [forming(4, [4], cause=SILENT)],
            {"pods": GONE},
            "PodsLost!: round 3 (4 members) ended: demo-1-0 on node-1: PodSilent: the agent is"
            f" silent; counted: 1 of maxRestarts 10; {WAITING}",
        ),
        (
            [forming(4, [4], cause=ENDED), active(5, [*OTHERS, NEW1], [4], cause=ENDED)],
            {"pods": (*GONE, OOM)},
            "PodsLost!: round 3 (4 members) ended: demo-1-0 on node-1: OOMKilled: exit code 137;"
            " counted: 1 of maxRestarts 10;"
            " round 5 starts with 4 members (without demo-1-0, with demo-1-1)",
        ),
        (
            [active(4, [P[0]], cause=DELETED)],
            {"pods": (PODS[0],), "minReplicas": 1},
            "PodsLeft: round 3 (4 members) ended: demo-1-0: PodDeleted; not counted: the pod was"
            " deleted, evicted or preempted;"
            " round 4 starts with 1 member (without demo-1-0 to demo-3-0)",
        ),
        (
            [forming(4, cause=LEAVING)],
            {},
            "PodsLeft: round 3 (4 members) ended: demo-1-0 on node-1: Leaving; not counted, unless"
            f" the pod has ended without a deletion; {WAITING}",
        ),
        (
            [forming(4, cause=LEAVING)],
            {"pods": (*GONE, observed_pod(1, container=ended(143)))},
            "PodsLeft!: round 3 (4 members) ended: demo-1-0 on node-1: Leaving;"
            f" counted: 1 of maxRestarts 10; {WAITING}",
        ),
        (
            [forming(4, cause=LEAVING)],
            {
                "pods": (*GONE, observed_pod(1, deleting=True)),
                "status": {"round": 3, "blamed": "1x3", "generations": "0-3@1"},
            },
            "PodsLeft: round 3 (4 members) ended: demo-1-0 on node-1: Leaving; not counted: the"
            f" operator replaces the pod, as 3 failures of its workers are counted; {WAITING}",
        ),
        (
            [active(4, P[:6], cause=Cause(CauseKind.SCALED, message="2 pods added"))],
            {},
            "MembersScaled: round 3 (4 members) ended: 2 pods added;"
            " round 4 starts with 6 members (with demo-4-0, demo-5-0)",
        ),
        (
            [forming(4, cause=Cause(CauseKind.SUSPENDED))],
            {"suspend": True},
            "WorkersStopped: round 3 (4 members) ended: the job is suspended; no round is active"
            " until the job is resumed",
        ),
        (
            [forming(4, cause=Cause(CauseKind.SUSPENDED))],
            {"reported": {"templateHash": "old"}},
            f"WorkersStopped: round 3 (4 members) ended: the template has changed; {WAITING}",
        ),
    ],
)
def test_text(rounds: list[Round], fields: dict[str, Any], expected: str) -> None:
    assert text(*rounds, **fields) == expected


def test_the_members_of_a_round_that_the_operator_did_not_observe_are_left_out() -> None:
    s = snapshot(*PODS, round_=active(4, P[:4], [4], cause=crash(3)))
    assert [note.message.split(":")[0] for note in notes(s)] == ["round 3 ended"]


def test_a_text_is_short_for_any_job_and_message() -> None:
    """Each second pod of 1,000 has left, so that their names make no range."""
    before, after = (
        active(3, [Pod(i, 0) for i in range(1000)]),
        [Pod(i, 0) for i in range(0, 1000, 2)],
    )
    cause = replace(SILENT, message="m" * 256, node="n" * 253)
    next_ = active(4, after, [4], cause=cause)
    s = snapshot(*PODS, round_=next_, past_rounds=(past(before), past(next_)))
    (note,) = notes(s)
    names = "demo-1-0, demo-3-0, demo-5-0, demo-7-0, demo-9-0 and 495 more"
    assert note.message.endswith(f"round 4 starts with 500 members (without {names})")
    assert len(note.message) < LONGEST_MESSAGE


# ---- when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("round_", "before"),
    [
        (active(1, P[:4], cause=Cause(CauseKind.SCALED), starts=1), [forming(0)]),  # the first
        (active(5, P[:4], cause=Cause(CauseKind.SUSPENDED)), [forming(4)]),  # resumed
        (replace(RUNS, n=4, phase=Phase.SUCCEEDED, cause=None), [RUNS]),
        (replace(RUNS, n=4, phase=Phase.FAILED, cause=crash(3)), [RUNS]),  # the event Failed
        (RUNS, []),
    ],
)
def test_rounds_after_which_none_with_members_has_ended(round_: Round, before: list[Round]) -> None:
    known = tuple(map(past, (*before, round_)))
    s = snapshot(*PODS, round_=round_, past_rounds=known)
    assert notes(s, {"round": max(0, round_.n - 1)}) == []


def test_a_round_is_reported_once_and_once_more_when_the_job_has_recovered() -> None:
    next_ = active(4, P[:4], [4], cause=crash(3))
    known = (past(RUNS), past(next_))
    first = snapshot(*PODS, round_=next_, past_rounds=known)
    reported = status.fields(status.of(first, state.of(first)))
    assert len(notes(first)) == 1
    assert notes(first, reported) == []
    s = snapshot(*PODS, round_=next_, past_rounds=known, report=recovered(4, *P[:4]))
    (again,) = notes(s, reported)
    assert (again.round, again.is_correction) == (3, False)
    assert again.message.endswith(RUNNING)
    assert notes(s, status.fields(status.of(s, state.of(s)))) == []


def test_a_round_is_reported_again_when_it_is_known_whether_it_counts() -> None:
    """The pod of a round that is not replaced at once ends only after the next one runs."""
    next_ = active(4, OTHERS, cause=LEAVING)
    known = (past(RUNS), past(next_))
    first = snapshot(*PODS, round_=next_, past_rounds=known)
    reported = status.fields(status.of(first, state.of(first)))
    pods = (*GONE, observed_pod(1, container=ended(143)))
    (again,) = notes(snapshot(*pods, round_=next_, past_rounds=known), reported)
    assert "counted: 1 of maxRestarts 10" in again.message


@pytest.mark.parametrize(
    "next_", [active(5, P[:4], [4, 5], cause=crash(4)), forming(5, [4], cause=GAP)]
)
def test_an_earlier_round_is_corrected_when_the_next_one_ends_before_it_ran(next_: Round) -> None:
    """During its delay, for example: else its event announces a round that never runs."""
    delayed = active(4, P[:4], [4], cause=crash(3), delay_ms=1874)
    known = (past(RUNS), past(delayed))
    first = snapshot(*PODS, round_=delayed, past_rounds=known)
    reported = status.fields(status.of(first, state.of(first)))
    (note,) = notes(first)
    assert note.message.endswith("round 4 starts with 4 members after a delay of 1.874 s")
    s = snapshot(*PODS, round_=next_, past_rounds=(*known, past(next_)), status=reported)
    earlier, last = notes(s, reported)
    assert (earlier.round, earlier.is_correction) == (3, True)
    assert earlier.message == note.message.replace(
        "round 4 starts with 4 members after a delay of 1.874 s",
        "round 4 with 4 members ended before all of them ran",
    )
    assert (last.round, last.is_correction) == (4, False)
    assert notes(s, status.fields(status.of(s, state.of(s)))) == []


def test_a_round_that_ran_is_not_corrected_when_it_ends() -> None:
    delayed = active(4, P[:4], [4], cause=crash(3), delay_ms=1874)
    known = (past(RUNS), replace(past(delayed), recovery=Recovery(4, 2, 30, 0, 1900)))
    first = snapshot(*PODS, round_=delayed, past_rounds=known)
    reported = status.fields(status.of(first, state.of(first)))
    next_ = active(5, P[:4], [4, 5], cause=crash(4))
    s = snapshot(*PODS, round_=next_, past_rounds=(*known, past(next_)), status=reported)
    assert [note.round for note in notes(s, reported)] == [4]


def test_an_earlier_round_is_corrected_when_its_failure_does_not_count_any_more() -> None:
    """The loss of a pod explains the crash, and ends the next round."""
    crashed = active(4, P[:4], [4], cause=crash(3))
    recovery = Recovery(4, 2, 30, 0, 500)
    known = (past(RUNS), replace(past(crashed), recovery=recovery))
    first = snapshot(*PODS, round_=crashed, past_rounds=known)
    reported = status.fields(status.of(first, state.of(first)))
    lost = active(5, P[:4], [5], cause=replace(SILENT, n=4))
    s = snapshot(*PODS, round_=lost, past_rounds=(*known, past(lost)))
    job = replace(s.job, status=ElasticJobStatus.model_validate(reported))
    earlier, last = notes(replace(s, job=job), reported)
    assert (earlier.round, earlier.is_correction) == (3, True)
    assert (
        earlier.message
        == (f"{CRASHED}; not counted: the loss of a pod explains it; {RUNNING}".partition(": ")[2])
    )
    assert (last.round, last.is_correction) == (4, False)


def test_a_failure_that_the_status_no_longer_lists_is_no_correction() -> None:
    rounds = [active(n, P[:4], range(4, n + 1), cause=crash(n - 1)) for n in range(4, 16)]
    ran = (replace(past(each), recovery=Recovery(each.n, 2, 30, 0, 500)) for each in rounds)
    known = (past(RUNS), *ran)
    first = snapshot(*PODS, round_=rounds[-2], past_rounds=known[:-1])
    reported = status.fields(status.of(first, state.of(first)))
    s = snapshot(*PODS, round_=rounds[-1], past_rounds=known)
    job = replace(s.job, status=ElasticJobStatus.model_validate(reported))
    (note,) = notes(replace(s, job=job), reported)
    assert (note.round, note.is_correction) == (14, False)


def test_each_of_several_rounds_between_two_passes_is_reported() -> None:
    rounds = [active(n, P[:4], range(4, n + 1), cause=crash(n - 1)) for n in (4, 5, 6)]
    s = snapshot(*PODS, round_=rounds[-1], past_rounds=tuple(map(past, (RUNS, *rounds))))
    found = [note.message for note in notes(s)]
    assert [each.partition(" (")[0] for each in found] == ["round 3", "round 4", "round 5"]
    assert ["counted: 2 of maxRestarts 10" in each for each in found] == [False, True, False]


# ---- what was not observed -----------------------------------------------------------------------


def test_rounds_that_the_operator_did_not_read_are_reported_as_such() -> None:
    next_ = active(7, P[:4], [4, 5, 7], cause=crash(6))
    s = snapshot(*PODS, round_=next_, past_rounds=(past(next_),))
    missing, ended_ = notes(s)
    assert (missing.reason, missing.message) == (
        "RoundsNotObserved",
        "the operator did not observe rounds 4 to 6; 2 of their failures count against maxRestarts",
    )
    assert ended_.message.startswith("round 6 ended: ")


def test_a_round_that_the_operator_made_follows_none_that_it_did_not_read() -> None:
    """Its number is far above all others."""
    made = Round(1003, starts=3)
    status_ = {"round": 1003}
    s = snapshot(*PODS, round_=made, past_rounds=(past(RUNS), past(made)), status=status_)
    assert notes(s) == []


def test_a_false_round_is_not_reported() -> None:
    false = active(4, P[:4], cause=crash(3))
    s = snapshot(*PODS, round_=false, past_rounds=(past(RUNS),))
    seen = ObservedRound("u", 1, JOB.uid, s.lease, excess="round.members names 7-9@0")
    assert notes(replace(s, seen_round=seen)) == []
