"""The operator's pass against the local store: every write that it makes, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.jobs import elastic_job, worker
from tests.support.protocol import T
from tests.support.snapshots import shown
from tests.support.world import KEY, TEAM, P, World, running_world, settled_world

from elasticjob.controller import kube
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.kube import NotFoundError, RefusedError, UnavailableError
from elasticjob.controller.observe.key import Key
from elasticjob.controller.plan import missing
from elasticjob.controller.settings import Settings
from elasticjob.local.api.kinds import jobs
from elasticjob.wire import names
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import Json
from elasticjob.wire.lease import EndedMark, ended_patch
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Progress, Recovery, Report
from elasticjob.wire.round import Phase, Round

AGENT = "configmaps elasticjob-agent-d4f0bc5a29"


# ---- the start -----------------------------------------------------------------------------------


def test_a_new_job_gets_its_things_in_order() -> None:
    world = World()
    world.apply(replicas=2)
    assert world.settled_writes() == [
        "create serviceaccounts elasticjob-demo",
        "create rolebindings elasticjob-demo",
        f"create {AGENT}",
        "create leases demo-round",
        "patch elasticjobs demo/status",
        "create pods demo-0-0",
        "create pods demo-1-0",
        "patch elasticjobs demo/status",
    ]
    desired, round_ = world.desired(), world.round().round
    assert (desired.wanted, desired.min_members, desired.heartbeat_s) == ((P[0], P[1]), 2, T)
    assert (round_.n, round_.phase) == (0, Phase.FORMING)


def test_names_are_reserved_before_the_pods_are_made() -> None:
    world = World()
    world.apply(replicas=2)
    world.api.refuse["create", "pods"] = RefusedError("exceeded quota")
    world.settle()
    assert world.status()["generations"] == "0-1@1"
    assert world.status()["phase"] == "Pending: 2/2 pods cannot be created: exceeded quota"
    assert world.condition("PodsReady") == (
        "False",
        "PodsRefused",
        "2/2 pods cannot be created: exceeded quota",
    )
    world.api.refuse.clear()
    world.now += 1
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-0"]
    assert world.status()["generations"] == "0-1@1"
    assert world.condition("PodsReady") == (
        "False", "PodsStart", "0/2 pods running; waiting for demo-0-0, demo-1-0",
    )  # fmt: skip


def test_a_job_that_runs_is_left_alone() -> None:
    world = running_world()
    assert world.settled_writes() == []
    assert world.api.calls == []  # the cache is enough


def test_a_restarted_operator_sends_no_request() -> None:
    world = running_world()
    world.restart(Settings(heartbeat_s=T))
    assert world.settled_writes() == []
    assert world.api.calls == []


def test_a_restarted_operator_does_not_mark_twice() -> None:
    """The pod that failed last is kept, and its Lease is long gone."""
    world = running_world()
    world.end_pod("demo-2-0")
    world.settle()
    world.start_all()
    world.run(P[0], P[1], Pod(2, 1), P[3], n=2, cause=Cause(CauseKind.POD_ENDED, pod="demo-2-0"))
    world.settle()
    world.now += 3 * T
    world.settle()
    assert world.agent(P[2]) is None
    world.restart(Settings(heartbeat_s=T))
    assert world.settled_writes() == []
    assert "demo-2-0" in world.pod_names()


def test_the_status_of_a_job_that_runs() -> None:
    world = running_world()
    world.report(Report(1, (*P[:4],), Recovery(1, 3, 10, 0, 30), Progress(7, 100)))
    world.settle()
    status = world.status()
    kept = {k: v for k, v in status.items() if k not in ("conditions", "selector", "startTime")}
    assert kept == {
        "observedGeneration": 1,
        "phase": "Running",
        "ready": "4/4",
        "replicas": 4,
        "readyReplicas": 4,
        "minReplicas": 4,
        "round": 1,
        "restarts": 0,
        "counted": 0,
        "generations": "0-3@1",
        "agentHash": Bundle(b"agent").hash,
        "templateHash": kept["templateHash"],
        "lastRecovery": {
            "round": 1,
            "detectMillis": 3,
            "stopMillis": 10,
            "rendezvousMillis": 0,
            "startMillis": 30,
            "totalMillis": 43,
        },
        "progress": {"step": 7, "total": 100},
    }
    assert [world.condition(t) for t in ("Accepted", "PodsReady", "Running", "Suspended")] == [
        (
            "True",
            "Valid",
            "the spec is valid; Kubernetes judges spec.template when it creates pods",
        ),
        ("True", "AllRun", "4/4 pods running"),
        ("True", "AllMembersRun", "all 4 members are running round 1"),
        ("False", "NotSuspended", "spec.suspend is false"),
    ]
    assert world.events()["Running"] == (1, "all 4 members are running round 1")


def test_pulses_mark_no_job() -> None:
    world = running_world()
    world.marked.clear()
    world.report(world.round().report or Report(1))
    assert world.marked == set()


def test_a_job_that_breaks_a_rule_is_refused_and_the_next_one_is_not() -> None:
    world = World()
    world.store.admission.clear()  # as on a server without CEL
    world.apply(elastic_job("bad", pod={"containers": [worker(command=[])]}))
    world.apply(replicas=1)
    assert world.settled_writes(Key(TEAM, "bad")) == ["patch elasticjobs bad/status"]
    assert world.status("bad")["phase"].startswith("Invalid: spec.template.spec.containers")
    world.settle()
    assert world.pod_names() == ["demo-0-0"]


# ---- pods that end -------------------------------------------------------------------------------


def test_an_ended_pod_is_marked_before_its_next_generation_is_made() -> None:
    world = running_world()
    world.end_pod("demo-2-0", 137, reason="OOMKilled")
    assert world.settled_writes() == [
        "patch leases demo-2-0",
        "patch elasticjobs demo/status",
        "create pods demo-2-1",
        "patch elasticjobs demo/status",
    ]
    assert world.mark(P[2])
    assert world.status()["generations"] == "0-1@1,2@2,3@1"
    assert "desired" not in str(world.api.writes)


def test_the_holder_is_cleared_when_its_pod_has_ended() -> None:
    world = running_world()
    world.end_pod("demo-0-0")
    world.settle()
    assert world.round().holder == ""
    assert world.round().desired.wanted == (*P[:4],)  # a lost index keeps its number


def test_a_pod_that_is_deleted_is_replaced_when_it_has_ended() -> None:
    world = running_world()
    world.delete_pod("demo-1-0")
    world.settle()
    assert "demo-1-1" not in world.pod_names()
    world.end_deleted()
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-1", "demo-2-0", "demo-3-0"]
    assert world.mark(P[1])


def test_a_pod_that_vanished_while_no_operator_ran_is_replaced() -> None:
    world = running_world()
    world.watches_fail = True
    world.remove_pod("demo-1-0")
    world.restart(Settings(heartbeat_s=T))
    world.watches_fail = False
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-1", "demo-2-0", "demo-3-0"]


def test_a_pod_given_up_before_it_had_a_lease_gets_one_that_is_ended() -> None:
    world = settled_world(replicas=2)
    world.end_pod("demo-1-0", 75, '{"cause": "SetupFailed", "code": 75, "message": "no API"}')
    world.settle()
    assert world.mark(P[1])
    assert world.pod_names() == ["demo-0-0", "demo-1-0", "demo-1-1"]


def test_a_reserved_pod_that_no_operator_is_known_to_have_made_is_made_under_its_name() -> None:
    world = settled_world(replicas=2)
    world.now += 1
    world.remove_pod("demo-1-0")
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-0"]
    assert world.agent(P[1]) is None


def test_the_name_of_a_pod_that_was_deleted_before_it_joined_is_not_used_again() -> None:
    """Its agent may have a request in progress that creates its Lease."""
    world = settled_world(replicas=2)
    world.now += 1
    world.remove_pod("demo-1-0")
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-1"]
    assert world.mark(P[1])


def test_a_terminal_round_is_never_given_a_new_pod() -> None:
    """The pods' ends are delivered first, the Round Lease's only by the consistent read."""
    world = running_world(cleanPodPolicy="All")
    world.watches_fail = True
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    world.watches_fail = False
    for pod in P[:4]:
        world.end_pod(world.pod_name(pod), 0)
    assert not any(call.startswith("create pods") for call in world.settled_writes())
    assert world.status()["phase"] == "Complete"
    assert world.pod_names() == []


def test_the_second_replacement_within_a_minute_waits_and_the_third_longer() -> None:
    world = running_world()
    world.end_pod("demo-2-0", 75)
    world.live(0)
    for generation, wait_s in ((1, missing.FIRST_WAIT_S), (2, 2 * missing.FIRST_WAIT_S)):
        world.end_pod(f"demo-2-{generation}", 75)
        world.live(wait_s - 1)
        assert f"demo-2-{generation + 1}" not in world.pod_names()
        world.live(1)
        assert f"demo-2-{generation + 1}" in world.pod_names()


def test_an_agent_that_cannot_be_set_up_is_a_condition_with_its_message() -> None:
    world = settled_world(replicas=2)
    verdict = '{"cause": "SetupFailed", "code": 75, "message": "Python 3.6 is too old"}'
    for _ in range(2):
        for index in range(2):
            newest = max(n for n in world.pod_names() if n.startswith(f"demo-{index}-"))
            world.end_pod(newest, 75, verdict)
        world.settle()
    text = "2/2 agents cannot start: Python 3.6 is too old"
    expected = (
        f"{text}; the operator replaces such pods, and the job does not fail because of it; the"
        " operator creates demo-0-2 at 2026-01-01T00:01:01Z, because the last pods of index 0"
        " ended or were replaced soon after each other; each such wait is twice as long as the one"
        " before, at most 600 s"
    )
    assert world.condition("PodsReady") == ("False", "AgentSetupFailed", expected)
    assert world.status()["phase"] == "Pending: 2/2 agents cannot start: Python 3.6 is too old"
    assert world.condition("Stalled") == ("True", "AgentSetupFailed", expected)
    assert world.events()["AgentSetupFailed"][0] == 1


def test_a_replaced_pod_is_deleted_but_the_one_that_failed_last_is_kept() -> None:
    world = running_world()
    world.end_pod("demo-2-0")
    world.settle()
    assert "demo-2-0" in world.pod_names()
    world.now += 3600
    world.end_pod("demo-2-1")
    world.settle()
    assert [n for n in world.pod_names() if n.startswith("demo-2")] == ["demo-2-1", "demo-2-2"]


def test_an_ended_lease_is_deleted_only_when_the_round_has_moved_on_without_it() -> None:
    """V2: the holder may be one event behind and count on a pod that has left."""
    world = running_world()
    world.end_pod("demo-2-0")
    world.settle()
    assert world.agent(P[2]) is not None
    world.write_round(Round(2, Phase.FORMING))
    world.settle()
    world.now += 3 * T
    world.settle()
    assert world.agent(P[2]) is None


def test_a_mark_is_not_lost_to_a_renewal() -> None:
    world = running_world()
    lease = world.lease("demo-2-0")
    world.end_pod("demo-2-0")
    real = world.api.patch

    async def patch(resource: kube.Resource, namespace: str, name: str, *more: object) -> Json:
        if name == "demo-2-0" and lease == world.lease("demo-2-0"):
            renewed = {"metadata": {"annotations": {"renewed": "by the agent"}}}
            await real(resource, namespace, name, renewed)
        return await real(resource, namespace, name, *more)  # type: ignore[arg-type]

    world.api.patch = patch  # type: ignore[method-assign]
    world.settle()
    assert world.mark(P[2])
    assert "renewed" in world.lease("demo-2-0")["metadata"]["annotations"]


OLDER = {"metadata": {"labels": {names.LABEL_JOB_UID: "an-older-uid"}}}
BROKEN = {"metadata": {"annotations": {names.ANNOTATION_AGENT: "["}}}


@pytest.mark.parametrize("patch", [OLDER, BROKEN], ids=["of an older job", "unreadable"])
def test_a_lease_that_is_no_record_of_this_job_is_replaced_by_a_marked_one(patch: Json) -> None:
    """The replacement of its pod, which has ended, does not wait for ever."""
    world = running_world()
    world._patch_lease("demo-2-0", patch)
    world.end_pod("demo-2-0")
    world.settle()
    assert world.mark(P[2])
    assert "demo-2-1" in world.pod_names()


def test_a_lease_that_is_no_jobs_is_left_alone_and_the_next_generation_is_made() -> None:
    """Another controller may use the name; the agent of that pod ended and said so."""
    world = World()
    world.apply(replicas=2)
    stranger = {"metadata": {"name": "demo-1-0"}, "spec": {"holderIdentity": "another-controller"}}
    world.store.create(world.api.stored(kube.LEASES), TEAM, stranger)
    world.settle()
    world.start_all()
    world.join(P[0])
    world.end_pod("demo-1-0", 75)
    world.settle()
    assert "demo-1-1" in world.pod_names()
    assert world.lease("demo-1-0")["spec"] == {"holderIdentity": "another-controller"}


# ---- pods that are of no use ---------------------------------------------------------------------


def test_a_pod_dropped_as_silent_is_deleted_and_replaced_at_once() -> None:
    world = running_world(minReplicas=3)
    cause = Cause(CauseKind.POD_SILENT, pod="demo-3-0", n=1)
    world.run(*P[:3], n=2, cause=cause, charged=[2])
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-0", "demo-2-0", "demo-3-1"]
    assert world.deleted_names() == ["demo-3-0"]
    assert world.mark(P[3])


def test_of_two_that_were_dropped_at_once_both_are_replaced() -> None:
    world = running_world(minReplicas=2)
    cause = Cause(CauseKind.POD_SILENT, pod="demo-2-0", n=1, message="...; and 1 more pod")
    world.run(*P[:2], n=2, cause=cause)
    world.settle()
    assert world.deleted_names() == ["demo-2-0", "demo-3-0"]


def test_a_round_that_forms_after_a_silence_loses_only_the_one_that_it_names() -> None:
    """With min == replicas the next round has no members at all."""
    world = running_world()
    cause = Cause(CauseKind.POD_SILENT, pod="demo-2-0", n=1)
    world.write_round(Round(2, Phase.FORMING, cause=cause, charged=Charges(frozenset({2}))))
    world.settle()
    assert world.deleted_names() == ["demo-2-0"]
    world.run(P[0], P[1], Pod(2, 1), P[3], n=3, cause=cause)
    world.settle()
    assert world.deleted_names() == ["demo-2-0"]


def test_a_pod_that_was_dropped_and_returned_before_the_next_pass_stays() -> None:
    world = running_world(minReplicas=3)
    cause = Cause(CauseKind.POD_SILENT, pod="demo-3-0", n=1)
    world.run(*P[:3], n=2, cause=cause)
    world.run(*P[:4], n=3, cause=Cause(CauseKind.SCALED))
    world.settle()
    assert world.deleted_names() == []


def waiting_world() -> World:
    """A job of four pods, of which no node takes the last: round 0 is Forming, pod 0 holds."""
    world = settled_world(replicas=4)
    for pod in P[:3]:
        world.start_pod(world.pod_name(pod))
        world.join(pod)
    world.write_round(Round(), holder="demo-0-0")
    world.report(Report(0, outside=True))
    world.settle()
    return world


def advance_with_renewals(world: World, seconds: float) -> None:
    """The holder pulses, and the operator works whenever it wants to."""
    end = world.now + seconds
    while world.now < end:
        again_s = world.settle()
        world.advance(min(again_s if again_s is not None else seconds, end - world.now))
    world.settle()


def test_a_holder_that_waits_for_a_pod_is_not_silent() -> None:
    """It renews the Round Lease, and not its own Lease; and the others are its to judge."""
    world = waiting_world()
    advance_with_renewals(world, 1800.0)
    assert world.deleted_names() == []
    assert world.pod_names() == [world.pod_name(pod) for pod in P[:4]]


def test_while_the_holder_judges_all_the_operator_lists_no_leases() -> None:
    world = waiting_world()
    advance_with_renewals(world, 60.0)
    world.api.calls.clear()
    advance_with_renewals(world, 600.0)
    assert [call for call in world.api.calls if call.startswith("list leases")] == []


def test_a_pod_outside_that_the_holder_reports_as_silent_is_replaced_at_once() -> None:
    world = waiting_world()
    world.report(Report(0, outside=True, silent=(P[2],)))
    world.settle()
    assert world.deleted_names() == ["demo-2-0"]
    assert world.pod_names() == ["demo-0-0", "demo-1-0", "demo-2-1", "demo-3-0"]
    assert world.mark(P[2]) == "excused"


@pytest.mark.parametrize(
    ("report", "members"),
    [
        (Report(0, silent=(P[2],)), P[:4]),  # of an older round
        (Report(1, silent=(P[2],)), P[:4]),  # a member: the next round drops it
        (Report(1, silent=(P[0],)), P[1:4]),  # the holder itself
        (Report(1, silent=(P[7],)), P[:4]),  # there is no such pod
    ],
)
def test_a_report_that_names_other_pods_as_silent_harms_none(
    report: Report, members: list[Pod]
) -> None:
    world = running_world()
    world.write_round(Round(1, Phase.ACTIVE, tuple(map(Member, members))), holder="demo-0-0")
    world.report(report)
    world.settle()
    assert world.deleted_names() == []


def test_a_pod_whose_agent_makes_no_lease_is_replaced() -> None:
    world = waiting_world()
    world.start_pod("demo-3-0")
    advance_with_renewals(world, 600.0)
    assert world.deleted_names() == ["demo-3-0"]


def test_resyncs_do_not_delay_the_judgement_of_an_agent_that_makes_no_lease() -> None:
    """A list without its Lease proves nothing new: it does not restart the time without one."""
    world = waiting_world()
    world.start_pod("demo-3-0")
    for _ in range(5):
        advance_with_renewals(world, 60.0)
        world.resync()
    assert world.deleted_names() == ["demo-3-0"]


def test_pods_that_start_one_after_the_other_are_not_taken_for_silent() -> None:
    """A node every 40 s, as an autoscaler brings them: who waited long has had no Lease so far."""
    world = settled_world(replicas=8)
    world.start_pod(world.pod_name(P[0]))
    world.join(P[0])
    world.write_round(Round(), holder="demo-0-0")
    for pod in P[1:8]:
        advance_with_renewals(world, 40.0)
        world.start_pod(world.pod_name(pod))
        world.settle()  # before its agent has joined
        assert world.deleted_names() == []
        world.join(pod)
    assert {name for name in world.pod_names() if not name.endswith("-0")} == set()


def test_leases_are_listed_before_a_holder_is_lost() -> None:
    """What was seen of its Lease while it gave pulses says nothing: it did not renew it."""
    world = waiting_world()
    world.start_pod("demo-3-0")
    advance_with_renewals(world, 90.0)  # the operator lists Leases, as the last agent has none
    world.join(P[3])
    advance_with_renewals(world, 900.0)
    quiet_at = world.now
    while not world.deleted_names():
        again_s = world.settle()
        assert again_s is not None
        world.now += again_s
    assert world.now - quiet_at >= 9 * T + 30
    assert world.now - quiet_at < 150


def test_silent_agents_of_a_holder_of_an_older_release_are_found_by_listing_leases() -> None:
    """It judges members only, and says so by saying nothing."""
    world = waiting_world()
    world.report(Report(0))
    for _ in range(40):
        again_s = world.settle()
        assert again_s is not None
        world.advance(again_s)
        world.renew(P[1])
    assert world.deleted_names() == ["demo-2-0"]


def test_an_agent_whose_lease_is_gone_since_it_was_seen_is_judged_again() -> None:
    world = waiting_world()
    advance_with_renewals(world, 60.0)
    world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-2-0")
    world.resync()
    advance_with_renewals(world, 300.0)
    assert world.deleted_names() == ["demo-2-0"]


def test_an_index_whose_older_pod_is_stuck_is_replaced_after_a_restart_of_the_operator() -> None:
    """A dead node keeps demo-2-0, which the new operator does not know to be given up."""
    world = running_world()
    world.delete_pod("demo-2-0")
    world.settle()
    world.now += 65
    world.settle()
    world.start_all()
    world.join(Pod(2, 1))
    world.run(P[0], P[1], Pod(2, 1), P[3], n=3)
    world.settle()
    world.restart(Settings(heartbeat_s=T))
    world.end_pod("demo-2-1")
    world.settle()
    assert "demo-2-2" in world.pod_names()
    assert "demo-2-0" in world.deleted_names()


def test_a_new_template_does_not_wait_for_a_pod_that_is_stuck() -> None:
    world = running_world()
    world.delete_pod("demo-2-0")
    world.settle()
    world.edit(annotations={names.ANNOTATION_RESTART: "now"})
    world.write_round(Round(2, Phase.FORMING))
    world.settle()
    for name in ("demo-0-0", "demo-1-0", "demo-3-0"):
        world.end_pod(name, 143)
    world.now += 65
    world.settle()
    assert sorted(world.pod_names()) == ["demo-0-1", "demo-1-1", "demo-2-1", "demo-3-1"]
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert sorted(world.pod_names()) == ["demo-0-1", "demo-1-1", "demo-2-1", "demo-3-1"]


def test_a_member_whose_pod_is_gone_is_marked_again() -> None:
    """Its agent lives on without a kubelet, and joined again when its Lease was deleted."""
    world = running_world(minReplicas=3)
    world.remove_pod("demo-2-0")
    world.settle()
    world.run(P[0], P[1], P[3], n=2)
    world.settle()
    world.now += 3 * T
    world.settle()
    assert world.agent(P[2]) is None
    world.join(P[2], n=2)
    world.run(*P[:4], n=3)
    world.settle()
    assert world.mark(P[2])


def test_a_blamed_pod_is_deleted_within_the_delay_of_the_restart() -> None:
    """Not when the next round has begun, which would be stopped at once."""
    world = running_world()
    charged: set[int] = set()
    for n in (2, 3, 4):
        charged.add(n)
        cause = Cause(CauseKind.WORKER_FAILED, pod="demo-2-0", code=1, n=n - 1)
        world.run(*P[:4], n=n, cause=cause, charged=charged, delay_ms=60_000 if n == 4 else 0)
        assert world.deleted_names() == []
        world.settle()
    assert world.deleted_names() == ["demo-2-0"]


@pytest.mark.parametrize("was_away", [False, True])
def test_a_pod_that_vanishes_while_its_agent_runs_is_excused(was_away: bool) -> None:
    world = running_world()
    world.watches_fail = was_away
    world.remove_pod("demo-2-0")
    world.watches_fail = False
    if was_away:
        world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert world.mark(P[2]) == "excused"


def test_a_pod_whose_agent_ended_by_itself_is_not_excused() -> None:
    world = running_world()
    world.end_pod("demo-2-0", 137, reason="OOMKilled")
    world.settle()
    assert world.mark(P[2]) == "ended"


@pytest.mark.parametrize("spoils", [False, True])
def test_neither_another_jobs_lease_nor_a_broken_one_hides_who_is_silent(spoils: bool) -> None:
    """S1: all agents are frozen. A Lease with the labels of one of them and another name is not."""
    world = running_world()
    if spoils:
        world.spoil(P[1])
    world.now += Settings().resync_s
    waited_s: float | None = 0.0
    while not world.deleted_names():
        assert waited_s is not None
        world.intrude(P[3])
        world.now += waited_s
        waited_s = world.settle()
    assert "demo-3-0" in world.deleted_names()


@pytest.mark.parametrize("replicas", [1, 3])
def test_when_all_are_silent_at_once_they_are_replaced_after_9t_and_30_s(replicas: int) -> None:
    """Also in an Active round and without a resync, whenever the last pulse arrived."""
    world = running_world(replicas)
    world.sleep(9 * T)
    world.pulse()
    world.sleep(9 * T - 1)
    world.pulse()
    world.sleep(9 * T + 29)
    assert world.deleted_names() == []
    world.sleep(1)
    assert world.pod_names() == [f"demo-{index}-1" for index in range(replicas)]
    assert world.round().holder == ""


def test_a_job_whose_holder_sends_pulses_costs_no_request_and_one_pass_each_9t() -> None:
    """A pass comes 9T after the last pulse before the pass before it, so 8T after that pass."""
    world = running_world()
    world.live(2 * T)
    passes = world.passes
    world.api.calls.clear()
    world.live(180 * T)
    assert world.api.calls == []
    assert world.passes - passes <= 180 / 8


def test_an_operator_that_was_blind_judges_no_job_for_9t() -> None:
    """The API server was away. The agents are still cut off when the operator is not."""
    world = running_world()
    world.api.refuse["get", "elasticjobs"] = UnavailableError("connection refused")
    world.sleep(600)
    del world.api.refuse["get", "elasticjobs"]
    world.api.calls.clear()
    while not world.api.calls:
        world.sleep(1)
    world.sleep(9 * T - 2)
    assert not any(call.plural == "leases" and call.verb == "list" for call in world.api.calls)
    world.pulse()
    world.api.calls.clear()
    world.sleep(9 * T - 1)
    assert world.api.calls == []


def test_requests_are_rare_while_the_api_server_is_away() -> None:
    world = running_world()
    world.api.refuse["get", "elasticjobs"] = UnavailableError("connection refused")
    world.sleep(9 * T)
    world.api.calls.clear()
    world.sleep(90 * T)
    assert len(world.api.calls) <= 11


def test_agents_that_renew_again_while_they_are_judged_stay() -> None:
    world = running_world()
    world.sleep(9 * T + 25)
    for pod in P[:4]:
        world.renew(pod)
    world.pulse()
    world.sleep(9 * T)
    assert world.deleted_names() == []


def test_an_agent_that_renews_again_is_not_lost_after_the_api_server_was_away() -> None:
    world = running_world()
    world.now += Settings().resync_s
    again_s = world.settle()
    assert again_s is not None
    world.advance(again_s)
    assert world.settle() == 9 * T
    assert world.deleted_names() == []


def test_a_pod_that_is_stuck_while_being_deleted_is_given_up() -> None:
    world = running_world()
    world.delete_pod("demo-1-0")
    again_s = world.settle()
    assert again_s is not None
    world.now += 65
    world.settle()
    assert "demo-1-1" in world.pod_names()


def test_a_pod_blamed_for_three_failures_is_replaced() -> None:
    world = running_world()
    cause = Cause(CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=1, message="no")
    for n in (2, 3, 4):
        assert world.deleted_names() == []
        world.run(*P[:4], n=n, cause=replace(cause, n=n - 1), charged=range(2, n + 1))
        world.settle()
    assert world.deleted_names() == ["demo-1-0"]
    assert world.status()["counted"] == 3
    world.end_deleted()
    world.settle()
    assert "blamed" not in world.status()
    assert "demo-1-1" in world.pod_names()


def test_three_blames_replace_the_pod_of_the_first_failure() -> None:
    """A later version of each round names another pod, which failed before."""
    world = running_world()
    victim = Cause(CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=1, after_ms=1400)
    first = Cause(CauseKind.WORKER_FAILED, pod="demo-2-0", rank=2, code=1, after_ms=1000)
    for n in (2, 3, 4):
        assert world.deleted_names() == []
        for cause in (victim, first):
            world.run(*P[:4], n=n, cause=replace(cause, n=n - 1), charged=range(2, n + 1))
            world.settle()
            assert world.status()["lastFailure"]["pod"] == cause.pod
    assert world.deleted_names() == ["demo-2-0"]
    world.end_deleted()
    world.settle()
    assert "blamed" not in world.status()


def test_rounds_with_lower_numbers_blame_no_pod_again() -> None:
    """Only code in a worker writes such a round; agents do not follow it."""
    world = running_world()
    cause = Cause(CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=1)
    for n in (2, 3):
        world.run(*P[:4], n=n, cause=replace(cause, n=n - 1), charged=range(2, n + 1))
        world.settle()
    assert world.status()["blamed"] == "1x2"
    for n in (1, 2, 1, 3):
        crashed = replace(cause, n=n - 1) if n > 1 else None
        world.run(*P[:4], n=n, cause=crashed, charged=range(2, n + 1))
        world.settle()
        assert (world.status()["blamed"], world.status()["round"]) == ("1x2", 3)
    assert world.deleted_names() == []


def test_a_victim_is_not_blamed_though_the_pod_of_the_first_failure_is_replaced() -> None:
    world = running_world()
    victim = Cause(CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=1, n=1)
    world.run(*P[:4], n=2, cause=victim, charged=[2])
    world.settle()
    assert world.status()["blamed"] == "1x1"
    world.end_pod("demo-2-0")
    world.settle()
    world.run(*P[:4], n=2, cause=replace(victim, pod="demo-2-0"), charged=[2])
    world.settle()
    assert "blamed" not in world.status()


def test_a_cause_that_is_replaced_before_the_operator_reads_it_counts_once() -> None:
    world = running_world()
    victim = Cause(CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=1, n=1)
    world.run(*P[:4], n=2, cause=victim, charged=[2])
    world.run(*P[:4], n=2, cause=replace(victim, pod="demo-2-0"), charged=[2])
    world.settle()
    assert world.status()["blamed"] == "2x1"


# ---- failures ------------------------------------------------------------------------------------


def test_the_last_failure_comes_from_the_cause() -> None:
    world = running_world()
    cause = Cause(
        CauseKind.WORKER_FAILED, pod="demo-1-0", node="node-1", rank=1, code=3, n=1,
        message="E: x\nTraceback",
    )  # fmt: skip
    world.run(*P[:4], n=2, cause=cause, charged=[2])
    world.settle()
    assert world.status()["lastFailure"] == {
        "pod": "demo-1-0",
        "node": "node-1",
        "rank": 1,
        "exitCode": 3,
        "reason": "WorkerFailed",
        "message": "E: x\nTraceback",
        "logCommand": "kubectl logs -n team demo-1-0 -c worker",
        "round": 1,
        "time": world.status()["lastFailure"]["time"],
    }
    assert world.events()["WorkersFailed"] == (
        1,
        "round 1 (4 members) ended: demo-1-0 (rank 1) on node-1: WorkerFailed: E: x; exit code 3;"
        " counted: 1 of maxRestarts 10; round 2 starts with 4 members",
    )
    assert (world.status()["restarts"], world.status()["counted"]) == (1, 1)


def test_the_message_of_a_failure_outlives_its_pod() -> None:
    """Its log is lost with the pod that is replaced; the command to read it is left out then."""
    world = running_world()
    message = "E: x\nTraceback"
    cause = Cause(CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=1, message=message)
    for n in (2, 3, 4):
        world.run(*P[:4], n=n, cause=replace(cause, n=n - 1), charged=range(2, n + 1))
        world.settle()
    assert world.deleted_names() == ["demo-1-0"]
    assert world.status()["lastFailure"]["logCommand"] == "kubectl logs -n team demo-1-0 -c worker"
    world.end_deleted()
    world.settle()
    failure = world.status()["lastFailure"]
    assert (failure["pod"], failure["message"]) == ("demo-1-0", message)
    assert "logCommand" not in failure


def failed_world(kind: CauseKind, message: str) -> World:
    """A job that a worker of demo-1-0 has failed; its agent has not exited yet."""
    world = running_world(maxRestarts=0)
    signal = 9 if kind is CauseKind.WORKER_SIGNALED else None
    code = None if signal else 3
    cause = Cause(kind, "demo-1-0", rank=1, code=code, signal=signal, message=message, n=1)
    world.write_round(Round(2, Phase.FAILED, tuple(map(Member, P[:4])), cause=cause, starts=1))
    world.settle()
    return world


def test_the_whole_message_of_a_worker_is_read_from_its_pod() -> None:
    """A round has less room than a termination message."""
    world = failed_world(CauseKind.WORKER_FAILED, "E: x\n...\nlast")
    whole = "E: x\n" + "\n".join(f"line {n}" for n in range(50))
    record = {"cause": "WorkerFailed", "code": 3, "rank": 1, "message": f"the job failed: {whole}"}
    world.end_pod("demo-1-0", 3, message=json.dumps(record))
    world.settle()
    failure = world.status()["lastFailure"]
    assert (failure["message"], failure["exitCode"]) == (whole, 3)
    world.delete_pod("demo-1-0")
    world.settle()
    assert world.status()["lastFailure"]["message"] == whole


def test_another_worker_of_the_pod_as_the_cause_replaces_a_longer_message() -> None:
    """An agent may replace the cause of a round by an earlier failure in its pod."""
    world = running_world()
    cause = Cause(CauseKind.WORKER_FAILED, "demo-1-0", rank=2, code=1, message="lost a peer", n=1)
    world.run(*P[:4], n=2, cause=cause, charged=[2])
    world.settle()
    world.run(*P[:4], n=2, cause=replace(cause, rank=3, message="E: x"), charged=[2])
    world.settle()
    failure = world.status()["lastFailure"]
    assert (failure["rank"], failure["message"]) == (3, "E: x")


def test_another_end_of_the_pod_is_not_that_of_its_worker() -> None:
    world = failed_world(CauseKind.WORKER_FAILED, "E: x")
    world.end_pod("demo-1-0", 143, message='{"cause": "Leaving", "message": "a longer message"}')
    world.settle()
    failure = world.status()["lastFailure"]
    assert (failure["reason"], failure["message"]) == ("WorkerFailed", "E: x")


def test_the_kubelets_reason_names_the_memory_of_which_a_worker_ran_out() -> None:
    world = failed_world(CauseKind.WORKER_SIGNALED, "ended by SIGKILL")
    record = {"cause": "WorkerSignaled", "message": "the job failed: ended by SIGKILL"}
    world.end_pod("demo-1-0", 137, message=json.dumps(record), reason="OOMKilled")
    world.settle()
    failure = world.status()["lastFailure"]
    assert (failure["reason"], failure["message"]) == ("OOMKilled", "ended by SIGKILL")
    assert (failure["signal"], failure.get("exitCode")) == (9, None)


def test_an_oom_kill_is_read_from_the_pod() -> None:
    world = running_world()
    world.end_pod("demo-1-0", 137, reason="OOMKilled")
    cause = Cause(CauseKind.POD_ENDED, pod="demo-1-0", n=1)
    world.write_round(Round(2, Phase.FORMING, cause=cause, charged=Charges(frozenset({2}))))
    world.settle()
    failure = world.status()["lastFailure"]
    assert (failure["reason"], failure["exitCode"]) == ("OOMKilled", 137)


# ---- leaving -------------------------------------------------------------------------------------


def leave(world: World, pod: Pod) -> None:
    cause = Cause(CauseKind.LEAVING, pod=world.pod_name(pod), n=1)
    world.run(*(p for p in P[:4] if p != pod), n=2, cause=cause)


def test_leaving_a_deleted_pod_is_not_charged() -> None:
    world = running_world(minReplicas=3)
    world.delete_pod("demo-3-0")
    leave(world, P[3])
    world.end_deleted()
    world.settle()
    assert world.desired().charged == frozenset()
    assert world.pod_names()[-1] == "demo-3-1"


def test_leaving_without_an_excuse_is_charged_once() -> None:
    """A failing liveness probe, or `kill 1`."""
    world = running_world(minReplicas=3)
    leave(world, P[3])
    world.settle()
    assert world.desired().charged == frozenset()
    world.end_pod("demo-3-0", 143)
    world.settle()
    assert world.desired().charged == {2}
    assert world.status()["counted"] == 1
    assert world.status()["lastFailure"]["reason"] == "Leaving"
    cause = Cause(CauseKind.LEAVING, pod="demo-3-0", n=1)
    world.run(*P[:3], Pod(3, 1), n=3, cause=cause)
    world.settle()
    assert world.desired().charged == {2}


# ---- changes of the spec -------------------------------------------------------------------------


def test_scale_down_writes_desired_first_and_deletes_pods_when_the_round_is_without_them() -> None:
    world = running_world()
    world.edit(replicas=2)
    assert world.settled_writes() == ["patch leases demo-round", "patch elasticjobs demo/status"]
    assert world.desired().wanted == (P[0], P[1])
    assert world.desired().min_members == 2
    assert world.deleted_names() == []
    world.run(P[0], P[1], n=2, cause=Cause(CauseKind.SCALED))
    world.settle()
    assert world.deleted_names() == ["demo-2-0", "demo-3-0"]
    assert world.status()["counted"] == 0


def test_scale_down_does_not_wait_for_ever() -> None:
    world = running_world()
    world.edit(replicas=2)
    world.live(25 + 9 * T - 1)
    assert world.deleted_names() == []
    world.live(1)
    assert world.deleted_names() == ["demo-2-0", "demo-3-0"]


def test_scale_up_makes_what_is_missing() -> None:
    world = running_world(2)
    world.edit(replicas=3)
    assert world.settled_writes() == [
        "patch leases demo-round",
        "patch elasticjobs demo/status",
        "create pods demo-2-0",
        "patch elasticjobs demo/status",
    ]
    assert world.desired().wanted == (*P[:3],)


def test_scaled_down_and_up_again_is_a_new_generation() -> None:
    world = running_world()
    world.edit(replicas=3)
    world.settle()
    world.run(*P[:3], n=2)
    world.settle()
    world.end_deleted(0)
    world.edit(replicas=4)
    world.settle()
    assert world.pod_names()[-1] == "demo-3-1"
    assert world.desired().wanted == (*P[:3], Pod(3, 1))


def test_suspend_is_one_write_then_the_pods_go_then_it_resumes_with_new_ones() -> None:
    world = running_world()
    world.edit(suspend=True)
    assert world.settled_writes() == ["patch leases demo-round", "patch elasticjobs demo/status"]
    assert (world.desired().wanted, world.status()["phase"]) == ((), "Suspending")
    world.write_round(Round(2, Phase.FORMING, cause=Cause(CauseKind.SUSPENDED), starts=1))
    world.settle()
    assert len(world.deleted_names()) == 4
    world.end_deleted(0)
    world.settle()
    assert world.status()["phase"] == "Suspended"
    assert "agentHash" not in world.status()
    assert world.condition("Suspended") == (
        "True",
        "JobSuspended",
        "all pods have ended; the job continues when spec.suspend is false, with its counters of"
        " failures",
    )
    assert all(world.agent(pod) for pod in P[1:4])  # harmless: no pod is wanted

    world.edit(suspend=False)
    world.settle()
    assert world.pod_names() == [f"demo-{index}-1" for index in range(4)]
    assert world.desired().wanted == tuple(Pod(index, 1) for index in range(4))
    assert {"Suspended", "Resumed"} <= set(world.events())


def test_a_large_job_that_was_suspended_resumes_at_once() -> None:
    """Its pods are gone, and the requests that deleted them are not yet paid for."""
    world = settled_world(replicas=300)
    world.now += 600
    world.edit(suspend=True)
    world.settle()
    assert world.pods() == []
    assert world.status()["phase"] == "Suspended"
    world.edit(suspend=False)
    world.settle()
    assert len(world.pod_names()) == 300


def test_a_new_template_is_one_planned_round_then_new_pods() -> None:
    world = running_world()
    template = {"spec": {"containers": [worker(command=["python3", "other.py"])]}}
    world.edit(template=template)
    world.settle()
    assert (world.desired().wanted, world.status()["phase"]) == ((), "Updating")
    world.write_round(Round(2, Phase.FORMING, cause=Cause(CauseKind.SUSPENDED), starts=1))
    world.settle()
    assert len(world.deleted_names()) == 4
    world.end_deleted(0)
    world.settle()
    assert world.pod_names() == [f"demo-{index}-1" for index in range(4)]
    assert world.desired().wanted == tuple(Pod(index, 1) for index in range(4))
    assert world.pods()[0]["spec"]["containers"][0]["command"][-1] == "other.py"


def test_the_annotation_restart_is_a_new_template() -> None:
    world = running_world()
    world.edit(annotations={names.ANNOTATION_RESTART: "now"})
    world.settle()
    assert world.status()["phase"] == "Updating"


def test_limits_are_followed_live() -> None:
    world = running_world()
    world.edit(maxRestarts=3, crashGraceSeconds=1)
    assert world.settled_writes() == ["patch leases demo-round", "patch elasticjobs demo/status"]
    assert (world.desired().max_restarts, world.desired().crash_grace_s) == (3, 1.0)


def test_a_job_that_was_stored_with_a_launcher_runs_on_with_one_warning() -> None:
    world = World()
    world.store.admission.remove(jobs.admit)  # as before launchers were refused
    container = worker(command=["torchrun", "train.py"])
    world.apply(replicas=2, pod={"containers": [container]})
    world.store.admission.append(jobs.admit)
    world.settle()
    world.start_all()
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-0"]
    assert world.condition("Accepted") == (
        "True",
        "Valid",
        "the spec is valid; Kubernetes judges spec.template when it creates pods",
    )
    count, message = world.events()["LauncherInCommand"]
    assert (count, "torchrun" in message) == (1, True)
    world.edit(replicas=3)
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-1-0", "demo-2-0"]
    assert world.events()["LauncherInCommand"][0] == 2  # of another generation


# ---- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("All", []),
        ("KeepFailed", ["demo-1-0"]),
        ("Running", ["demo-0-0", "demo-1-0", "demo-2-0", "demo-3-0"]),
        ("None", ["demo-0-0", "demo-1-0", "demo-2-0", "demo-3-0"]),
    ],
)
def test_clean_pod_policy_of_a_failed_job(policy: str, kept: list[str]) -> None:
    world = running_world(cleanPodPolicy=policy, maxRestarts=0)
    cause = Cause(
        CauseKind.WORKER_FAILED, pod="demo-1-0", rank=1, code=2, message="exit code 2", n=1
    )
    world.write_round(Round(2, Phase.FAILED, tuple(map(Member, P[:4])), cause=cause, starts=1))
    world.settle()
    for pod in P[:4]:
        world.end_pod(world.pod_name(pod), 2 if pod == P[1] else 1)
    world.settle()
    assert world.pod_names() == kept
    phase = "Failed: demo-1-0 (rank 1): exit code 2 of python3 train.py"
    assert world.status()["phase"] == phase
    why = (
        "demo-1-0 (rank 1): WorkerFailed: exit code 2 of python3 train.py; exceeded maxRestarts (0)"
    )
    if policy != "All":
        why += "; kubectl logs -n team demo-1-0 -c worker"
    why += "; the job does not run again: to repeat it, delete it and create it again"
    assert world.condition("Failed") == ("True", "MaxRestartsExceeded", why)
    assert world.condition("Running") == ("False", "Ended", "the job has ended")
    assert world.events()["Failed"][0] == 1


def test_a_pod_whose_phase_follows_later_has_ended_and_is_kept() -> None:
    world = running_world(cleanPodPolicy="Running")
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    for name in world.pod_names():
        world.set_pod(name, "Running", {"terminated": {"exitCode": 0, "reason": "Completed"}})
    world.settle()
    assert world.status()["phase"] == "Complete"
    assert world.deleted_names() == []
    assert (world.status().get("ready"), world.status()["replicas"]) == (None, 0)


def test_pods_that_do_not_end_are_ended_after_their_time() -> None:
    world = running_world(cleanPodPolicy="Running")
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    again_s = world.settle()
    assert world.deleted_names() == []
    assert again_s == 25 + 15
    world.now += again_s
    world.settle()
    assert len(world.deleted_names()) == 4


def test_a_job_that_has_ended_ignores_later_events() -> None:
    world = running_world(cleanPodPolicy="None")
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    world.settle()
    before = world.status()
    world.edit(replicas=8)
    world.settle()
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    after = world.status()
    assert after["phase"] == before["phase"] == "Complete"
    assert after["completionTime"] == before["completionTime"]
    assert len(world.pods()) == 4


def test_a_job_that_is_being_deleted_is_not_touched() -> None:
    world = running_world()
    world.edit()
    stored = world.api.stored(kube.ELASTIC_JOBS)
    world.store.update(
        stored,
        TEAM,
        "demo",
        lambda old: {**old, "metadata": {**old["metadata"], "finalizers": ["a/b"]}},
    )
    world.store.delete(stored, TEAM, "demo")
    world.end_pod("demo-0-0")
    assert world.settled_writes() == []


def test_a_job_that_is_gone_is_forgotten() -> None:
    world = running_world()
    world.store.delete(world.api.stored(kube.ELASTIC_JOBS), TEAM, "demo")
    world.settle()
    assert world.reconciler.memories == {}


# ---- what others left, or did --------------------------------------------------------------------


AGAIN: Json = {**elastic_job(replicas=1), "metadata": {"name": "demo", "namespace": TEAM}}


def test_a_job_made_again_under_its_name_starts_when_the_pods_of_the_old_one_have_ended() -> None:
    world = running_world(2)
    older_round_uid = world.round().uid
    world.orphan()
    world.apply(AGAIN)
    writes = world.settled_writes()
    assert writes[:1] == ["delete leases demo-round"]
    assert [w for w in writes if "pods" in w] == ["delete pods demo-0-0", "delete pods demo-1-0"]
    assert world.pod_names() == []
    awaited = "waiting for the end of demo-0-0 and 1 more of an older job of this name"
    cure = "if a pod's node is gone, delete the pod with --force"
    assert world.status()["phase"] == shown(f"Pending: {awaited}; {cure}")
    assert world.condition("Stalled")[:2] == ("False", "NotStalled")  # type: ignore[index]
    assert world.condition("PodsReady") == (
        "False",
        "OlderJob",
        f"0/1 pods running; {awaited}; {cure}",
    )
    assert "an older job of this name left the pod" in world.events()["PodsDeleted"][1]
    assert world.settled_writes() == []

    world.end_pod("demo-0-0")
    world.settle()
    assert "demo-1-0 of an older job" in world.status()["phase"]
    world.end_pod("demo-1-0")
    world.settle()
    assert world.round().uid != older_round_uid
    assert world.round().round.n == 0
    assert world.pod_names() == ["demo-0-0"]


def test_the_rights_of_an_orphaned_group_become_those_of_the_job_that_replaces_it() -> None:
    """The last deletion deletes them."""
    world = running_world(1)
    world.orphan()
    world.apply(AGAIN)
    world.settle()
    for kind in (kube.SERVICE_ACCOUNTS, kube.ROLE_BINDINGS):
        owner = world.store.get(world.api.stored(kind), TEAM, "elasticjob-demo")["metadata"]
        assert [o["uid"] for o in owner["ownerReferences"]] == [world.job()["metadata"]["uid"]]


def test_a_pod_of_an_older_job_is_deleted_and_delays_no_job_that_runs() -> None:
    """As an operator of an earlier release left two groups under one name."""
    world = running_world(2)
    body = world.store.get(world.api.stored(kube.PODS), TEAM, "demo-0-0")
    labels = {**body["metadata"]["labels"], names.LABEL_JOB_UID: "an-older-uid"}
    meta = {"name": "demo-9-0", "labels": labels}
    world.store.create(world.api.stored(kube.PODS), TEAM, {"metadata": meta, "spec": body["spec"]})
    assert world.settled_writes()[:1] == ["delete pods demo-9-0"]
    world.end_pod("demo-1-0")
    world.settle()
    assert "demo-1-1" in world.pod_names()


def test_a_running_job_keeps_a_pod_that_has_lost_its_owner() -> None:
    """The collector removes owners before it deletes a job with --cascade=orphan."""
    world = running_world(2)
    world.change_meta(kube.PODS, "demo-0-0", ownerReferences=[])
    assert world.settled_writes() == []


def test_a_pod_that_is_labelled_as_another_jobs_is_fenced_and_replaced() -> None:
    world = running_world(2)
    labels = world.store.get(world.api.stored(kube.PODS), TEAM, "demo-1-0")["metadata"]["labels"]
    world.change_meta(kube.PODS, "demo-1-0", labels={**labels, names.LABEL_JOB: "other"})
    world.settle()
    assert world.mark(P[1])
    assert world.pod_names() == ["demo-0-0", "demo-1-0", "demo-1-1"]


def test_a_pod_without_an_agent_is_not_deleted_although_it_has_the_labels_of_a_job() -> None:
    world = running_world(1)
    labels = {names.LABEL_JOB: "demo", names.LABEL_JOB_UID: "an-older-uid"}
    spec = {"containers": [{"name": "a", "image": "b"}]}
    body = {"metadata": {"name": "demo-7-0", "labels": labels}, "spec": spec}
    world.store.create(world.api.stored(kube.PODS), TEAM, body)
    assert world.settled_writes() == []


def test_a_deleted_round_comes_back_far_above_all_that_was_seen() -> None:
    world = running_world()
    world.run(*P[:4], n=7, starts=3, charged=[5, 6])
    world.settle()
    world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-round")
    world.settle()
    round_ = world.round().round
    assert (round_.n, round_.phase, round_.starts) == (1007, Phase.FORMING, 3)
    assert round_.charged.numbers == {5, 6}
    assert world.pod_names() == [world.pod_name(pod) for pod in P[:4]]


def test_a_deleted_round_comes_back_after_a_restart_of_the_operator_too() -> None:
    world = running_world()
    world.run(*P[:4], n=7, starts=3)
    world.settle()
    world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-round")
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert (world.round().round.n, world.round().round.starts) == (1007, 3)


def test_the_number_of_a_round_is_in_the_status_before_the_round_exists() -> None:
    """So no other operator uses it again, if this one ends between both writes."""
    world = running_world()
    world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-round")
    reserved, created, *_ = world.settled_writes()
    assert (reserved, created) == ("patch elasticjobs demo/status", "create leases demo-round")


def test_a_taken_name_means_the_next_generation() -> None:
    world = World()
    world.store.create(
        world.api.stored(kube.PODS),
        TEAM,
        {"metadata": {"name": "demo-0-0"}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
    )
    world.apply(replicas=1)
    world.settle()
    assert "demo-0-1" in world.pod_names()


def test_an_account_that_belongs_to_no_job_is_not_used() -> None:
    world = World()
    accounts = world.api.stored(kube.SERVICE_ACCOUNTS)
    world.store.create(accounts, TEAM, {"metadata": {"name": "elasticjob-demo"}})
    world.apply(replicas=1)
    world.settle()
    assert world.pod_names() == []
    assert (
        world.status()["phase"]
        == "Pending: no pods can be created: the ServiceAccount elasticjob-demo..."
    )
    why = "ServiceAccount elasticjob-demo exists and belongs to no job"
    assert why in world.condition("PodsReady")[2]  # type: ignore[index]
    world.store.delete(accounts, TEAM, "elasticjob-demo")
    world.now += 1
    world.settle()
    assert world.pod_names() == ["demo-0-0"]


def test_an_account_in_the_template_is_refused_unless_it_is_listed() -> None:
    world = World(Settings(heartbeat_s=T, template_accounts=("coach",)))
    world.apply(pod={"containers": [worker()], "serviceAccountName": "trainer"})
    assert world.settled_writes() == ["patch elasticjobs demo/status"]
    assert world.status()["phase"].startswith("Invalid: spec.template.spec.serviceAccountName")
    assert "add trainer to templateServiceAccounts" in world.condition("Accepted")[2]
    trainer = {"metadata": {"name": "trainer"}}
    world.store.create(world.api.stored(kube.SERVICE_ACCOUNTS), TEAM, trainer)
    world.restart(Settings(heartbeat_s=T, template_accounts=("coach", "trainer")))
    world.settle()
    assert world.condition("Accepted")[0] == "True"


def test_a_mark_made_by_an_operator_that_died_then_is_not_made_twice() -> None:
    world = running_world()
    world.end_pod("demo-2-0")
    version = world.lease("demo-2-0")["metadata"]["resourceVersion"]
    patch = ended_patch(world.job_identity(), world.round().uid, EndedMark("earlier"), version)
    world._patch_lease("demo-2-0", patch)
    world.restart(Settings(heartbeat_s=T))
    assert "patch leases demo-2-0" not in world.settled_writes()
    assert "demo-2-1" in world.pod_names()


def test_a_mark_belongs_to_the_round_lease_that_came_back() -> None:
    """Garbage collection deletes what the deleted Round Lease owned."""
    world = running_world()
    world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-round")
    world.settle()
    world.remove_pod("demo-2-0")
    world.settle()
    (owner,) = world.lease("demo-2-0")["metadata"]["ownerReferences"]
    assert owner["uid"] == world.round().uid


def test_a_status_that_a_user_changed_is_corrected() -> None:
    world = running_world()
    stored = world.api.stored(kube.ELASTIC_JOBS)
    world.store.update(
        stored,
        TEAM,
        "demo",
        lambda old: {**old, "status": {**old["status"], "phase": "?"}},
        "status",
    )
    world.settle()
    assert world.status()["phase"] == "Running"


@pytest.mark.parametrize("field", ["generations", "blamed"])
def test_a_record_in_the_status_that_cannot_be_read_is_made_again(field: str) -> None:
    world = running_world()
    jobs = world.api.stored(kube.ELASTIC_JOBS)

    def change(old: Json) -> Json:
        return {**old, "status": {**old["status"], field: "garbage"}}

    world.store.update(jobs, TEAM, "demo", change, "status")
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert (world.status()["phase"], world.round().round.n) == ("Running", 1)
    world.end_pod("demo-1-0")
    world.settle()
    assert "demo-1-1" in world.pod_names()
    assert world.status()["generations"] == "0@1,1@2,2-3@1"


def test_only_the_named_job_is_reconciled() -> None:
    world = World()
    world.apply(replicas=1)
    world.apply(elastic_job("other", replicas=1))
    world.settle(KEY)
    assert world.pod_names() == ["demo-0-0"]


# ---- deliveries while the API server answers -----------------------------------------------------


def after_answer(
    world: World,
    resource: kube.Resource,
    happens: Callable[[], object],
    when: Callable[[], bool] = lambda: True,
) -> None:
    """Something happens once, after the API server has answered a GET, and before the operator
    receives the answer."""
    once, real = [happens], world.api.get

    async def get(asked: kube.Resource, *values: str) -> Json:
        try:
            return await real(asked, *values)
        finally:
            if asked == resource and once and when():
                once.pop()()

    world.api.get = get  # type: ignore[method-assign]


def test_a_round_that_is_delivered_while_a_pass_reads_is_not_replaced_by_an_older_one() -> None:
    """A final round has no pulses after it, which would deliver it again."""
    world = running_world()
    last = replace(world.round().round, n=2, phase=Phase.SUCCEEDED)
    world.edit(maxRestarts=9)
    written = lambda: world.desired().max_restarts == 9  # noqa: E731
    after_answer(world, kube.LEASES, lambda: world.write_round(last), written)
    world.settle()
    assert world.status()["phase"] == "Complete"


def test_a_round_that_is_gone_while_a_pass_reads_does_not_return() -> None:
    world = running_world()
    world.edit(maxRestarts=9)
    rounds = world.api.stored(kube.LEASES)
    delete = lambda: world.store.delete(rounds, TEAM, world.round_name())  # noqa: E731
    after_answer(world, kube.LEASES, delete)
    with pytest.raises(NotFoundError):
        world.settle()
    entry = world.cache.entry(KEY)
    assert entry is not None
    assert entry.round is None


def test_a_job_that_is_made_again_while_a_pass_finds_none_starts() -> None:
    """`kubectl replace --force`: its name had no job when the API server answered."""
    world = settled_world(replicas=1)
    world.end_pod("demo-0-0")
    world.watches_fail = True
    world.store.delete(world.api.stored(kube.ELASTIC_JOBS), TEAM, "demo")
    world.store.delete(world.api.stored(kube.LEASES), TEAM, world.round_name())
    world.watches_fail = False
    after_answer(world, kube.ELASTIC_JOBS, lambda: world.apply(AGAIN))
    world.settle()
    world.settle()
    assert world.condition("Accepted") is not None
    assert len(world.pod_names()) == 1
