"""What the events and status.recentFailures of a job keep of its history, pass after pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import T
from tests.support.world import P, World, refusal, running_world

from elasticjob.controller import kube
from elasticjob.controller.kube import KubeError
from elasticjob.controller.report.journal import AT_ONCE
from elasticjob.controller.settings import Settings
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Recovery, Report
from elasticjob.wire.round import Phase, Round


def crash(world: World, n: int, charged_from: int = 2, **fields: Any) -> None:
    """A worker fails, which ends round n - 1; the next round starts."""
    made = {"pod": "demo-1-0", "rank": 1, "code": 3, "message": f"E{n}", "n": n - 1}
    cause = Cause(CauseKind.WORKER_FAILED, **made)
    world.run(*P[:4], n=n, cause=cause, charged=range(charged_from, n + 1), **fields)


def recover(world: World, n: int) -> None:
    """All members run round n."""
    world.report(Report(n, tuple(P[:4]), Recovery(n, 2, 30, 0, 500), outside=True))


def messages(world: World, reason: str) -> list[str]:
    return [e["message"] for e in world.event_objects() if e["reason"] == reason]


def by_creation(world: World) -> list[Json]:
    """The Event objects of the job in the order of the requests that created them."""
    calls = [c.what for c in world.api.calls if (c.verb, c.plural) == ("create", "events")]
    found = {event["metadata"]["name"]: event for event in world.event_objects()}
    return [found[name] for name in dict.fromkeys(calls)]


def listed(world: World) -> list[int]:
    return [each["round"] for each in world.status().get("recentFailures", [])]


def test_an_earlier_failure_that_replaces_the_cause_corrects_the_event() -> None:
    world = running_world()
    crash(world, 2)
    world.settle()
    first = Cause(CauseKind.WORKER_FAILED, pod="demo-0-0", rank=0, code=1, message="first", n=1)
    world.write_round(replace(world.round().round, cause=first))
    world.settle()
    (event,) = (e for e in world.event_objects() if e["reason"] == "WorkersFailed")
    assert "demo-0-0 (rank 0) on node-1: WorkerFailed: first" in event["message"]
    assert event["count"] == 1
    (failure,) = world.status()["recentFailures"]
    assert failure["pod"] == world.status()["lastFailure"]["pod"] == "demo-0-0"


def test_a_crash_that_a_later_loss_explains_corrects_its_event_and_no_other() -> None:
    world = running_world()
    crash(world, 2)
    world.settle()
    recover(world, 2)
    world.settle()
    before = [event["metadata"]["name"] for event in world.event_objects()]
    lost = Cause(CauseKind.POD_SILENT, pod="demo-3-0", message="silent", n=2)
    world.run(*P[:4], n=3, cause=lost, charged=[3])
    world.settle()
    (earlier,) = (e for e in world.event_objects() if e["reason"] == "WorkersFailed")
    assert "not counted: the loss of a pod explains it; round 2 runs with" in earlier["message"]
    assert earlier["count"] == 1
    new = [e for e in world.event_objects() if e["metadata"]["name"] not in before]
    assert [event["reason"] for event in new] == ["PodsLost"]
    (first,) = (x for x in world.status()["recentFailures"] if x["round"] == 1)
    assert (first["counted"], first["notCounted"]) == (False, "FollowedPodLoss")


def test_an_event_of_an_earlier_round_that_has_expired_is_not_created_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would seem to have happened now. Nothing is wrong, so no log line warns."""
    world = running_world()
    crash(world, 2)
    world.settle()
    expire_events(world)
    lost = Cause(CauseKind.POD_SILENT, pod="demo-3-0", message="silent", n=2)
    world.run(*P[:4], n=3, cause=lost, charged=[3])
    world.settle()
    assert messages(world, "WorkersFailed") == []
    assert len(messages(world, "PodsLost")) == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_last_round_whose_event_has_expired_gets_none_when_only_the_verdict_changes() -> None:
    world = running_world()
    crash(world, 2)
    world.settle()
    expire_events(world)
    first = Cause(CauseKind.WORKER_FAILED, pod="demo-0-0", rank=0, code=1, message="first", n=1)
    world.write_round(replace(world.round().round, cause=first))
    world.settle()
    assert world.status()["recentFailures"][0]["pod"] == "demo-0-0"
    assert world.event_objects() == []


