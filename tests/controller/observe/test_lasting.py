"""Durations that policies read: the operator remembers each of them, and no other is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import active
from tests.support.snapshots import NOW, observed_pod, remembered, snapshot

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import plan
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod

WAITING = WorkerContainer(ContainerState.WAITING)
ORPHAN = AgentLease(
    "demo-9-0", Pod(9, 0), "1", "lease", "j", "", "", AgentState(AgentPhase.READY, 1)
)


def job_with_every_condition() -> Snapshot:
    """A job for which each condition holds at least once."""
    return snapshot(
        observed_pod(0),
        observed_pod(1, deleting=True),
        observed_pod(2, container=WAITING, accepted=False),
        observed_pod(3, container=WAITING),
        observed_pod(4),
        observed_pod(5),
        round_=active(1, [Pod(0, 0)]),
        desired=Desired(tuple(Pod(index, 0) for index in range(5))),
        memory=remembered(orphans={Pod(9, 0): ORPHAN}),
    )


def test_each_condition_holds_for_the_objects_that_it_describes() -> None:
    since = job_with_every_condition().since
    found = {kind: {each.uid for each in since if each.condition is kind} for kind in Lasting}
    assert found == {
        Lasting.SAME_PULSE: {""},
        Lasting.DELETING: {"uid-demo-1-0"},
        Lasting.UNACCEPTED: {"uid-demo-2-0"},
        Lasting.NOT_STARTING: {"uid-demo-2-0", "uid-demo-3-0"},
        Lasting.UNLISTED: {"uid-demo-5-0"},
        Lasting.JUDGED: {"uid-demo-4-0"},
        Lasting.ORPHANED: {"lease"},
    }


def test_the_plan_remembers_when_each_condition_began_and_forgets_the_others() -> None:
    first = plan(job_with_every_condition()).memory
    gone = {Since(Lasting.DELETING, "gone"): NOW - 900}
    later = replace(
        job_with_every_condition(),
        now=NOW + 7,
        memory=replace(first, since={**first.since, **gone}),
    )
    assert plan(later).memory.since == dict.fromkeys(first.since, NOW)
    assert later.since[Since(Lasting.UNLISTED, "uid-demo-5-0")] == NOW
    assert later.same_pulse_at == NOW


def test_a_policy_cannot_wait_for_something_that_is_not_remembered() -> None:
    """Else the condition begins again in each plan, and the policy never acts."""
    s = job_with_every_condition()
    with pytest.raises(KeyError):
        s.since[Since(Lasting.UNLISTED, "uid-demo-0-0")]
    assert s.since.keys() == {*lasting.conditions(s)}
    assert plan(s).memory.since is s.since


def test_a_plan_without_changes_has_the_same_memory() -> None:
    s = job_with_every_condition()
    once = replace(s, memory=plan(s).memory)
    assert plan(once).memory == once.memory
