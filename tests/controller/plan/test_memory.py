"""The next record of what the operator remembers."""

from __future__ import annotations

from dataclasses import replace

from tests.support.snapshots import NOW, observed_pod, remembered, snapshot

from elasticjob.controller.observe.memory import Renewal
from elasticjob.controller.plan.actions import ActionResults, CreatePod
from elasticjob.controller.plan.ended import mark_ended_pods
from elasticjob.controller.plan.memory import after_actions, after_resync, after_snapshot
from elasticjob.rendezvous.now import Now
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod

P0, P1, P2 = (Pod(index, 0) for index in range(3))
GENERATIONS = {"generations": "0@2,1@1"}


def lease(pod: Pod, ended: bool = False) -> AgentLease:
    name = f"demo-{pod.index}-{pod.generation}"
    state = AgentState(AgentPhase.READY, 1)
    return AgentLease(name, pod, "1", f"uid-of-{name}", "j", "", "", state, ended=ended)


def test_a_pod_that_was_created_and_no_watch_has_delivered_is_not_gone() -> None:
    """A mark in a Lease made for it would end its agent, which works."""
    s = snapshot(observed_pod(0), replicas=2, status={"generations": "0-1@1"})
    memory = after_actions(after_snapshot(s), s, ActionResults(done=[CreatePod(P1)]), NOW)
    s = snapshot(observed_pod(0), replicas=2, memory=memory, status={"generations": "0-1@1"})
    s = replace(s, memory=after_snapshot(s))
    assert [mark.create for mark in mark_ended_pods(s, Now(NOW))] == [False]


def test_only_the_newest_pod_of_an_index_is_remembered_as_created() -> None:
    """A job may replace pods for months."""
    newer = observed_pod(0, 1)
    s = snapshot(newer, memory=remembered(created=frozenset({P0, P1})), status=GENERATIONS)
    assert after_snapshot(s).created == {newer.pod, P1}


def test_what_a_pass_notes_while_a_resync_lists_leases_stays() -> None:
    """The list may be older: it lacks a Lease that the pass has marked since, and a renewal."""
    before = remembered(
        orphans={P0: lease(P0), P1: lease(P1)},
        renewals={P0: Renewal("t1", NOW), P1: Renewal("t1", NOW)},
    )
    noted = replace(
        before,
        orphans={P0: lease(P0), P1: lease(P1, ended=True), P2: lease(P2, ended=True)},
        renewals={P0: Renewal("t1", NOW), P1: Renewal("t2", NOW + 1), P2: Renewal("t1", NOW + 1)},
    )
    after = after_resync(noted, before, [], [], {})
    assert after.orphans == {P1: lease(P1, ended=True), P2: lease(P2, ended=True)}
    assert after.renewals == {P1: Renewal("t2", NOW + 1), P2: Renewal("t1", NOW + 1)}


def test_a_newer_record_of_an_orphan_replaces_that_of_the_list() -> None:
    before = remembered(orphans={P0: lease(P0)})
    noted = replace(before, orphans={P0: lease(P0, ended=True)})
    assert after_resync(noted, before, [lease(P0)], [], {}).orphans == noted.orphans


def test_a_resync_drops_what_it_does_not_find_and_keeps_that_an_agent_has_no_lease() -> None:
    before = remembered(
        orphans={P0: lease(P0)}, renewals={P0: Renewal("t1", NOW), P1: Renewal("", NOW)}
    )
    after = after_resync(before, before, [lease(P2)], [], {"demo-3-0": "unreadable"})
    assert after.orphans == {P2: lease(P2)}
    assert after.renewals == {P1: Renewal("", NOW)}
    assert after.unreadable_leases == {"demo-3-0": "unreadable"}