def test_a_status_with_the_words_of_an_earlier_release_changes_no_event() -> None:
    """An operator that starts knows less of the round than the one that wrote the event."""
    world = running_world()
    leaving = Cause(CauseKind.LEAVING, pod="demo-1-0", n=1)
    world.delete_pod("demo-1-0")
    world.write_round(Round(2, Phase.FORMING, cause=leaving, starts=1))
    world.end_deleted()
    world.settle()
    world.run(P[0], Pod(1, 1), *P[2:4], n=3, cause=leaving, starts=2)
    world.settle()
    before = world.event_objects()
    rename_verdicts(world, "Excused")
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert [x["notCounted"] for x in world.status()["recentFailures"]] == ["DeletedOrEvicted"]
    assert world.event_objects() == before


def expire_events(world: World) -> None:
    for event in world.event_objects():
        world.store.delete(world.api.stored(kube.EVENTS), "team", event["metadata"]["name"])


def rename_verdicts(world: World, word: str) -> None:
    def change(old: Json) -> Json:
        found = [{**each, "notCounted": word} for each in old["status"]["recentFailures"]]
        return {**old, "status": {**old["status"], "recentFailures": found}}

    world.store.update(world.api.stored(kube.ELASTIC_JOBS), "team", "demo", change, "status")


def test_the_names_of_events_are_in_the_order_of_rounds() -> None:
    """So `kubectl get events --sort-by=.metadata.name` shows them in this order."""
    world = running_world()
    for n in (2, 3, 4):
        crash(world, n)
        world.settle()
    created = [event["metadata"]["name"] for event in by_creation(world)]
    assert len(created) == 6
    assert created == sorted(created)


def test_a_request_that_is_still_refused_after_restarts_of_the_operator_is_one_event() -> None:
    world = running_world()
    world.api.refuse["delete", "pods"] = refusal("no")
    world.edit(suspend=True)
    world.write_round(Round(2, Phase.FORMING, cause=Cause(CauseKind.SUSPENDED), starts=1))
    for _ in range(3):
        world.restart(Settings(heartbeat_s=T))
        world.settle()
    (event,) = (e for e in world.event_objects() if e["reason"] == "RequestRefused")
    assert event["count"] == 3


def test_what_pods_do_follows_the_actions_that_caused_it_in_one_report() -> None:
    world = running_world()
    world.api.refuse["patch", "elasticjobs"] = kube.error_of(409, "Conflict", "PATCH: 409", "no")
    world.edit(suspend=True)
    world.write_round(Round(2, Phase.FORMING, cause=Cause(CauseKind.SUSPENDED), starts=1))
    fail_once(world)
    world.end_deleted(0)
    fail_once(world)
    del world.api.refuse["patch", "elasticjobs"]
    world.settle()
    found = by_creation(world)[-3:]
    assert [event["reason"] for event in found] == ["WorkersStopped", "PodsDeleted", "Suspended"]
    assert found == sorted(found, key=lambda event: str(event["metadata"]["name"]))


def test_each_restart_is_one_event_and_one_failure() -> None:
    world = running_world()
    for n in (2, 3, 4):
        crash(world, n)
        world.settle()
        recover(world, n)
        world.settle()
        world.now += 60
    assert listed(world) == [3, 2, 1]
    found = messages(world, "WorkersFailed")
    assert [text.partition(" (")[0] for text in found] == ["round 1", "round 2", "round 3"]
    assert all("runs with 4 members after 532 ms" in text for text in found)
    assert [text.partition("counted: ")[2][:1] for text in found] == ["1", "2", "3"]
    times = [e["lastTimestamp"] for e in world.event_objects() if e["reason"] == "WorkersFailed"]
    assert len(set(times)) == 3
    reasons = [event["reason"] for event in world.event_objects()]
    assert [*dict.fromkeys(reasons)] == ["PodsCreated", "Running", "WorkersFailed", "PodsDeleted"]
    assert world.events()["Running"] == (1, "all 4 members are running round 1")


