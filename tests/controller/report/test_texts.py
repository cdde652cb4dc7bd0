"""The tables of texts: their form, and that the code uses each entry and fills in its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import Any

import pytest
from tests.support.jobs import elastic_job, worker
from tests.support.protocol import T, active
from tests.support.snapshots import AT, NOW, ended, observed_pod, remembered, snapshot
from tests.support.words_to_avoid import found_in

from elasticjob.api.conditions import CONDITIONS
from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe import parse
from elasticjob.controller.observe.containers import ContainerState, InitContainer, WorkerContainer
from elasticjob.controller.observe.memory import Lasting, Restart, Since
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.plan.actions import CreatePod, DeletePod, Deletion, ListLeases
from elasticjob.controller.report import (
    conditions,
    events,
    round_events,
    state,
    status,
    texts,
)
from elasticjob.controller.report.journal import Note
from elasticjob.controller.report.pods import problems
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Phase, Round

P0 = Pod(0, 0)
# Of the event of a round.
PARTS = ("SUSPENDED", "TEMPLATE_CHANGED", "COUNTED", "WAITS", "WAITS_SUSPENDED", "STARTS", "RUNS")
PARTS += ("DELAY", "NEVER_RAN", "COUNTED_AT_START")
REFUSED = ("QuotaExceeded", "PodsRefused")


def templates() -> Iterator[tuple[str, str]]:
    """Every text of every table with its place."""
    for type_, rows in texts.CONDITIONS.items():
        yield from ((f"{type_}/{reason}", template) for reason, (_, template) in rows.items())
    yield from ((f"event {reason}", template) for reason, (_, template) in texts.EVENTS.items())
    yield from ((f"problem {reason}", template) for reason, template in texts.PROBLEMS.items())
    yield from ((f"deletion {why.name}", template) for why, template in texts.DELETIONS.items())
    yield from ((f"not counted {why}", text) for why, text in texts.NOT_COUNTED.items())
    yield from ((f"obstruction {why}", text) for why, text in texts.OBSTRUCTIONS.items())
    for reason, (text, message) in texts.AWAITED.items():
        yield from ((f"wait {reason}", each) for each in (text, message))
    single = (
        "NO_PODS", "EXCEEDED", "UNREADABLE_ROUND", "OVER_BUDGET", "RETRIES", "REFUSES", "STAYS",
        "REPLACES", "TRIES_AGAIN", "CORRECT_INIT", "FREE_NODES",
        "CREATED_AGAIN", "COUNTED_AT_START", "NEVER_TRAINED", "BLAMED", "NEW_JOB", "MEMBERS",
        "NO_PULSE", "NO_PULSE_SHORT", *PARTS,
    )  # fmt: skip
    yield from ((name, getattr(texts, name)) for name in single)


def filled(template: str) -> str:
    return template.format(**{name: "x" for _, name, _, _ in Formatter().parse(template) if name})


def test_each_text_starts_in_lower_case_and_has_no_full_stop() -> None:
    for place, template in templates():
        text = filled(template)
        assert not text.endswith("."), place
        assert text[:1] == text[:1].lower(), place
        assert found_in(text) == [], place
        assert "\n" not in text, place


def test_every_reason_is_one_camel_case_word() -> None:
    reasons = {*texts.EVENTS, *texts.PROBLEMS, *(r for c in texts.CONDITIONS.values() for r in c)}
    reasons |= {kind.value for kind in CauseKind}
    assert {r for r in reasons if not re.fullmatch(r"([A-Z][a-z]+)+|\*", r)} == set()


def test_reasons_differ() -> None:
    """A word is the reason of one condition only, unless it is a state of the whole job."""
    found = [reason for rows in texts.CONDITIONS.values() for reason in rows]
    once = [reason for reason in found if reason not in ("Ended", "JobSuspended", texts.ANY)]
    assert len(once) == len(set(once))


def test_every_deletion_has_its_text() -> None:
    assert set(texts.DELETIONS) == set(Deletion)
    assert len(set(texts.DELETIONS.values())) == len(Deletion)


# ---- the API reference ---------------------------------------------------------------------------


def reference(type_: str) -> set[str]:
    return set(CONDITIONS[type_].reasons)


@pytest.mark.parametrize("type_", texts.CONDITIONS)
def test_the_api_reference_has_every_reason(type_: str) -> None:
    """Of types with further reasons than those in the table of texts: also these."""
    listed = set(texts.CONDITIONS[type_]) - {texts.ANY}
    more = {
        "PodsReady": set(texts.PROBLEMS) - {texts.ANY} | {"OlderJob"},
        "Degraded": {"CoolingDown", "LastCall", "WaitingForReplacement", *REFUSED, "Unschedulable"}
        | {"TemplateRefused"},
        "Restarting": set(texts.AWAITED) - {"CoolingDown"} | {"QuotaExceeded"},
        "Stalled": set(texts.PROBLEMS) - {texts.ANY, "InitContainerRunning", "PodsEnded"}
        | {"QuotaExceeded", "AgentsSilent", "LeaseUnreadable"}
        | {"DeletionBlocked"},
        "Obstructed": set(texts.OBSTRUCTIONS),
        "Failed": {
            state.MAX_RESTARTS_EXCEEDED,
            state.MAX_START_RESTARTS_EXCEEDED,
            state.START_FAILED,
        },
    }
    assert reference(type_) == listed | more.get(type_, set())


def test_the_api_reference_has_every_condition() -> None:
    assert set(CONDITIONS) == set(texts.CONDITIONS)
    assert len(CONDITIONS) <= 16  # as many as the schema of the status allows


# ---- the code uses every entry -------------------------------------------------------------------

STUCK = WorkerContainer(ContainerState.WAITING, "ErrImagePull", "m")
UNSUPPORTED = ended(0, reason="Unsupported", message="env KEY: secretKeyRef")
SETUP = ended(75, message="Python 3.6 is too old")
WAITS = WorkerContainer(ContainerState.WAITING, "PodInitializing")
FAILS = InitContainer("fetch", ContainerState.TERMINATED, "Error", exit_code=42)
RUNNING = InitContainer("fetch", ContainerState.RUNNING)
STORM = tuple(Restart(n, CauseKind.LEAVING, NOW - 1) for n in range(13))
FAILED = Round(2, Phase.FAILED, cause=Cause(CauseKind.WORKER_FAILED, "demo-0-0", rank=0, code=1))
RUNS = Report(1, (P0,))
UNREADABLE = remembered(unreadable_leases={"demo-0-0": "agent is not JSON"})
OBSTRUCTED = {
    "conditions": [
        {
            "type": "Obstructed",
            "status": "True",
            "reason": "LeaseUnreadable",
            "message": "x",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
}
SNAPSHOTS = [
    snapshot(observed_pod(0), report=RUNS),
    snapshot(observed_pod(0), report=Report(1, failed=(P0,))),
    snapshot(observed_pod(0)),
    snapshot(observed_pod(0), round_=Round(), replicas=2),
    snapshot(observed_pod(0), round_=active(2, [P0])),
    snapshot(observed_pod(0), round_=Round(3, starts=2)),
    snapshot(observed_pod(0), observed_pod(1), round_=active(1, [P0]), minReplicas=1, report=RUNS),
    snapshot(
        observed_pod(0),
        observed_pod(1, unschedulable="x"),
        round_=active(1, [P0]),
        minReplicas=1,
        report=RUNS,
    ),
    snapshot(
        observed_pod(0),
        report=RUNS,
        holder="demo-0-0",
        memory=remembered(since={Since(Lasting.SAME_PULSE, ""): NOW - 9 * T}),
    ),
    snapshot(observed_pod(0, container=STUCK), round_=Round()),
    snapshot(observed_pod(0, container=SETUP), round_=Round()),
    snapshot(observed_pod(0, container=UNSUPPORTED), round_=Round()),
    snapshot(observed_pod(0, container=ended(1)), round_=Round()),
    snapshot(observed_pod(0, container=WAITS, init=FAILS), round_=Round()),
    snapshot(observed_pod(0, container=WAITS, init=RUNNING), round_=Round()),
    snapshot(observed_pod(0, unschedulable="x"), round_=Round(), replicas=2),
    snapshot(observed_pod(0), memory=remembered(restarts=STORM)),
    snapshot(observed_pod(0), memory=UNREADABLE),
    snapshot(observed_pod(0), status=OBSTRUCTED),
    snapshot(observed_pod(0), suspend=True),
    snapshot(observed_pod(0), suspend=True, report=RUNS),
    snapshot(suspend=True),
    snapshot(observed_pod(0, template_hash="old", template_fields="old")),
    snapshot(observed_pod(0), round_=Round(2, Phase.SUCCEEDED)),
    snapshot(observed_pod(0), round_=FAILED, maxRestarts=0),
]
INVALID = parse.job(elastic_job(replicas=-1))


def found_conditions() -> Iterator[tuple[str, str]]:
    for each in SNAPSHOTS:
        yield from ((c.type, c.reason) for c in conditions.of(each, state.of(each)))
    yield from ((c.type, c.reason) for c in conditions.of_invalid(INVALID, AT))
    yield from ((c.type, c.reason) for c in conditions.of_unreadable_round(INVALID, "x", AT))


def test_every_condition_is_reached() -> None:
    listed = {(type_, reason) for type_, rows in texts.CONDITIONS.items() for reason in rows}
    found = set(found_conditions())
    others = {(type_, texts.ANY) for type_, _ in found - listed}
    assert (found & listed) | others == listed


def test_every_word_of_status_is_reached() -> None:
    found = [state.of(each).word for each in SNAPSHOTS]
    found += [state.of_invalid(INVALID).word, state.of_unreadable_round(INVALID, "x").word]
    assert set(found) == set(texts.Word)


def test_every_problem_of_pods_is_reached() -> None:
    """PodsRefused is reached in test_status.py."""
    made = [problems.most_frequent(each) for each in SNAPSHOTS]
    found = {problem.reason for problem in made if problem}
    assert found - {"ErrImagePull"} | {texts.ANY} == set(texts.PROBLEMS) - {"PodsRefused"}


def status_with(*types: str, truth: str = "True", **fields: Any) -> ElasticJobStatus:
    """A status with conditions of these types."""
    made = {"reason": "X", "message": "m", "lastTransitionTime": AT, "status": truth}
    found = [{"type": type_, **made} for type_ in types]
    return ElasticJobStatus.model_validate({"conditions": found, **fields})


def changes(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    yield from events.of_causes(old, new)
    yield from events.of_pods(old, new)


def found_events() -> Iterator[Note]:
    old = ElasticJobStatus()
    yield from changes(old, status_with("Accepted", "PodsReady", truth="False"))
    loads = {"type": "PodsReady", "reason": "InitContainerRunning", "lastTransitionTime": AT}
    loads |= {"status": "False", "message": "m"}
    yield from changes(old, ElasticJobStatus.model_validate({"conditions": [loads]}))
    for kind in CauseKind:
        s = snapshot(
            observed_pod(0),
            round_=active(4, [P0], cause=Cause(kind, "demo-0-0", n=1)),
            past_rounds=(past(active(1, [P0])), past(active(3, [P0]))),
        )
        yield from round_events.of(s, status_with(round=1), status.of(s, state.of(s)))
    positive = status_with("Running", "Unstable", "Obstructed", "Suspended", "Complete", "Failed")
    yield from changes(old, positive)
    yield from changes(positive, status_with("Suspended", truth="False"))
    updating = snapshot(observed_pod(0, template_hash=""))
    changed = ElasticJobStatus(conditions=conditions.of(updating, state.of(updating)))
    yield from changes(old, changed)
    deleted = DeletePod("demo-0-0", "u", Deletion.LOST)
    yield from events.of_actions(INVALID, (CreatePod(P0), CreatePod(P0, replaces=True), deleted))
    yield from events.of_restored(["RoleBinding x"])
    yield from events.of_refusals(INVALID, {ListLeases(): "no", deleted: "no"})
    launcher = {"containers": [worker(command=["sh", "-c", "torchrun t.py"])]}
    yield from events.of_spec(parse.job(elastic_job(replicas=2, pod=launcher)), old)


def test_every_event_is_reached() -> None:
    found = {note.reason for note in found_events()}
    assert found - {"X"} | {texts.ANY} == set(texts.EVENTS)
    assert not any("{" in note.message for note in found_events())
