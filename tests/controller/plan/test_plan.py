"""Policies as tables; what they do together is in test_reconcile.py."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from tests.support.jobs import elastic_job
from tests.support.protocol import T, active
from tests.support.snapshots import (
    NOW,
    actions_of,
    apply,
    ended,
    observed_pod,
    remembered,
    snapshot,
)

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Lasting, Renewal, Replacement, Since
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.observe.template import template_fields
from elasticjob.controller.plan import (
    desired,
    job_over,
    leftovers,
    lost,
    missing,
    plan,
)
from elasticjob.controller.plan.actions import (
    CreatePod,
    DeleteLease,
    DeletePod,
    Deletion,
    EnsurePrerequisites,
    ListLeases,
    Mark,
    WriteRound,
)
from elasticjob.controller.plan.ended import mark_ended_pods
from elasticjob.controller.plan.memory import after_snapshot
from elasticjob.controller.plan.restarts import departures
from elasticjob.controller.plan.unwanted import delete_unwanted_pods
from elasticjob.rendezvous.now import Now
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Phase, Round

P0, P1, P2 = (Pod(index, 0) for index in range(3))
FIELDS = template_fields(elastic_job())


def kinds(s: Any) -> list[str]:
    return [type(action).__name__ for action in plan(s).actions]


def test_a_job_that_runs_needs_nothing() -> None:
    assert plan(snapshot(observed_pod(0), observed_pod(1))).actions == ()


def test_marks_go_before_the_holder_is_cleared_and_nothing_is_made_yet() -> None:
    s = snapshot(
        observed_pod(0, container=ended()), observed_pod(1), holder="demo-0-0", round_=active()
    )
    assert plan(s).actions == (Mark(P0, "ended 1"), WriteRound("7", None, clear_holder=True))


def test_what_is_marked_is_replaced() -> None:
    s = snapshot(
        observed_pod(0, container=ended()), observed_pod(1), round_=active(),
        memory=remembered(marked=frozenset({P0})),
    )  # fmt: skip
    assert plan(s).actions == (EnsurePrerequisites(), CreatePod(Pod(0, 1), replaces=True))


# ---- when an index is replaced -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, -math.inf),
        (Replacement(1, 100.0), 160.0),
        (Replacement(2, 100.0), 220.0),
        (Replacement(5, 100.0), 700.0),
        (Replacement(90, 100.0), 700.0),
    ],
)
def test_wait_of_the_next_replacement(before: Replacement | None, expected: float) -> None:
    assert missing.next_replacement_at(before) == expected
    assert missing.LONGEST_WAIT_S < missing.FORGIVEN_AFTER_S  # one that is forgiven does not wait


@pytest.mark.parametrize(("template_hash", "waits"), [(None, True), ("older", False)])
def test_a_new_template_ends_the_wait_of_a_replacement(
    template_hash: str | None, waits: bool
) -> None:
    """It may be the cure: of an init container that fails, for example."""
    fields = {} if template_hash is None else {"template_hash": template_hash}
    s = snapshot(
        observed_pod(0, 1, container=ended(), **fields), observed_pod(1), round_=active(),
        memory=remembered(
            marked=frozenset({Pod(0, 1)}), replacements={0: Replacement(3, NOW - 1.0)}
        ),
    )  # fmt: skip
    created = CreatePod(Pod(0, 2), replaces=True)
    assert (created not in actions_of(missing.create_missing_pods, s)) == waits


def test_replacements_in_a_row_are_counted_until_they_are_forgiven() -> None:
    once = missing.after_replacement(None, 0.0)
    twice = missing.after_replacement(once, 60.0)
    later = missing.after_replacement(twice, 60.0 + missing.FORGIVEN_AFTER_S)
    assert (once.count, twice.count, later.count) == (1, 2, 1)


@pytest.mark.parametrize(
    ("pod", "lowest", "replaces"),
    [
        (Pod(0, 1), P0, True),
        (Pod(0, 1), Pod(0, 1), False),  # the first since the index is wanted
        (P0, P0, False),
    ],
)
def test_a_pod_that_could_not_be_made_is_still_a_replacement_if_it_was_one(
    pod: Pod, lowest: Pod, replaces: bool
) -> None:
    memory = remembered(never_created=frozenset({pod}), replacements={0: Replacement(1, NOW)})
    generations = {"generations": f"0@{pod.generation + 1}"}
    s = snapshot(round_=Round(0), status=generations, memory=memory, desired=Desired((lowest,)))
    assert list(missing.missing_pods(s, Now(NOW))) == [CreatePod(pod, replaces)]
    waits = apply(missing.create_missing_pods, s) == ([], 60.0)
    assert waits == replaces


@pytest.mark.parametrize(
    ("pods", "fields", "expected"),
    [
        ((observed_pod(0),), {}, []),
        ((), {"desired": Desired(())}, []),  # the Round Lease does not list it yet
        ((observed_pod(0),), {"desired": Desired((Pod(0, 1),))}, []),  # 0-0 is deleted first
        (
            (observed_pod(0),),
            {"memory": remembered(marked=frozenset({P0}))},  # lost
            [CreatePod(Pod(0, 1), replaces=True)],
        ),
        (
            (observed_pod(0, deleting=True),),  # it stays on a dead node, and was replaced
            {
                "memory": remembered(marked=frozenset({Pod(0, 1)})),
                "status": {"generations": "0@2"},
                "desired": Desired((P0,)),
            },
            [CreatePod(Pod(0, 2), replaces=True)],
        ),
    ],
)
def test_which_pods_are_missing(
    pods: tuple[ObservedPod, ...], fields: dict[str, Any], expected: list[CreatePod]
) -> None:
    s = snapshot(*pods, round_=Round(), replicas=1, **fields)
    assert list(missing.missing_pods(s, Now(NOW))) == expected


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "pods", "older", "expected"),
    [
        ({}, (), (), Pod(0, 0)),
        ({"generations": "0@3"}, (), (), Pod(0, 3)),
        ({}, (observed_pod(0, 4),), (), Pod(0, 5)),  # a user emptied the status
        ({}, (), (observed_pod(0, 0), observed_pod(0, 1)), Pod(0, 2)),
    ],
)
def test_a_new_name_was_never_used(
    status: dict[str, Any],
    pods: tuple[ObservedPod, ...],
    older: tuple[ObservedPod, ...],
    expected: Pod,
) -> None:
    s = replace(snapshot(*pods, status=status), older_pods=older)
    assert s.next_pod(0) == expected


# ---- what is wanted ------------------------------------------------------------------------------


def test_a_lost_index_keeps_its_lowest_generation() -> None:
    told = Desired((P0, P1), 2, heartbeat_s=5.0)
    s = snapshot(observed_pod(0, 4), observed_pod(1), desired=told)
    assert desired.wanted_pods(s, Now(NOW)) == (P0, P1)


@pytest.mark.parametrize(
    ("pods", "spec", "expected"),
    [
        ((observed_pod(0), observed_pod(1)), {}, False),
        ((observed_pod(0), observed_pod(1)), {"suspend": True}, True),
        ((observed_pod(0), observed_pod(1, template_hash="old")), {}, True),
        ((observed_pod(0), observed_pod(1, template_hash="old", container=ended())), {}, False),
        ((observed_pod(0, template_hash="old", template_fields=FIELDS),), {}, False),
        (
            (observed_pod(0, template_hash="old", template_fields=FIELDS),),
            {"nprocPerNode": 2},
            True,
        ),
        ((observed_pod(0, template_fields="of a release with another normal form"),), {}, False),
    ],
)
def test_when_no_pod_is_wanted(
    pods: tuple[ObservedPod, ...], spec: dict[str, Any], expected: bool
) -> None:
    assert desired.wants_no_pods(snapshot(*pods, **spec), Now(NOW)) == expected


@pytest.mark.parametrize(("marked", "expected"), [(frozenset(), True), (frozenset({P1}), False)])
def test_a_lost_pod_whose_deletion_does_not_end_delays_no_template(
    marked: frozenset[Pod], expected: bool
) -> None:
    """Its node is dead: the operator does not wait for the end of the grace again."""
    stuck = observed_pod(1, template_hash="old", deleting=True)
    s = snapshot(observed_pod(0), stuck, memory=remembered(marked=marked))
    assert desired.wants_no_pods(s, Now(NOW)) == expected


@pytest.mark.parametrize(
    ("members", "holder", "expected"),
    [
        ([Pod(0, 1)], "", []),
        ([P0], "", [Mark(P0, "ended 1")]),
        ([Pod(0, 1)], "demo-0-0", [Mark(P0, "ended 1")]),
    ],
)
def test_an_older_pod_is_marked_while_the_round_refers_to_it(
    members: list[Pod], holder: str, expected: list[Mark]
) -> None:
    pods = (observed_pod(0, container=ended()), observed_pod(0, 1))
    s = snapshot(*pods, round_=active(2, members), holder=holder)
    assert actions_of(mark_ended_pods, s) == expected


@pytest.mark.parametrize(
    ("round_", "holder", "has_existed"),
    [
        (Round(2, Phase.FORMING), "", False),
        (active(2, [P0, P1]), "", True),
        (Round(2, Phase.FORMING), "demo-0-0", True),
        (Round(2, Phase.FORMING, cause=Cause(CauseKind.POD_SILENT, "demo-0-0")), "", True),
        (Round(2, Phase.FORMING, cause=Cause(CauseKind.POD_SILENT, "demo-1-0")), "", False),
    ],
)
def test_a_pod_that_the_round_names_has_existed(
    round_: Round, holder: str, has_existed: bool
) -> None:
    """So its name is not used again, also if its Lease is gone and the operator has restarted."""
    generations = {"generations": "0-1@1"}
    s = snapshot(observed_pod(1), replicas=2, round_=round_, holder=holder, status=generations)
    marks = actions_of(mark_ended_pods, s)
    assert marks == [Mark(P0, "the pod is gone", create=has_existed, excused=True)]


def test_a_pod_that_the_operator_has_seen_has_existed() -> None:
    """Its agent may have been joining when the pod was deleted, and its Lease may come late."""
    generations = {"generations": "0-1@1"}
    memory = after_snapshot(snapshot(observed_pod(0), observed_pod(1), status=generations))
    s = snapshot(observed_pod(1), replicas=2, status=generations, memory=memory)
    marks = actions_of(mark_ended_pods, s)
    assert marks == [Mark(P0, "the pod is gone", create=True, excused=True)]


@pytest.mark.parametrize(
    ("delay_ms", "holder", "lasted_s", "left_s"),
    [
        (60_000, "demo-0-0", 0.0, 25 + 9 * T),
        (60_000, "demo-0-0", 25 + 9 * T, None),  # the holder does not answer
        (60_000, "", 0.0, None),  # no agent can end the delay
        (0, "demo-0-0", 0.0, None),
    ],
)
def test_the_holder_ends_the_delay_before_the_pods_of_a_suspended_job_are_deleted(
    delay_ms: int, holder: str, lasted_s: float, left_s: float | None
) -> None:
    s = snapshot(
        observed_pod(0), suspend=True, round_=Round(2, Phase.FORMING, delay_ms=delay_ms),
        holder=holder, memory=remembered(
            since={Since(Lasting.UNLISTED, "uid-demo-0-0"): NOW - lasted_s}
        ),
    )  # fmt: skip
    deletion = DeletePod("demo-0-0", "uid-demo-0-0", Deletion.SUSPENDED)
    expected = ([deletion], math.inf) if left_s is None else ([], left_s)
    assert apply(delete_unwanted_pods, s) == expected


# ---- who is given up -----------------------------------------------------------------------------

SILENT = Cause(CauseKind.POD_SILENT, pod="demo-2-0", n=1)


def given_up(s: Any) -> list[Pod]:
    return [action.pod for action in actions_of(lost.mark_lost_pods, s) if isinstance(action, Mark)]


def excused(s: Any) -> dict[Pod, bool]:
    found = actions_of(lost.mark_lost_pods, s)
    return {action.pod: action.excused for action in found if isinstance(action, Mark)}


def test_the_mark_of_a_pod_that_agents_have_found_silent_counts_no_second_loss() -> None:
    """Its agent may return into a round that the operator has not received when it marks it."""
    pods = [observed_pod(0), observed_pod(1), observed_pod(2)]
    dropped = snapshot(*pods, round_=active(2, [P0, P1], cause=SILENT))
    assert excused(dropped) == {P2: True}
    reported = snapshot(*pods, round_=active(1, [P0, P1]), report=Report(1, (P0, P1), silent=(P2,)))
    assert excused(reported) == {P2: True}


def test_the_mark_of_a_pod_that_is_being_deleted_on_a_dead_node_counts_nothing() -> None:
    since = {Since(Lasting.DELETING, "uid-demo-1-0"): NOW - 600.0}
    pods = [observed_pod(0), observed_pod(1, deleting=True)]
    s = snapshot(*pods, round_=active(1, [P0, P1]), memory=remembered(since=since))
    assert excused(s) == {P1: True}


def test_the_mark_of_a_pod_that_only_the_operator_has_found_silent_counts() -> None:
    renewal = Renewal("t", NOW - 60.0, reads=4)
    since = {Since(Lasting.JUDGED, "uid-demo-0-0"): NOW - 60.0}
    s = snapshot(
        observed_pod(0),
        round_=active(1, [P0]),
        memory=remembered(renewals={P0: renewal}, since=since),
    )
    assert excused(replace(s, pulse_at=NOW - 600.0)) == {P0: False}


def test_a_pod_named_as_silent_is_lost_even_while_it_is_being_deleted() -> None:
    pods = [observed_pod(0), observed_pod(1), observed_pod(2, deleting=True)]
    assert given_up(snapshot(*pods, round_=active(2, [P0, P1], cause=SILENT))) == [P2]


def test_a_pod_that_left_in_the_same_step_is_not_lost() -> None:
    pods = [observed_pod(0), observed_pod(1, deleting=True), observed_pod(2)]
    before = (past(active(1, [P0, P1, P2])),)
    s = snapshot(*pods, round_=active(2, [P0], cause=SILENT), past_rounds=before)
    assert given_up(s) == [P2]


def test_a_member_that_is_no_longer_wanted_is_not_lost_with_a_silent_one() -> None:
    """The round without a silent member drops a superfluous one, too. It may be the holder that
    wrote this round, so its agent works, and its pod is deleted with its grace."""
    pods = [observed_pod(0), observed_pod(1), observed_pod(2)]
    before, wanted = (past(active(1, [P0, P1, P2])),), Desired((P0, P2))
    now = active(2, [P0], cause=SILENT)
    s = snapshot(*pods, round_=now, desired=wanted, past_rounds=before, holder="demo-1-0")
    assert given_up(s) == [P2]


MUTE = {lasting.same_pulse(""): NOW - 9 * T}  # the holder has given no pulse for 9T


@pytest.mark.parametrize(
    ("renewal", "since", "expected"),
    [
        (None, {}, False),
        (Renewal("t1", NOW - 900, reads=9), {}, False),  # it has a Lease: the holder judges it
        (None, MUTE, False),
        (Renewal("t1", NOW - 30, reads=4), MUTE, True),
        (Renewal("t1", NOW - 29, reads=4), MUTE, False),
        (Renewal("t1", NOW - 900, reads=3), MUTE, False),  # the API server was away; not the agent
        (Renewal("", NOW - 119, reads=9), {}, False),  # no Lease yet: it may still start
        (Renewal("", NOW - 120, reads=9), {}, True),
    ],
)
def test_agents_that_only_the_operator_can_judge_are_given_up(
    renewal: Renewal | None, since: dict[Since, float], expected: bool
) -> None:
    since = {Since(Lasting.JUDGED, "uid-demo-1-0"): NOW - 900, **since}
    memory = remembered(renewals={P1: renewal} if renewal else {}, since=since)
    s = snapshot(observed_pod(0), observed_pod(1), round_=active(1, [P0]), memory=memory)
    assert given_up(s) == ([P1] if expected else [])


@pytest.mark.parametrize(
    ("outside_s", "listened_s", "expected"),
    [(14.0, None, False), (15.0, None, True), (60.0, 14.0, False), (60.0, 15.0, True)],
)
def test_when_the_operator_lists_leases(
    outside_s: float, listened_s: float | None, expected: bool
) -> None:
    memory = remembered(
        since={Since(Lasting.JUDGED, "uid-demo-1-0"): NOW - outside_s},
        leases_listed_at=None if listened_s is None else NOW - listened_s,
    )
    s = snapshot(observed_pod(0), observed_pod(1), round_=active(1, [P0]), memory=memory)
    assert (ListLeases() in actions_of(lost.list_leases, s)) == expected


@pytest.mark.parametrize(
    ("heartbeat_s", "listened_s", "expected"),
    [(T, None, 0.0), (T, 9.0, 1.0), (T, 10.0, 0.0), (60.0, 9.0, 1.0), (0.5, 0.75, 0.25)],
)
def test_without_a_pulse_the_leases_are_listed_at_once_and_four_times_in_30_s(
    heartbeat_s: float, listened_s: float | None, expected: float
) -> None:
    """Or in 6T, if that is shorter."""
    listed_at = None if listened_s is None else NOW - listened_s
    s = snapshot(
        observed_pod(0), round_=active(1, [P0]), memory=remembered(leases_listed_at=listed_at)
    )
    s = replace(s, pulse_at=NOW - 9 * heartbeat_s, heartbeat_s=heartbeat_s)
    now = Now(NOW)
    assert list(lost.list_leases(s, now)) == ([] if expected else [ListLeases()])
    assert now.again_at == (NOW + expected if expected else math.inf)


@pytest.mark.parametrize(
    ("pods", "pulse_s", "blind_s", "expected"),
    [
        ([observed_pod(0)], 5.0, None, 40.0),
        ([observed_pod(0)], 45.0, None, math.inf),  # the Leases are listed now
        ([observed_pod(0)], 600.0, 5.0, 40.0),
        ([observed_pod(0, container=WorkerContainer(ContainerState.WAITING))], 5.0, None, math.inf),
    ],
)
def test_when_a_missing_pulse_is_looked_for(
    pods: list[Any], pulse_s: float, blind_s: float | None, expected: float
) -> None:
    s = replace(snapshot(*pods, round_=active(1, [P0])), pulse_at=NOW - pulse_s)
    s = s if blind_s is None else replace(s, contact_since=NOW - blind_s)
    now = Now(NOW)
    assert list(lost.await_pulse(s, now)) == []
    assert now.again_at == NOW + expected


def test_a_pod_that_waits_for_its_image_is_not_silent() -> None:
    pods = [
        observed_pod(0),
        observed_pod(1, container=WorkerContainer(ContainerState.WAITING, "ContainerCreating")),
    ]
    s = snapshot(*pods, round_=Round(0))
    assert [pod.pod for pod in lasting.judged(s)] == [P0]


def test_a_pod_that_is_lost_is_not_judged_again() -> None:
    """Else the operator lists Leases for it until its pod is gone."""
    s = snapshot(observed_pod(0), observed_pod(1), round_=Round(0))
    assert [pod.pod for pod in lasting.judged(s)] == [P0, P1]
    lost_ = replace(s, memory=remembered(marked=frozenset({P1})))
    assert [pod.pod for pod in lasting.judged(lost_)] == [P0]


@pytest.mark.parametrize(
    ("fields", "waited_s", "expected"),
    [
        ({"accepted": False}, 30.0, [P1]),
        ({"accepted": False}, 29.0, []),
        ({"accepted": False, "node": ""}, 900.0, []),  # the scheduler has not found one
        ({"accepted": False, "deleting": True}, 30.0, []),
        ({}, 900.0, []),  # its image may take long
    ],
)
def test_a_pod_that_no_kubelet_accepts_is_given_up(
    fields: dict[str, Any], waited_s: float, expected: list[Pod]
) -> None:
    """The heir of a pod whose node has died is bound to that node, which still counts as Ready."""
    waits = {"container": WorkerContainer(ContainerState.WAITING), **fields}
    memory = remembered(since={Since(Lasting.UNACCEPTED, "uid-demo-1-0"): NOW - waited_s})
    s = snapshot(observed_pod(0), observed_pod(1, **waits), round_=active(1, [P0]), memory=memory)
    assert given_up(s) == expected


# ---- leavings ------------------------------------------------------------------------------------


def leaving(n: int, left: int, pod: str = "demo-1-0") -> Round:
    return active(n, [P0], cause=Cause(CauseKind.LEAVING, pod=pod, n=left))


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (observed_pod(1), set()),  # still there: not known yet
        (observed_pod(1, container=ended(143)), {2}),
        (observed_pod(1, container=ended(143), deleting=True), set()),
        (observed_pod(1, container=ended(143), disrupted=True), set()),
        (observed_pod(7), set()),  # gone without a trace: not known
    ],
)
def test_a_leaving_is_charged_when_nothing_excuses_it(pod: ObservedPod, expected: set[int]) -> None:
    assert departures.charged(snapshot(observed_pod(0), pod, round_=leaving(2, 1))) == expected


def test_rounds_that_name_the_same_leaving_charge_one_number() -> None:
    s = snapshot(
        observed_pod(0), observed_pod(1, container=ended(143)), round_=leaving(3, 1),
        past_rounds=(past(active()), past(replace(leaving(2, 1), phase=Phase.FORMING))),
    )  # fmt: skip
    assert departures.charged(s) == {2}


def test_a_reset_of_the_charges_drops_those_of_the_operator_too() -> None:
    told = Desired((P0,), charged=frozenset({2, 9}))
    s = snapshot(
        observed_pod(0), desired=told, round_=active(8, [P0], resets=1),
        past_rounds=(past(active(7, [P0])),),
    )  # fmt: skip
    assert departures.charged(s) == {9}


# ---- what is left behind -------------------------------------------------------------------------


def orphan(pod: Pod, n: int) -> AgentLease:
    state = AgentState(AgentPhase.READY, n)
    return AgentLease(f"demo-{pod.index}-{pod.generation}", pod, "1", "u", "j", "", "", state)


@pytest.mark.parametrize(
    ("pod", "n", "lasted_s", "expected"),
    [
        (Pod(1, 0), 1, 3 * T, True),  # the round has gone on without it
        (Pod(2, 0), 1, 3 * T, False),  # the holder, which is no member
        (Pod(1, 0), 1, 3 * T - 1, False),  # its agent may live on, and has to find the mark
        (Pod(1, 0), 2, 3 * T, False),  # the holder may be one event behind (V2)
        (P0, 1, 3 * T, False),  # a member
        (Pod(9, 0), 2, 3 * T, True),  # not wanted: no round can take it
        (Pod(1, 1), 1, 3 * T, False),  # the newest of its index: the name was used
    ],
)
def test_which_leases_are_deleted(pod: Pod, n: int, lasted_s: float, expected: bool) -> None:
    s = snapshot(
        *([] if pod == Pod(1, 1) else [observed_pod(1, 1)]), round_=active(2, [P0]), replicas=2,
        holder="demo-2-0",
        memory=remembered(
            orphans={pod: orphan(pod, n)}, since={Since(Lasting.ORPHANED, "u"): NOW - lasted_s}
        ),
        desired=Desired((P0, P1)),
    )  # fmt: skip
    deletion = DeleteLease(f"demo-{pod.index}-{pod.generation}", "u")
    assert actions_of(leftovers.delete_orphan_leases, s) == ([deletion] if expected else [])


def test_the_lease_of_a_member_stays_also_after_its_pod_was_replaced() -> None:
    """The holder, which has not received the mark yet, still judges by it."""
    memory = remembered(
        orphans={P1: orphan(P1, 1)}, since={Since(Lasting.ORPHANED, "u"): NOW - 3 * T}
    )
    pods = [observed_pod(0), observed_pod(1, 1)]
    wanted = Desired((P0, Pod(1, 1)))
    for members, expected in (([P0, P1], []), ([P0], [DeleteLease("demo-1-0", "u")])):
        s = snapshot(*pods, round_=active(2, members), memory=memory, desired=wanted)
        assert actions_of(leftovers.delete_orphan_leases, s) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("All", ["demo-0-0", "demo-0-1"]),
        ("Running", ["demo-0-0"]),
        ("KeepFailed", ["demo-0-0"]),
        ("None", []),
    ],
)
def test_which_replaced_pods_are_deleted(policy: str, expected: list[str]) -> None:
    s = snapshot(
        observed_pod(0, 0, container=ended(finished_at="2026-01-01T00:00:00Z")),
        observed_pod(0, 1, container=ended(finished_at="2026-01-01T00:01:00Z")),
        observed_pod(0, 2),
        cleanPodPolicy=policy,
        memory=remembered(marked=frozenset({P0, Pod(0, 1)})),
    )
    assert [
        a.name for a in actions_of(leftovers.delete_replaced_pods, s) if isinstance(a, DeletePod)
    ] == expected


def test_a_pod_that_is_not_replaced_or_has_no_mark_yet_is_not_deleted() -> None:
    newest = snapshot(
        observed_pod(0, container=ended()), cleanPodPolicy="All", round_=Round(),
        memory=remembered(marked=frozenset({P0})),
    )  # fmt: skip
    assert actions_of(leftovers.delete_replaced_pods, newest) == []
    pods = (observed_pod(0, container=ended()), observed_pod(0, 1))
    member = snapshot(*pods, cleanPodPolicy="All", round_=active(1, [P0]))
    assert actions_of(leftovers.delete_replaced_pods, member) == []


def test_agents_that_wait_are_looked_at_when_their_holder_may_be_silent() -> None:
    s = snapshot(observed_pod(0), round_=Round(), holder="demo-0-0")
    assert apply(lost.await_pulse, s) == ([], 9 * T)
    assert plan(s).again_s == 9 * T


def test_the_pod_that_failed_last() -> None:
    early = observed_pod(0, container=ended(1, finished_at="2026-01-01T00:00:00Z"))
    late = observed_pod(1, container=ended(1, finished_at="2026-01-01T00:00:09Z"))
    well = observed_pod(2, container=ended(0, finished_at="2026-01-01T00:00:10Z"))
    failed = Round(2, Phase.FAILED, cause=Cause(CauseKind.WORKER_FAILED, pod="demo-0-0"))
    assert job_over.last_failed_pod(snapshot(early, late, well)) == late
    assert job_over.last_failed_pod(snapshot(early, late, well, round_=failed)) == early
    assert job_over.last_failed_pod(snapshot(well)) is None