def test_a_restart_costs_four_requests_for_events() -> None:
    world = running_world()
    world.api.calls.clear()
    crash(world, 2)
    world.settle()
    recover(world, 2)
    world.settle()
    verbs = [call.verb for call in world.api.calls if call.plural == "events"]
    assert verbs == ["create", "create", "get", "patch"]


def test_crashes_between_two_passes_are_all_reported() -> None:
    world = running_world()
    for n in (2, 3, 4, 5):
        crash(world, n)
    world.settle()
    assert len(messages(world, "WorkersFailed")) == 4
    assert listed(world) == [4, 3, 2, 1]
    count = "elasticjob_failures_total"
    assert world.metrics.registry.get_sample_value(count, {"cause": "WorkerFailed"}) == 4


def test_crashes_while_no_operator_watched_are_said_to_be_missed() -> None:
    world = running_world()
    crash(world, 2)
    world.settle()
    world.watches_fail = True
    for n in (3, 4, 5):
        crash(world, n)
    world.watches_fail = False
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    missed = "the operator did not observe rounds 3 to 4; 2 of their failures count against"
    assert messages(world, "RoundsNotObserved") == [f"{missed} maxRestarts"]
    found = messages(world, "WorkersFailed")
    assert [text.partition(" (")[0] for text in found] == ["round 1", "round 4 ended: demo-1-0"]
    reasons = [(x["round"], x["reason"]) for x in world.status()["recentFailures"]]
    assert reasons == [(4, "WorkerFailed"), (3, "Unknown"), (2, "Unknown"), (1, "WorkerFailed")]
    assert world.settled_writes() == []


def test_failures_before_the_round_lease_was_lost_are_reported_and_no_others() -> None:
    world = running_world()
    crash(world, 2)
    world.store.delete(world.api.stored(kube.LEASES), "team", world.round_name())
    world.settle()
    assert world.status()["round"] == 1002
    assert listed(world) == [1]
    assert len(messages(world, "WorkersFailed")) == 1
    assert messages(world, "RoundsNotObserved") == []


def fail_once(world: World) -> None:
    """One pass, which fails."""
    with pytest.raises(KubeError):
        world.settle()


def test_what_happened_is_reported_though_the_answer_to_the_status_was_lost() -> None:
    world = running_world()
    crash(world, 2)
    world.api.lose.append(("patch", "elasticjobs"))
    fail_once(world)
    assert listed(world) == [1]
    assert messages(world, "WorkersFailed") == []
    world.settle()
    assert len(messages(world, "WorkersFailed")) == 1
    assert listed(world) == [1]
    count = "elasticjob_failures_total"
    assert world.metrics.registry.get_sample_value(count, {"cause": "WorkerFailed"}) == 1


def test_what_happened_is_reported_though_the_status_was_refused() -> None:
    """The job has changed since the pass has read it, for example."""
    world = running_world()
    world.end_pod("demo-1-0")
    crash(world, 2)
    world.api.refuse["patch", "elasticjobs"] = kube.error_of(409, "Conflict", "PATCH: 409", "no")
    for _ in range(2):
        fail_once(world)
    del world.api.refuse["patch", "elasticjobs"]
    world.settle()
    assert messages(world, "PodsReplaced") == [
        "created demo-1-1, each in place of the last pod of its index"
    ]
    assert len(messages(world, "WorkersFailed")) == 1


def test_an_event_whose_answer_was_lost_is_one_occurrence() -> None:
    world = running_world()
    crash(world, 2)
    world.api.lose.append(("create", "events"))
    world.settle()
    recover(world, 2)
    world.settle()
    (event,) = (e for e in world.event_objects() if e["reason"] == "WorkersFailed")
    assert event["count"] == 1
    assert "round 2 runs with 4 members" in event["message"]


def test_an_event_that_has_expired_is_created_again_when_the_job_has_recovered() -> None:
    """An API server keeps Events for an hour; a job may wait for a pod for longer."""
    world = running_world()
    crash(world, 2)
    world.settle()
    for event in world.event_objects():
        world.store.delete(world.api.stored(kube.EVENTS), "team", event["metadata"]["name"])
    recover(world, 2)
    world.settle()
    assert len(messages(world, "WorkersFailed")) == 1


