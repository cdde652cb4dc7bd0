"""Degraded, Restarting and Stalled, and what holds for all conditions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.support.jobs import worker
from tests.support.protocol import T, active
from tests.support.snapshots import NOW, ended, observed_pod, remembered, snapshot
from tests.support.world import P, running_world

from elasticjob.controller.observe.containers import ContainerState, InitContainer, WorkerContainer
from elasticjob.controller.observe.memory import Lasting, Refusal, Refusals, Replacement, Since
from elasticjob.controller.observe.rounds import ObservedRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import conditions, state
from elasticjob.controller.report.texts import Word
from elasticjob.wire.member import Pod
from elasticjob.wire.report import JoinWait, JoinWaitKind, Report
from elasticjob.wire.round import Phase, Round

P0, P1 = Pod(0, 0), Pod(1, 0)
COOLS = JoinWait(JoinWaitKind.COOLDOWN, 30_000)
PULLS = WorkerContainer(ContainerState.WAITING, "ImagePullBackOff", "x")
SETUP = ended(75, message="Python 3.6 is too old")
FAILS = InitContainer("fetch", ContainerState.TERMINATED, "Error", exit_code=42)
STARTS = WorkerContainer(ContainerState.WAITING, "ContainerCreating")
FORMS = Round(3, starts=2)
STATUS = {"generations": "0-1@1"}
FULL = remembered(
    refusals=Refusals({"create pod 1-0": Refusal("exceeded quota: q", 1, NOW)}, generation=1),
    never_created=frozenset({P1}),
)
LOST = remembered(
    replacements={1: Replacement(2, NOW - 30)}, marked=frozenset({P1, Pod(1, 1)})
)  # fmt: skip


def degraded(*pods: object, join_wait: JoinWait | None = None, **fields: object) -> Snapshot:
    """One member runs; there should be two."""
    report = Report(1, (P0,), join_wait=join_wait)
    return snapshot(
        observed_pod(0), *pods, round_=active(1, [P0]), report=report, replicas=2, minReplicas=1,
        **fields,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        # ---- the job runs
        (snapshot(observed_pod(0), report=Report(1, (P0,))), {}),
        (degraded(observed_pod(1)), {"Degraded": "PodsMissing"}),
        (degraded(observed_pod(1), join_wait=COOLS), {"Degraded": "CoolingDown"}),
        (
            degraded(observed_pod(1), join_wait=JoinWait(JoinWaitKind.LAST_CALL, 1)),
            {"Degraded": "LastCall"},
        ),
        (degraded(observed_pod(1, unschedulable="x")), {"Degraded": "Unschedulable"}),
        (degraded(observed_pod(1, container=PULLS)), {"Degraded": "ImagePullBackOff"}),
        (
            degraded(status={"generations": "0-1@1"}, memory=FULL),
            {"Degraded": "QuotaExceeded"},
        ),
        (
            degraded(status={"generations": "0@1,1@2"}, memory=LOST),
            {"Degraded": "WaitingForReplacement"},
        ),
        # ---- it does not
        (snapshot(observed_pod(0), report=Report(0)), {}),  # the first start
        (snapshot(observed_pod(0), round_=active(2, [P0])), {"Restarting": "WorkersStart"}),
        (
            snapshot(observed_pod(0), round_=active(2, [P0], delay_ms=9_000)),
            {"Restarting": "BackingOff"},
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, container=STARTS), round_=Round()),
            {},
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, container=STARTS), round_=FORMS),
            {"Restarting": "PodsAwaited"},
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, unschedulable="x"), round_=Round()),
            {"Stalled": "Unschedulable"},
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, unschedulable="x"), round_=FORMS),
            {"Restarting": "Unschedulable", "Stalled": "Unschedulable"},
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1, 1, container=ended(1)), round_=FORMS, memory=LOST
            ),
            {"Restarting": "WaitingForReplacement"},
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1, 1, container=SETUP), round_=FORMS, memory=LOST
            ),
            {"Restarting": "WaitingForReplacement", "Stalled": "AgentSetupFailed"},
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1, container=STARTS, init=FAILS), round_=Round()
            ),
            {"Stalled": "InitContainerFailed"},
        ),
        (  # it has been deleted
            snapshot(
                observed_pod(0), round_=FORMS, memory=LOST, replicas=2,
                status={"generations": "0@1,1@2"},
            ),
            {"Restarting": "WaitingForReplacement"},
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1, container=STARTS), round_=FORMS, minReplicas=1,
                report=Report(3, join_wait=JoinWait(JoinWaitKind.LAST_CALL, 9_000)),
            ),
            {"Restarting": "LastCall"},
        ),
        (snapshot(observed_pod(0), suspend=True), {}),
        (snapshot(observed_pod(0), round_=Round(2, Phase.SUCCEEDED)), {}),
    ],
)  # fmt: skip
def test_which_of_them_are_true_and_why(s: Snapshot, expected: dict[str, str]) -> None:
    found = conditions.of(s, state.of(s))
    types = ("Degraded", "Restarting", "Stalled")
    assert {c.type: c.reason for c in found if c.status == "True" and c.type in types} == expected
    assert {c.type for c in found} >= set(types)


def test_a_job_that_waits_for_an_older_one_is_blocked_by_its_finalizer() -> None:
    older = ObservedRound("u", 1, "older", deleting=True, finalizers=("example.com/x",))
    s = replace(snapshot(observed_pod(0)), lease=None, seen_round=older)
    found = {c.type: c for c in conditions.of(s, state.of(s))}
    assert (found["Stalled"].status, found["Stalled"].reason) == ("True", "DeletionBlocked")
    assert "example.com/x" in found["Stalled"].message


# ---- what comes next -----------------------------------------------------------------------------

SECOND = "2026-01-01T00:00:{}Z"
LAST_CALL = JoinWait(JoinWaitKind.LAST_CALL, 9_000)
AGAIN = (
    "the operator creates demo-1-2 at 2026-01-01T00:01:31Z, because the last pods of index 1"
    " ended or were replaced soon after each other; each such wait is twice as long as the one"
    " before, at most 600 s"
)


@pytest.mark.parametrize(
    ("s", "type_", "message"),
    [
        (
            degraded(observed_pod(1)),
            "Degraded",
            "1/2 pods in the round; the missing pods join when they are ready",
        ),
        (
            degraded(observed_pod(1), join_wait=COOLS),
            "Degraded",
            "1/2 pods in the round; all workers restart together with demo-1-0 at"
            f" {SECOND.format(31)}, because a round lasts at least 60 s before pods join",
        ),
        (
            degraded(observed_pod(1, container=STARTS), join_wait=LAST_CALL),
            "Degraded",
            "1/2 pods in the round; the next round waits for demo-1-0, and starts at"
            f" {SECOND.format(10)} without the pods that are missing",
        ),
        (
            degraded(status={"generations": "0@1,1@2"}, memory=LOST),
            "Degraded",
            f"1/2 pods in the round; {AGAIN}",
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1), round_=active(2, [P0, P1]),
                report=Report(2, (P0,)),
            ),
            "Restarting",
            "the workers of demo-1-0 have not started; a pod whose workers do not run at"
            f" {SECOND.format(29)} is replaced",
        ),
        (
            snapshot(observed_pod(0), round_=active(2, [P0], delay_ms=9_000)),
            "Restarting",
            f"the workers of round 2 start at {SECOND.format(10)}: later after repeated failures",
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, container=STARTS), round_=FORMS),
            "Restarting",
            "the workers start again when at least 2 pods are ready",
        ),
        (
            snapshot(observed_pod(0), round_=Round(), replicas=3, minReplicas=2),
            "Running",
            "no round is active; a round starts only when at least 2 pods are ready",
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, container=STARTS), round_=FORMS, replicas=4),
            "PodsReady",
            "1/4 pods running; waiting for demo-1-0 to demo-3-0",
        ),
        (  # its name is reserved, and the pod was never created
            snapshot(
                observed_pod(0), round_=FORMS, replicas=2, status=STATUS,
                memory=remembered(never_created=frozenset({P1})),
            ),
            "PodsReady",
            "1/2 pods running; waiting for demo-1-0",
        ),
        (  # the report of a holder, or of code in a worker, before a pod has joined
            degraded(join_wait=COOLS, status={"generations": "0@1"}),
            "Degraded",
            "1/2 pods in the round; all workers restart together with other pods at"
            f" {SECOND.format(31)}, because a round lasts at least 60 s before pods join",
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1, 1, container=ended(1)), round_=FORMS, memory=LOST
            ),
            "PodsReady",
            "1/2 pods ended: exit code 1; the operator replaces such pods;"
            f" {AGAIN}",
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1), report=Report(1, (P0, P1)),
                status={"blamed": "0x2,1x1", "round": 1},
            ),
            "PodsReady",
            "2/2 pods running; failures began in demo-0-0 (2), demo-1-0 (1): the operator replaces"
            " a pod after 3 failures of its workers",
        ),
    ],
)  # fmt: skip
def test_a_condition_states_what_comes_next(s: Snapshot, type_: str, message: str) -> None:
    assert {c.type: c.message for c in conditions.of(s, state.of(s))}[type_] == message


def test_every_condition_has_a_message() -> None:
    """Of a reason alone a reader does not know what it means."""
    running = snapshot(observed_pod(0), report=Report(1, (P0,)))
    over = snapshot(observed_pod(0), round_=Round(2, Phase.SUCCEEDED))
    for s in (running, over):
        assert [c.type for c in conditions.of(s, state.of(s)) if not c.message] == []


# ---- all conditions ------------------------------------------------------------------------------


def generations(world: object) -> set[int]:
    return {c["observedGeneration"] for c in world.status()["conditions"]}  # type: ignore[attr-defined]


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_no_condition_of_an_ended_job_lags_after_an_edit(phase: Phase) -> None:
    """Else `kubectl wait --for=condition=Complete` waits in vain."""
    world = running_world(replicas=2)
    world.write_round(Round(2, phase, starts=1))
    world.settle()
    before = world.condition("Complete" if phase is Phase.SUCCEEDED else "Failed")
    world.edit(maxRestarts=3)
    world.settle()
    assert world.status()["observedGeneration"] == 2
    assert generations(world) == {2}
    assert world.condition("Complete" if phase is Phase.SUCCEEDED else "Failed") == before


def test_no_condition_lags_after_an_edit_of_a_job_that_runs_is_suspended_or_invalid() -> None:
    world = running_world(replicas=2)
    world.edit(maxRestarts=3)
    world.settle()
    assert generations(world) == {2}
    world.edit(suspend=True)
    world.settle()
    assert generations(world) == {3}
    account = {"containers": [worker()], "serviceAccountName": "x"}  # it is not listed
    world.edit(template={"spec": account})
    world.settle()
    assert generations(world) == {4}


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    world = running_world(3, minReplicas=2)
    world.run(*P[:2])
    world.settle()
    (first,) = (c for c in world.status()["conditions"] if c["type"] == "Degraded")
    world.now += 10
    world.report(Report(1, P[:2], outside=True, join_wait=COOLS))
    world.settle()
    (second,) = (c for c in world.status()["conditions"] if c["type"] == "Degraded")
    assert (first["reason"], second["reason"]) == ("PodsMissing", "CoolingDown")
    assert first["lastTransitionTime"] == second["lastTransitionTime"]


# ---- conditions next to each other ---------------------------------------------------------------

ENDS = (Round(2, Phase.SUCCEEDED), Round(2, Phase.FAILED))
NEW_TEMPLATE = {"template": {"spec": {"containers": [worker(image="other")]}}}
INVALID = 'Pod "demo-1-0" is invalid: spec.x: Invalid value'
REFUSED = remembered(
    refusals=Refusals({"create pod 1-0": Refusal(INVALID, 1, NOW)}, generation=1),
    never_created=frozenset({P1}),
)
NO_PULSE = remembered(since={Since(Lasting.SAME_PULSE, ""): NOW - 9 * T})
# Type, and status or reason: a reader takes one of the two for false.
CONTRADICTIONS = (
    (("Running", "True"), ("Degraded", "NotRunning")),
    (("Running", "True"), ("Restarting", "True")),
    (("Running", "True"), ("Stalled", "True")),
    (("Running", "True"), ("Suspended", "True")),
    (("Running", "False"), ("Degraded", "True")),
    (("Running", "False"), ("Degraded", "AllPodsWork")),
    (("Running", "False"), ("Degraded", "WorkersStop")),
    (("Running", "Unknown"), ("Degraded", "True")),
    (("Running", "WaitingForPods"), ("PodsReady", "NotWanted")),
    (("Running", "JobSuspended"), ("Suspended", "NotSuspended")),
    (("Degraded", "PodsMissing"), ("PodsReady", "NotWanted")),
    (("Degraded", "PodsMissing"), ("PodsReady", "TemplateChanged")),
    (("Restarting", "NotRestarting"), ("PodsReady", "TemplateChanged")),
    (("Restarting", "True"), ("PodsReady", "NotWanted")),
    (("Stalled", "True"), ("PodsReady", "NotWanted")),
)


def every_state() -> Iterator[Snapshot]:
    """Jobs in every state, each with 2 replicas, of which one or two have pods that run."""
    pods = (
        (),
        (observed_pod(0),),
        (observed_pod(0), observed_pod(1)),
        (observed_pod(0), observed_pod(1, unschedulable="x")),
    )
    rounds = (Round(), FORMS, active(1, [P0]), active(2, [P0, P1], delay_ms=9_000), *ENDS)
    reports = (None, *(Report(n, (P0, P1)[:k]) for n in (1, 2) for k in (1, 2)))
    reports += (Report(1, (), failed=(P0,)), Report(2, (P0,), failed=(P1,)))
    specs: tuple[dict[str, Any], ...] = ({}, {"suspend": True}, NEW_TEMPLATE)
    memories = (remembered(), FULL, REFUSED, LOST, NO_PULSE)
    for each, round_, report, spec, memory in product(pods, rounds, reports, specs, memories):
        yield snapshot(
            *each, round_=round_, report=report, memory=memory, status=STATUS, replicas=2,
            minReplicas=1, holder="demo-0-0", **spec,
        )  # type: ignore[arg-type]  # fmt: skip


def test_no_two_conditions_of_a_job_contradict_each_other() -> None:
    """In any state of the pods, the round, the report of the holder and the spec."""
    seen = set()
    for s in every_state():
        summary = state.of(s)
        seen.add(summary.word)
        rows = conditions.of(s, summary)
        found = {(c.type, word) for c in rows for word in (c.status, c.reason)}
        assert [pair for pair in CONTRADICTIONS if found.issuperset(pair)] == [], (summary, found)
    assert seen == set(Word) - {Word.INVALID}


@pytest.mark.parametrize("running", [True, False])
def test_a_job_whose_pods_are_replaced_or_end_reports_its_workers_as_they_are(
    running: bool,
) -> None:
    report = Report(1, (P0, P1)) if running else Report(1)
    pods = (observed_pod(0), observed_pod(1))
    for spec in ({"suspend": True}, NEW_TEMPLATE):
        s = snapshot(*pods, report=report, **spec)  # type: ignore[arg-type]
        found = {c.type: (c.status, c.message) for c in conditions.of(s, state.of(s))}
        degraded_, text = found["Degraded"]
        assert (found["Running"][0], degraded_) == (str(running), "False")
        stops, unknown = "all workers stop, because all pods end", "not all members of a round"
        assert text.startswith(stops if running else unknown)


def test_a_suspended_job_names_what_the_workers_wait_for() -> None:
    for round_ in (FORMS, active(1, [P0])):  # also before the operator has ended the round
        s = snapshot(round_=round_, report=Report(1, (P0,)), suspend=True)
        found = {c.type: c for c in conditions.of(s, state.of(s))}
        assert (found["Running"].status, found["Running"].reason) == ("False", "JobSuspended")
        assert found["Running"].message == "no round starts while spec.suspend is true"
        assert found["Stalled"].message == (
            "no problem with pods or Leases that a user or the cluster has to solve keeps the"
            " workers from running"
        )


def test_what_a_condition_states_of_one_pod_or_member_is_in_the_singular() -> None:
    running = snapshot(observed_pod(0), report=Report(1, (P0,)))
    waits = snapshot(observed_pod(0, container=STARTS), round_=FORMS)
    found = [{c.type: c.message for c in conditions.of(s, state.of(s))} for s in (running, waits)]
    assert found[0]["Running"] == "the only member is running round 1"
    assert (
        found[1]["Running"]
        == "no round is active; a round starts only when at least 1 pod is ready"
    )
    assert found[1]["Restarting"] == "the workers start again when at least 1 pod is ready"
