"""The property of every plan: an operator that wakes up early does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.snapshots import (
    NOW,
    assert_early_plan_changes_nothing,
    observed_pod,
    remembered,
    snapshot,
)

from elasticjob.controller.observe.containers import ContainerState, InitContainer, WorkerContainer
from elasticjob.controller.observe.memory import (
    Memory,
    Performed,
    Refusal,
    Refusals,
    Renewal,
    Replacement,
)
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import plan
from elasticjob.controller.plan.actions import EnsurePrerequisites, describe
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Phase, Round

INDEXES, GENERATIONS = range(3), range(2)
PODS = [Pod(index, generation) for index in INDEXES for generation in GENERATIONS]
SOME = st.frozensets(st.sampled_from(PODS), max_size=4)
FEW = st.frozensets(st.sampled_from(PODS), max_size=1)
PAST = st.integers(0, 90).map(lambda ago_s: NOW - ago_s)  # an instant
COUNTS = st.integers(1, 6)
CAUSES = st.builds(
    lambda kind, pod: Cause(kind, pod=f"demo-{pod.index}-{pod.generation}", n=1),
    st.sampled_from([CauseKind.POD_SILENT, CauseKind.WORKER_FAILED, CauseKind.LEAVING]),
    st.sampled_from(PODS),
)
CONTAINERS = st.builds(
    WorkerContainer,
    st.sampled_from(ContainerState),
    st.sampled_from(["", "ContainerCreating", "ImagePullBackOff"]),
)
INITS = st.none() | st.builds(
    InitContainer, st.just("init"), st.sampled_from(ContainerState), st.just("PodInitializing")
)


@st.composite
def pods(draw: st.DrawFn) -> tuple[ObservedPod, ...]:
    """Some of the pods, each in any state."""
    found = draw(SOME)
    return tuple(
        observed_pod(
            pod.index,
            pod.generation,
            container=draw(CONTAINERS),
            init=draw(INITS),
            node=draw(st.sampled_from(["", "node-1"])),
            deleting=draw(st.booleans()),
            accepted=draw(st.booleans()),
            **({"template_hash": "old"} if draw(st.integers(0, 5)) == 0 else {}),
        )
        for pod in sorted(found)
    )


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    """Any round of some of the pods."""
    phase = draw(st.sampled_from(Phase))
    members = {pod.index: pod for pod in draw(SOME)} if phase is not Phase.FORMING else {}
    return Round(
        draw(st.integers(0, 3)),
        phase,
        tuple(Member(members[index]) for index in sorted(members)),
        cause=draw(st.none() | CAUSES),
        delay_ms=draw(st.sampled_from([0, 60_000])),
    )


def orphan(pod: Pod, n: int) -> AgentLease:
    name = f"demo-{pod.index}-{pod.generation}"
    state = AgentState(AgentPhase.READY, n)
    return AgentLease(name, pod, "1", f"uid-of-{name}", "j", "", "", state)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    """Any memory, whose conditions are those of no snapshot yet."""
    renewals = st.builds(Renewal, st.sampled_from(["", "t1"]), PAST, COUNTS)
    return remembered(
        marked=draw(FEW),
        never_created=draw(FEW),
        orphans={pod: orphan(pod, draw(st.integers(0, 3))) for pod in draw(FEW)},
        renewals=draw(st.dictionaries(st.sampled_from(PODS), renewals)),
        leases_listed_at=draw(st.none() | PAST),
        replacements=draw(
            st.dictionaries(st.sampled_from(INDEXES), st.builds(Replacement, COUNTS, PAST))
        ),
        prerequisites_at=draw(st.none() | PAST),
        watched_at=0.0,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any job: some of its conditions have lasted, some of its actions were refused or repeated."""
    fields: dict[str, Any] = {
        "replicas": len(INDEXES),
        "suspend": draw(st.booleans()),
        "cleanPodPolicy": draw(st.sampled_from(["All", "Running", "None"])),
    }
    status = draw(st.sampled_from([{}, {"completionTime": "2025-12-31T23:59:50Z", "round": 1}]))
    wanted = {pod.index: pod for pod in draw(SOME)}
    found = snapshot(
        *draw(pods()),
        round_=draw(rounds()),
        status=status,
        memory=draw(memories()),
        desired=Desired(tuple(wanted[index] for index in sorted(wanted))),
        holder=draw(st.sampled_from(["", "demo-0-0", "demo-1-1"])),
        report=draw(st.none() | st.builds(Report, st.integers(0, 3), silent=SOME.map(tuple))),
        **fields,
    )
    if draw(st.integers(0, 9)) == 0:
        found = replace(found, lease=None)
    return _lasting(draw, found)


def _lasting(draw: st.DrawFn, found: Snapshot) -> Snapshot:
    began = draw(st.lists(PAST, min_size=len(found.since), max_size=len(found.since)))
    found = replace(
        found, memory=replace(found.memory, since=dict(zip(found.since, began, strict=True)))
    )
    often: dict[object, Performed] = {}
    refused: dict[str, Refusal] = {}
    for action in (*plan(found).actions, EnsurePrerequisites()):
        at, count = draw(PAST), draw(COUNTS)
        match draw(st.sampled_from(["", "performed", "refused"])):
            case "performed":
                often[action] = Performed(count, at)
            case "refused":
                refused[describe(action)] = Refusal("no", count, at)
    refusals = Refusals(refused, found.job.generation, frozenset())
    return replace(found, memory=replace(found.memory, performed=often, refusals=refusals))


@given(snapshots(), st.sampled_from([0.5, 0.999]))
def test_an_operator_that_wakes_up_early_does_nothing(s: Snapshot, part: float) -> None:
    planned = plan(s)
    assert planned.again_s is None or planned.again_s > 0
    assert_early_plan_changes_nothing(s, planned, part)