@pytest.mark.parametrize(
    ("every_s", "rounds"), [pytest.param(0.3, 120, marks=pytest.mark.slow), (0.3, 40), (300.0, 12)]
)
def test_the_events_of_a_crash_loop_are_bounded(every_s: float, rounds: int) -> None:
    """200 restarts a minute, or one in 300 s for an hour."""
    world = running_world(maxRestarts=10_000)
    for n in range(2, rounds + 2):
        crash(world, n, charged_from=max(2, n - 60))
        world.sleep(every_s)
    world.sleep(60)
    found = [e for e in world.event_objects() if e["reason"] == "WorkersFailed"]
    assert len(found) <= AT_ONCE + 1
    assert sum(event["count"] for event in found) == rounds
    assert [x["round"] for x in world.status()["recentFailures"]] == [*range(rounds, 0, -1)][:10]


def test_pulses_of_a_job_with_failures_cost_no_writes() -> None:
    world = running_world()
    crash(world, 2)
    world.settle()
    world.api.calls.clear()
    world.live(20 * T)
    assert world.api.writes == []
    assert [call for call in world.api.calls if call.plural == "events"] == []


# ---- plans ---------------------------------------------------------------------------------------


def test_a_planned_restart_is_one_event_and_no_failure() -> None:
    world = running_world()
    cause = Cause(CauseKind.SCALED, message="1 member no longer wanted")
    world.edit(replicas=3)
    world.run(*P[:3], n=2, cause=cause)
    world.settle()
    assert messages(world, "MembersScaled") == [
        "round 1 (4 members) ended: 1 member no longer wanted;"
        " round 2 starts with 3 members (without demo-3-0)"
    ]
    assert listed(world) == []


def test_a_suspension_is_reported_from_its_begin_to_its_end() -> None:
    world = running_world()
    world.edit(suspend=True)
    world.settle()
    world.write_round(Round(2, Phase.FORMING, cause=Cause(CauseKind.SUSPENDED), starts=1))
    world.settle()
    world.end_deleted(0)
    world.settle()
    world.edit(suspend=False)
    world.settle()
    world.start_all()
    new = [Pod(index, 1) for index in range(4)]
    for pod in new:
        world.join(pod, 2)
    world.run(*new, n=3, cause=Cause(CauseKind.SUSPENDED))
    world.settle()
    reasons = [event["reason"] for event in world.event_objects()]
    wanted = ["WorkersStopped", "PodsDeleted", "Suspended", "Resumed", "PodsCreated", "Running"]
    assert [each for each in reasons if each in wanted][-len(wanted) :] == wanted
    assert messages(world, "WorkersStopped") == [
        "round 1 (4 members) ended: the job is suspended;"
        " no round is active until the job is resumed"
    ]
    assert messages(world, "Running")[-1] == "all 4 members are running round 3"


def test_a_departure_is_one_event_from_the_loss_to_the_recovery() -> None:
    world = running_world()
    world.delete_pod("demo-1-0")
    cause = Cause(CauseKind.LEAVING, pod="demo-1-0", n=1)
    forms = Round(2, Phase.FORMING, cause=cause, starts=1)
    world.write_round(forms)
    world.settle()
    world.end_deleted()
    world.settle()
    world.start_all()
    world.join(Pod(1, 1), 2)
    members = (P[0], Pod(1, 1), P[2], P[3])
    world.run(*members, n=3, cause=cause)
    world.report(Report(3, members, Recovery(3, 2, 30, 900, 68), outside=True))
    world.settle()
    assert messages(world, "PodsLeft") == [
        "round 1 (4 members) ended: demo-1-0 on node-1: Leaving; not counted: the pod was deleted,"
        " evicted or preempted; round 3 runs with 4 members (without demo-1-0, with demo-1-1) after"
        " 1000 ms (detection 2 ms, stop 30 ms, rendezvous 900 ms, start 68 ms)"
    ]
