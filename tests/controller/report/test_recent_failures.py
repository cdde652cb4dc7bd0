"""status.recentFailures: what is a failure, what counts, and that none is lost or listed twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import active, forming
from tests.support.snapshots import ended, observed_pod, snapshot

from elasticjob.api.v1alpha1 import ElasticJobStatus, RecentFailure
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import recent_failures, state, status
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

P0, P1 = Pod(0, 0), Pod(1, 0)
PODS = (observed_pod(0), observed_pod(1))


def crashed(n_: int, charged: Iterable[int] | None = None, **fields: Any) -> Round:
    """The round after a crash in demo-1-0 has ended the one before."""
    made = {"kind": CauseKind.WORKER_FAILED, "pod": "demo-1-0", "rank": 1, "code": 3, "n": n_ - 1}
    cause = Cause(**{**made, "message": f"E{n_}", **fields})
    charged = range(2, n_ + 1) if charged is None else charged
    return active(n_, [P0, P1], cause=cause, charged=charged)


def of(s: Snapshot) -> ElasticJobStatus:
    return status.of(s, state.of(s))


def found(s: Snapshot) -> list[RecentFailure]:
    return of(s).recent_failures or []


def stored(s: Snapshot) -> Json:
    """The status as the API server has it after this pass."""
    return status.fields(of(s))


@pytest.mark.parametrize(
    ("kind", "charged", "expected"),
    [
        (CauseKind.SCALED, [], None),
        (CauseKind.SUSPENDED, [], None),
        (CauseKind.LEAVING, [], (False, "PodEndUnknown")),
        (CauseKind.POD_DELETED, [], (False, "DeletedOrEvicted")),
        (CauseKind.WORKER_HUNG, [2], (True, None)),
        (CauseKind.WORKER_FAILED, [], (False, "FollowedPodLoss")),  # a loss has struck the charge
        (CauseKind.POD_SILENT, [2], (True, None)),
        (CauseKind.API_DARK, [2], (True, None)),
        (CauseKind.OTHER, [2], (True, None)),
    ],
)
def test_which_causes_are_failures_and_count(
    kind: CauseKind, charged: list[int], expected: tuple[bool, str | None] | None
) -> None:
    round_ = active(2, [P0], cause=Cause(kind, "demo-1-0", n=1), charged=charged)
    new = of(snapshot(*PODS, round_=round_))
    listed = [(each.counted, each.not_counted) for each in new.recent_failures or []]
    assert listed == ([] if expected is None else [expected])
    assert (new.last_failure is not None) == (expected == (True, None))


def test_a_failure_has_all_that_is_known() -> None:
    assert stored(snapshot(*PODS, round_=crashed(2)))["recentFailures"] == [
        {
            "pod": "demo-1-0",
            "logCommand": "kubectl logs -n team demo-1-0 -c worker",
            "podUID": "uid-demo-1-0",
            "node": "node-1",
            "rank": 1,
            "exitCode": 3,
            "reason": "WorkerFailed",
            "message": "E2",
            "time": "2026-01-01T00:00:00Z",
            "round": 1,
            "counted": True,
        }
    ]


def test_the_newest_ten_are_kept_newest_first() -> None:
    before = tuple(past(crashed(n)) for n in range(2, 15))
    s = snapshot(*PODS, round_=crashed(14), past_rounds=before)
    assert [each.round for each in found(s)] == list(range(13, 3, -1))
    again = snapshot(*PODS, round_=crashed(15), past_rounds=before, status=stored(s))
    assert [each.round for each in found(again)] == list(range(14, 4, -1))
    last = of(again).last_failure
    assert last is not None
    assert (last.round, last.message) == (14, "E15")


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_status_that_is_computed_again_lists_nothing_twice_and_keeps_the_times(
    is_restarted: bool,
) -> None:
    """After a write without an answer, by the same operator or by another one."""
    rounds = tuple(past(crashed(n)) for n in (2, 3))
    first = stored(snapshot(*PODS, round_=crashed(3), past_rounds=rounds))
    for each in first["recentFailures"]:
        each["time"] = "2025-12-24T00:00:00Z"
    first["lastFailure"]["time"] = "2025-12-24T00:00:00Z"
    again = snapshot(
        *PODS, round_=crashed(3), past_rounds=() if is_restarted else rounds, status=first
    )
    assert stored(again)["recentFailures"] == first["recentFailures"]
    assert stored(again)["lastFailure"] == first["lastFailure"]


def test_rounds_that_passed_between_two_passes_are_all_listed() -> None:
    first = stored(snapshot(*PODS, round_=crashed(2)))
    rounds = tuple(past(crashed(n)) for n in (3, 4, 5))
    s = snapshot(*PODS, round_=crashed(5), past_rounds=rounds, status=first)
    assert [each.round for each in found(s)] == [4, 3, 2, 1]


def test_charges_of_rounds_that_the_operator_did_not_read_are_listed_as_unknown() -> None:
    first = stored(snapshot(*PODS, round_=crashed(2)))
    s = snapshot(*PODS, round_=crashed(5), past_rounds=(past(crashed(5)),), status=first)
    assert [(each.round, each.reason, each.counted) for each in found(s)] == [
        (4, "WorkerFailed", True),
        (3, "Unknown", True),
        (2, "Unknown", True),
        (1, "WorkerFailed", True),
    ]
    assert found(s)[1].time is None
    again = snapshot(*PODS, round_=crashed(5), status=stored(s))
    assert stored(again)["recentFailures"] == stored(s)["recentFailures"]


def test_failures_before_a_lost_round_lease_are_in_the_status_that_reserves_its_number() -> None:
    """The number in the status is then far above theirs, so that a later pass looks for none."""
    known = stored(snapshot(*PODS, round_=active(1, [P0, P1])))
    s = snapshot(*PODS, past_rounds=tuple(past(crashed(n)) for n in (2, 3)), status=known)
    reserved = status.with_round(replace(s, lease=None), Round(1003, charged=Charges({2, 3})))  # type: ignore[arg-type]
    listed = [(each.round, each.counted) for each in reserved.recent_failures or []]
    assert listed == [(2, True), (1, True)]


def test_a_departure_counts_once_the_operator_charges_it() -> None:
    leaving = active(2, [P0], cause=Cause(CauseKind.LEAVING, "demo-1-0", n=1))
    first = stored(snapshot(*PODS, round_=leaving))
    assert first["recentFailures"][0]["notCounted"] == "PodEndUnknown"
    pods = (observed_pod(0), observed_pod(1, container=ended(143)))
    s = snapshot(*pods, round_=leaving, past_rounds=(past(leaving),), status=first)
    assert [(x.counted, x.not_counted) for x in found(s)] == [(True, None)]
    later = snapshot(
        observed_pod(0),
        round_=leaving,
        status=stored(s),
        desired=Desired((P0,), charged={2}),  # type: ignore[arg-type]
    )
    assert found(later)[0].counted


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ((observed_pod(0), observed_pod(1, deleting=True)), "DeletedOrEvicted"),
        ((observed_pod(0),), "DeletedOrEvicted"),  # a pod that no longer exists was deleted
        (PODS, "PodEndUnknown"),
    ],
)
def test_a_departure_is_excused_if_the_pod_was_deleted(
    pods: tuple[ObservedPod, ...], why: str
) -> None:
    leaving = active(2, [P0], cause=Cause(CauseKind.LEAVING, "demo-1-0", n=1))
    assert [each.not_counted for each in found(snapshot(*pods, round_=leaving))] == [why]


@pytest.mark.parametrize(
    ("last", "pods"),
    [
        (0, (observed_pod(0), observed_pod(1, deleting=True))),
        (0, (observed_pod(0), observed_pod(1, 1))),  # the operator sees both in one pass
        (9, (observed_pod(0), observed_pod(1, deleting=True))),  # after failures of other pods
    ],
)
def test_the_departure_of_a_pod_that_the_operator_replaces_for_failures_is_its_own(
    last: int, pods: tuple[ObservedPod, ...]
) -> None:
    crashes = [
        *(crashed(n) for n in (2, 3)),
        *(crashed(n, pod="demo-0-0", kind=CauseKind.API_DARK) for n in range(4, 4 + last)),
        crashed(4 + last),
    ]
    s = stored(snapshot(*PODS, round_=crashes[-1], past_rounds=tuple(map(past, crashes))))
    assert s["blamed"] == "1x3"
    if pods[1].pod.generation:
        s.update(blamed=None, generations="0@1,1@2")  # with the creation of the new pod
    left = active(
        5 + last, [P0], range(2, 5 + last), cause=Cause(CauseKind.LEAVING, "demo-1-0", n=4 + last)
    )
    later = snapshot(*pods, round_=left, past_rounds=(past(left),), status=s)
    assert (found(later)[0].counted, found(later)[0].not_counted) == (False, "ReplacedForFailures")
    then = snapshot(observed_pod(0), round_=left, past_rounds=(past(left),), status=stored(later))
    assert found(then)[0].not_counted == "ReplacedForFailures"


def test_the_departure_of_a_pod_that_is_blamed_less_often_is_one_of_a_deleted_pod() -> None:
    crashes = [crashed(n) for n in (2, 3)]
    s = stored(snapshot(*PODS, round_=crashes[-1], past_rounds=tuple(map(past, crashes))))
    left = active(4, [P0], [2, 3], cause=Cause(CauseKind.LEAVING, "demo-1-0", n=3))
    pods = (observed_pod(0), observed_pod(1, deleting=True))
    later = snapshot(*pods, round_=left, past_rounds=(past(left),), status=s)
    assert found(later)[0].not_counted == "DeletedOrEvicted"


@pytest.mark.parametrize(
    ("word", "now"),
    [
        ("Excused", "DeletedOrEvicted"),
        ("Explained", "FollowedPodLoss"),
        ("Undecided", "PodEndUnknown"),
        ("Later", "Later"),
    ],
)
def test_the_words_of_an_earlier_release_are_read(word: str, now: str) -> None:
    """Of a failure that the Round Lease does not list any more."""
    known = {"reason": "Leaving", "round": 1, "counted": False, "notCounted": word}
    s = snapshot(*PODS, status={"round": 9, "recentFailures": [known]}, round_=Round(9))
    s = replace(s, lease=None)
    assert [each.not_counted for each in recent_failures.of(s)] == [now]


def test_an_undecided_departure_of_an_earlier_release_stays_undecided() -> None:
    """Its pod is gone, which an excuse would explain, but for what the operator had seen."""
    known = {"reason": "Leaving", "pod": "demo-1-0", "round": 1, "counted": False}
    s = snapshot(
        observed_pod(0), round_=active(2, [P0], cause=Cause(CauseKind.LEAVING, "demo-1-0", n=1)),
        status={"round": 2, "recentFailures": [{**known, "notCounted": "Undecided"}]},
    )  # fmt: skip
    assert [each.not_counted for each in found(s)] == ["PodEndUnknown"]


def test_a_crash_that_a_loss_explains_counts_no_longer_and_is_not_the_last_failure() -> None:
    first = stored(snapshot(*PODS, round_=crashed(2, pod="demo-0-0")))
    lost = active(3, [P0], cause=Cause(CauseKind.POD_SILENT, "demo-1-0", n=2), charged=[3])
    s = snapshot(*PODS, round_=lost, past_rounds=(past(crashed(2)), past(lost)), status=first)
    assert [(x.round, x.counted, x.not_counted) for x in found(s)] == [
        (2, True, None),
        (1, False, "FollowedPodLoss"),
    ]
    last = of(s).last_failure
    assert last is not None
    assert last.reason == "PodSilent"


def test_failures_that_are_forgiven_or_only_counted_stay_counted() -> None:
    first = {**stored(snapshot(*PODS, round_=crashed(2))), "round": 9}
    for charged in (Charges(forgiven=5), Charges(frozenset({9}), older=3)):
        s = snapshot(*PODS, round_=replace(active(9, [P0, P1]), charged=charged), status=first)
        assert [each.counted for each in found(s)] == [True]


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("first_cause", [{"pod": "demo-0-0", "rank": 0}, {"rank": 7}])
def test_an_earlier_failure_that_replaces_the_cause_replaces_the_failure(
    first_cause: dict[str, Any], is_restarted: bool
) -> None:
    """Its agent was later than that of the victim. The round and its charge stay."""
    first = stored(snapshot(*PODS, round_=crashed(2)))
    first["recentFailures"][0]["time"] = "2025-12-24T00:00:00Z"
    round_ = crashed(2, message="first", **first_cause)
    s = snapshot(
        *PODS, round_=round_, past_rounds=() if is_restarted else (past(round_),), status=first
    )
    (failure,) = stored(s)["recentFailures"]
    assert failure.items() >= {**first_cause, "message": "first", "round": 1}.items()
    assert failure["time"] == "2025-12-24T00:00:00Z"
    assert stored(s)["lastFailure"].items() >= {**first_cause, "message": "first"}.items()


def test_a_failure_stays_when_the_details_of_its_round_are_no_longer_kept() -> None:
    first = stored(snapshot(*PODS, round_=crashed(2)))
    brief = replace(past(crashed(2)), details=None)
    s = snapshot(*PODS, round_=active(3, [P0, P1], [2]), past_rounds=(brief,), status=first)
    assert stored(s)["recentFailures"] == first["recentFailures"]


def test_how_a_pod_ended_may_be_known_later_and_is_not_forgotten() -> None:
    round_ = forming(2, cause=Cause(CauseKind.POD_ENDED, "demo-1-0", n=1), charged=[2])
    first = snapshot(*PODS, round_=round_)
    pods = (observed_pod(0), observed_pod(1, container=ended(137, reason="OOMKilled")))
    then = snapshot(*pods, round_=round_, status=stored(first))
    assert [(x.reason, x.exit_code) for x in found(then)] == [("OOMKilled", 137)]
    gone = snapshot(observed_pod(0), round_=round_, status=stored(then))
    assert [(x.reason, x.exit_code) for x in found(gone)] == [("OOMKilled", 137)]
    last = of(gone).last_failure
    assert last is not None
    assert last.reason == "OOMKilled"


def test_a_round_that_takes_over_a_cause_is_no_further_failure() -> None:
    cause = Cause(CauseKind.POD_SILENT, "demo-1-0", n=1)
    rounds = (forming(2, [2], cause=cause), active(3, [P0, P1], [2], cause=cause))
    s = snapshot(*PODS, round_=rounds[1], past_rounds=tuple(map(past, rounds)))
    assert [each.round for each in found(s)] == [1]


def test_the_failure_that_ended_the_job_counts() -> None:
    """Also in a round of an agent of an older release, which does not charge it."""
    end = replace(crashed(2, charged=[]), phase=Phase.FAILED)
    assert [each.counted for each in found(snapshot(*PODS, round_=end))] == [True]


def test_the_status_of_an_older_release_has_one_failure() -> None:
    old = {"round": 4, "lastFailure": {"pod": "demo-0-0", "reason": "PodLate", "round": 2}}
    s = snapshot(*PODS, round_=crashed(5, charged=[3, 5]), status=old)
    assert [(each.round, each.counted) for each in found(s)] == [(4, True), (2, True)]


def test_a_false_number_of_a_failed_round_hides_no_later_failure() -> None:
    """Code in a worker can write any number into the cause."""
    s = snapshot(*PODS, round_=crashed(2, n=2**53))
    assert [each.round for each in found(s)] == [1]
    again = snapshot(*PODS, round_=crashed(3), status=stored(s))
    assert [each.round for each in found(again)] == [2, 1]


def test_ten_failures_with_long_texts_are_less_than_sixteen_kilobytes_of_status() -> None:
    fields = {"message": "\u65e5" * 400, "node": "n" * 253, "pod": "demo-1-0"}
    rounds = tuple(past(crashed(n, **fields)) for n in range(2, 12))
    listed = stored(snapshot(*PODS, round_=crashed(11, **fields), past_rounds=rounds))
    text = json.dumps(listed["recentFailures"], ensure_ascii=False).encode()
    assert len(listed["recentFailures"]) == recent_failures.KEPT
    assert len(text) < 16_000
    assert all(len(x["message"]) <= 256 for x in listed["recentFailures"])


def test_a_long_message_in_the_list_keeps_the_error_and_the_last_lines() -> None:
    lines = ["the end of stderr:", *["frame " + "x" * 60] * 6, "ValueError: nan"]
    s = snapshot(*PODS, round_=crashed(2, message="\n".join(["ValueError: nan", *lines])))
    message = (found(s)[0].message or "").split("\n")
    assert message[:2] == ["ValueError: nan", "the end of stderr:"]
    assert message[2:] == lines[-4:]


def test_the_end_of_a_pod_changes_no_earlier_failure_of_its_workers() -> None:
    """The agent exits with the failure that ended the job. The others were in the same pod."""
    earlier = [crashed(n, kind=CauseKind.WORKER_SIGNALED, code=None, signal=n) for n in (2, 3)]
    end = ended(137, reason="OOMKilled", message="the job failed: out of memory")
    pods = (observed_pod(0), observed_pod(1, container=replace(end, cause="WorkerSignaled")))
    last = replace(
        crashed(4, kind=CauseKind.WORKER_SIGNALED, code=None, signal=9), phase=Phase.FAILED
    )
    rounds = tuple(map(past, earlier))
    listed = found(snapshot(*pods, round_=last, past_rounds=rounds))
    assert [x.reason for x in listed] == ["OOMKilled", "WorkerSignaled", "WorkerSignaled"]
    assert [x.message for x in listed[1:]] == ["E3", "E2"]


def test_a_charge_of_no_round_is_no_failure() -> None:
    """Code in a worker can write any number."""
    assert found(snapshot(*PODS, round_=crashed(2, charged=[0]), status={})) is not None
