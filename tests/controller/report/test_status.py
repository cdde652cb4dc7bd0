from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import T, active
from tests.support.snapshots import NOW, ended, observed_pod, remembered, shown, snapshot

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import (
    Lasting,
    Memory,
    Refusal,
    Refusals,
    Replacement,
    Since,
)
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import EnsurePrerequisites, describe
from elasticjob.controller.plan.restarts import blame
from elasticjob.controller.report import conditions, state, status
from elasticjob.controller.report.pods import problems
from elasticjob.controller.report.texts import LONGEST_STATUS, clipped
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod
from elasticjob.wire.report import JoinWait, JoinWaitKind, Report
from elasticjob.wire.round import Phase, Round

P0, P1, P2 = (Pod(index, 0) for index in range(3))
NODES = (
    "0/5 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint."
    " preemption: 0/5 nodes are available."
)
WAITS = WorkerContainer(ContainerState.WAITING, "ContainerCreating")
NO_IMAGE = WorkerContainer(ContainerState.WAITING, "ImagePullBackOff", "Back-off pulling image x")
NOT_ADMITTED = WorkerContainer(ContainerState.TERMINATED, "OutOfcpu", "node has not enough cpu")
FORMS = Round(3, starts=2)
AT_START = Charges(frozenset({2, 3, 4}), at_start=frozenset({2, 3, 4}))
SHORT = "exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4"
EXCEEDED = f'pods "demo-1-0" is forbidden: {SHORT}'
DEPLOY = describe(EnsurePrerequisites())
RUNTIME = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc"
    " create failed: unable to start container process: "
)
NO_PYTHON = ended(
    128,
    reason="StartError",
    message=f'{RUNTIME}exec: "python3": executable file not found in $PATH: unknown',
)
NO_DIRECTORY = ended(128, reason="StartError", message=f"{RUNTIME}chdir to cwd: no such directory")


def of(s: Snapshot) -> ElasticJobStatus:
    return status.of(s, state.of(s))


def refused(action: str, why: str, **fields: Any) -> Memory:
    """A job of which the API server has refused one action."""
    return remembered(refusals=Refusals({action: Refusal(why, 1, NOW)}, generation=1), **fields)


def lost_twice(index: int) -> Memory:
    """An index whose last replacement was half a minute ago, and not the first one."""
    return remembered(
        replacements={index: Replacement(2, NOW - 30)},
        marked=frozenset({Pod(index, 0), Pod(index, 1)}),
    )


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        (snapshot(observed_pod(0), report=Report(1, (P0,))), "Running"),
        (
            snapshot(observed_pod(0), report=Report(0)),
            "Starting: waiting for workers until 00:00:29Z",
        ),
        (
            snapshot(observed_pod(0), round_=active(2, [P0])),
            "Restarting: waiting for workers until 00:00:29Z",
        ),
        (
            snapshot(observed_pod(0), report=Report(1, failed=(P0,)), maxRestarts=0),
            "Failing: demo-0-0 failed, and maxRestarts (0) is used up",
        ),
        (
            snapshot(
                observed_pod(0),
                round_=active(3, [P0], AT_START.struck_above(3)),
                report=Report(3, failed=(P0,)),
                maxStartRestarts=2,
            ),
            "Failing: demo-0-0 failed, and maxStartRestarts (2) is used up",
        ),
        (snapshot(observed_pod(0), observed_pod(1), round_=Round(0)), "Starting"),
        (
            snapshot(observed_pod(0), observed_pod(1, container=WAITS), round_=Round()),
            "Pending: 1/2 pods running",
        ),
        (
            snapshot(
                observed_pod(0), observed_pod(1, container=WAITS), round_=Round(), minReplicas=1
            ),
            "Starting",
        ),
        (
            snapshot(observed_pod(0, container=WAITS), round_=Round(3, starts=2)),
            "Restarting: 0/1 pods running",
        ),
        (
            snapshot(
                *(observed_pod(i, container=WAITS, unschedulable=NODES) for i in range(3)),
                round_=Round(),
            ),
            "Pending: 3/3 pods unschedulable: Insufficient nvidia.com/gpu",
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, container=NO_IMAGE), round_=Round()),
            "Pending: 1/2 pods: ImagePullBackOff: Back-off pulling image x",
        ),
        (
            snapshot(observed_pod(0, container=NO_PYTHON), round_=Round()),
            "Pending: 1/1 agents cannot start: the image has no python3 (3.9+)",
        ),
        (
            snapshot(observed_pod(0, container=ended(75, message="no")), round_=Round()),
            "Pending: 1/1 agents cannot start: no",
        ),
        (  # a worker with the agent's code, before the operator has received the end of the job
            snapshot(
                observed_pod(0, container=ended(75, message="no", cause="WorkerFailed")),
                round_=Round(),
            ),
            "Pending: 1/1 pods ended: exit code 75: no",
        ),
        (
            snapshot(observed_pod(0, container=NO_DIRECTORY), round_=Round()),
            "Pending: 1/1 agents cannot start: chdir to cwd: no such directory",
        ),
        (
            snapshot(observed_pod(0), observed_pod(1, container=NOT_ADMITTED), round_=Round()),
            "Pending: 1/2 pods ended: OutOfcpu: node has not enough cpu",
        ),
        (
            snapshot(
                observed_pod(0),
                observed_pod(1, container=ended(137, reason="OOMKilled")),
                round_=FORMS,
            ),
            "Restarting: 1/2 pods ended: OOMKilled, exit code 137",
        ),
        (
            snapshot(round_=Round(), memory=refused("create pod 0-0", EXCEEDED)),
            shown(f"Pending: 1/1 pods cannot be created: {SHORT}"),
        ),
        (
            snapshot(
                observed_pod(0),
                replicas=2,
                report=Report(1, (P0,)),
                status={"generations": "0-1@1"},
                memory=refused("create pod 1-0", EXCEEDED, never_created=frozenset({P1})),
            ),
            shown(f"Running: 1/2 pods cannot be created: {SHORT}"),
        ),
        (
            snapshot(
                observed_pod(0),
                replicas=4,
                round_=Round(),
                status={"generations": "0-3@1"},
                memory=remembered(
                    refusals=Refusals(
                        {
                            "create pod 1-0": Refusal("one", 1, NOW),
                            "create pod 2-0": Refusal("other", 1, NOW),
                            "create pod 3-0": Refusal("other", 1, NOW),
                        },
                        generation=1,
                    ),
                    never_created=frozenset({P1, P2, Pod(3, 0)}),
                ),
            ),
            "Pending: 3/4 pods cannot be created: other",
        ),
        (
            snapshot(
                replicas=2,
                round_=Round(),
                memory=remembered(
                    refusals=Refusals(
                        {
                            "create pod 0-0": Refusal("one", 1, NOW),
                            DEPLOY: Refusal("no account", 1, NOW),
                        },
                        generation=1,
                    )
                ),
            ),
            "Pending: no pods can be created: no account",
        ),
        (
            snapshot(observed_pod(0), report=Report(1, (P0,)), memory=refused(DEPLOY, EXCEEDED)),
            "Running",  # no pod is missing
        ),
        (
            snapshot(round_=Round(), memory=refused(DEPLOY, "a" + 300 * " word")),
            f"Pending: no pods can be created: a{6 * ' word'}...",
        ),
        (snapshot(observed_pod(0), suspend=True), "Suspending"),
        (snapshot(suspend=True, round_=Round()), "Suspended"),
        (snapshot(observed_pod(0, template_hash="old")), "Updating"),
        # ---- what is awaited, and until when
        (
            snapshot(
                observed_pod(0),
                observed_pod(1),
                round_=active(1, [P0]),
                minReplicas=1,
                report=Report(1, (P0,), join_wait=JoinWait(JoinWaitKind.COOLDOWN, 41_500)),
            ),
            "Running: 1/2 pods in the round; cooldown until 00:00:43Z",
        ),
        (
            snapshot(
                observed_pod(0),
                observed_pod(1),
                round_=active(1, [P0]),
                minReplicas=1,
                report=Report(1, (P0,), join_wait=JoinWait(JoinWaitKind.LAST_CALL, 30_000)),
            ),
            "Running: 1/2 pods in the round; last call until 00:00:31Z",
        ),
        (  # a wait of an earlier round
            snapshot(
                observed_pod(0),
                observed_pod(1),
                round_=active(2, [P0]),
                minReplicas=1,
                report=Report(1, (P0,), join_wait=JoinWait(JoinWaitKind.LAST_CALL, 30_000)),
            ),
            "Restarting: waiting for workers until 00:00:29Z",
        ),
        (
            snapshot(
                observed_pod(0),
                observed_pod(1),
                round_=active(1, [P0]),
                minReplicas=1,
                report=Report(1, (P0,)),
            ),
            "Running: 1/2 pods in the round",
        ),
        (
            snapshot(
                observed_pod(0),
                observed_pod(1, container=WAITS),
                round_=Round(),
                minReplicas=1,
                report=Report(0, join_wait=JoinWait(JoinWaitKind.LAST_CALL, 300_000)),
            ),
            "Starting: 1/2 pods running; last call until 00:05:01Z",
        ),
        (
            snapshot(observed_pod(0), round_=active(4, [P0], delay_ms=235_408)),
            "Restarting: restart delayed until 00:03:57Z",
        ),
        (
            snapshot(observed_pod(0), round_=active(4, [P0], delay_ms=86_400_000)),
            "Restarting: restart delayed until 2026-01-02 00:00:01Z",
        ),
        (  # as the holder reports it to an operator that was not there when it began
            snapshot(
                observed_pod(0),
                round_=active(4, [P0], delay_ms=235_408),
                report=Report(4, delay_ms=10_000),
            ),
            "Restarting: restart delayed until 00:00:11Z",
        ),
        (  # the delay after a departure is half a second
            snapshot(observed_pod(0), round_=active(4, [P0], delay_ms=500)),
            "Restarting: waiting for workers until 00:00:30Z",
        ),
        (
            snapshot(
                observed_pod(0),
                observed_pod(1, container=ended(137, reason="OOMKilled")),
                round_=FORMS,
                memory=lost_twice(1),
            ),
            "Restarting: 1/2 pods ended: OOMKilled, exit code 137; until 00:01:31Z",
        ),
        (  # the pod is gone
            snapshot(
                observed_pod(0),
                round_=FORMS,
                memory=lost_twice(1),
                replicas=2,
                status={"generations": "0@1,1@2"},
            ),
            "Restarting: 1/2 pods running; no new pod until 00:01:31Z",
        ),
        (
            snapshot(
                observed_pod(0),
                round_=active(3, [P0]),
                report=Report(3, (P0,)),
                minReplicas=1,
                memory=lost_twice(1),
                replicas=2,
                status={"generations": "0@1,1@2"},
            ),
            "Running: 1/2 pods in the round; no new pod until 00:01:31Z",
        ),
        (
            snapshot(
                observed_pod(0),
                holder="demo-0-0",
                report=Report(1, (P0,)),
                memory=remembered(since={Since(Lasting.SAME_PULSE, ""): NOW - 9 * T}),
            ),
            "Unknown: no sign of life from the agents since 2025-12-31 23:59:15Z",
        ),
        (
            snapshot(
                observed_pod(0),
                holder="demo-0-0",
                report=Report(1, (P0,)),
                memory=remembered(since={Since(Lasting.SAME_PULSE, ""): NOW - 9 * T + 1}),
            ),
            "Running",
        ),
        (snapshot(observed_pod(0), round_=Round(2, Phase.SUCCEEDED)), "Complete"),
        (
            snapshot(
                observed_pod(0), round_=Round(2, Phase.FAILED, cause=Cause(CauseKind.START_FAILED))
            ),
            "Failed: StartFailed",
        ),
        (
            snapshot(
                observed_pod(0),
                round_=Round(
                    2,
                    Phase.FAILED,
                    cause=Cause(
                        CauseKind.START_FAILED,
                        "demo-0-0",
                        rank=0,
                        code=127,
                        message="cannot execute 'train.exe'",
                    ),
                ),
            ),
            "Failed: demo-0-0 (rank 0): cannot execute 'train.exe'",
        ),
        (
            snapshot(
                observed_pod(0),
                maxRestarts=1,
                round_=Round(
                    3,
                    Phase.FAILED,
                    charged=Charges(frozenset({2, 3})),
                    cause=Cause(
                        CauseKind.WORKER_SIGNALED,
                        "demo-0-0",
                        rank=0,
                        signal=9,
                        message="ended by SIGKILL",
                    ),
                ),
            ),
            "Failed: demo-0-0 (rank 0): ended by SIGKILL",
        ),
        (
            snapshot(
                observed_pod(0),
                round_=Round(
                    4,
                    Phase.FAILED,
                    charged=AT_START,
                    cause=Cause(
                        CauseKind.WORKER_FAILED,
                        "demo-0-0",
                        rank=0,
                        code=1,
                        message="exit code 1",
                    ),
                ),
            ),
            "Failed: demo-0-0 (rank 0): exit code 1",
        ),
    ],
)
def test_phase(s: Snapshot, expected: str) -> None:
    assert str(state.of(s)) == expected
    assert len(expected) <= LONGEST_STATUS


@pytest.mark.parametrize(
    ("condition", "phase", "round_", "expected"),
    [
        ({"type": "Complete"}, "Failed: WorkerExited", Round(2, Phase.FAILED), "Complete"),
        ({"type": "Complete"}, "Running", active(2, [P0]), "Complete"),
        ({"type": "Failed", "reason": "WorkerExited"}, "Complete", Round(2, Phase.SUCCEEDED),
         "Failed: WorkerExited"),
    ],
)  # fmt: skip
def test_the_phase_of_an_ended_job_follows_its_final_condition(
    condition: Json, phase: str, round_: Round, expected: str
) -> None:
    """A final condition never changes: a stored phase or a round that contradicts it is wrong."""
    since = "2026-01-01T00:00:00Z"
    stored = {"reason": "R", "status": "True", "message": "", "lastTransitionTime": since}
    found = {"phase": phase, "conditions": [stored | condition]}
    s = snapshot(observed_pod(0), round_=round_, status=found)
    assert of(s).phase == str(state.of(s)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"a": {"y": None}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
    ],
)
def test_merge_patch(old: Json, new: Json, expected: Json) -> None:
    assert status.merge_patch(old, new) == expected


def test_a_status_does_not_differ_from_itself() -> None:
    s = snapshot(observed_pod(0), report=Report(1, (P0,)))
    first = of(s)
    again = ElasticJobStatus.model_validate(status.fields(first))
    assert status.patch(again, first) == {}


def test_ready_counts_members_that_run_the_current_round() -> None:
    s = snapshot(observed_pod(0), observed_pod(1), observed_pod(2), report=Report(1, (P0, P2)))
    assert (of(s).ready, of(s).ready_replicas) == ("2/3", 2)
    old = snapshot(observed_pod(0), round_=active(2, [P0]), report=Report(1, (P0,)))
    assert of(old).ready == "0/1"


def test_the_status_with_the_number_of_a_lost_round_says_that_no_pod_runs_it() -> None:
    s = snapshot(observed_pod(0), round_=active(1, [P0]), status={"phase": "Running", "round": 1})
    found = status.with_round(replace(s, lease=None), Round(1001))
    assert (found.round, found.ready, found.ready_replicas) == (1001, "0/1", 0)
    assert found.phase == "Pending"


def test_reserved_generations_never_fall_and_clear_the_blame_of_their_index() -> None:
    s = snapshot(
        observed_pod(0), observed_pod(1), status={"generations": "0@4,1@1", "blamed": "0x2,1x3"}
    )
    found = status.with_pods(s, (Pod(1, 1), Pod(2, 0)), "0123456789")
    assert (found.generations, found.blamed) == ("0@4,1@2,2@1", "0x2")


def test_the_most_frequent_problem_is_reported() -> None:
    stuck = [observed_pod(i, container=NO_IMAGE) for i in range(2)]
    found = problems.most_frequent(
        snapshot(*stuck, observed_pod(2, container=WAITS, unschedulable="x"))
    )
    assert found is not None
    assert (found.reason, found.text) == (
        "ImagePullBackOff",
        "2/3 pods: ImagePullBackOff: Back-off pulling image x",
    )


@pytest.mark.parametrize(
    ("why", "full"),
    [
        (EXCEEDED, f"{SHORT}; raise the quota, lower replicas, or wait until it has room"),
        (
            'pods "demo-1-0" is forbidden: failed quota: q: must specify limits.cpu for: worker',
            "failed quota: q: must specify limits.cpu for: worker;"
            " set these resources in spec.template",
        ),
        (
            'pods "demo-1-0" is forbidden: violates PodSecurity "restricted:latest": privileged',
            'violates PodSecurity "restricted:latest": privileged;'
            " correct spec.template, or relax the namespace's level",
        ),
        (
            'pods is forbidden: User "operator" cannot create resource "pods" in API group ""',
            'pods is forbidden: User "operator" cannot create resource "pods" in API group "";'
            " grant this right to the operator's account",
        ),
        (
            'admission webhook "names.example.com" denied the request: no',
            'admission webhook "names.example.com" denied the request: no;'
            " correct spec.template or the webhook's policy",
        ),
        ("there is no cure", "there is no cure"),
        (1000 * "x", 797 * "x" + "..."),
    ],
)
def test_why_pods_are_refused_is_reported_with_its_cure(why: str, full: str) -> None:
    found = problems.most_frequent(snapshot(round_=Round(), memory=refused("create pod 0-0", why)))
    assert found is not None
    assert (found.reason, found.full) == ("PodsRefused", f"1/1 pods cannot be created: {full}")


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("spec.x: Required", ".spec.x: Required"),
        ('metadata.labels: Invalid value: "a b"', '.metadata.labels: Invalid value: "a b"'),
        ("[spec.x: Required]", ".spec.x: Required"),
        ("spec.x[a]", ".spec.x[a]"),
        ("[spec.x: Required, spec.y: No]", ".spec.x: Required, spec.template.spec.y: No"),
        ("[spec.x: No, metadata.a: No]", ".spec.x: No, spec.template.metadata.a: No"),
        ('spec.x: Invalid value: "a, spec.b"', '.spec.x: Invalid value: "a, spec.b"'),
        ('[spec.x: ", spec.", spec.y: A]', '.spec.x: ", spec.", spec.template.spec.y: A'),
        ("no", ": no"),
    ],
)
def test_a_pod_that_only_another_template_cures_names_its_field(why: str, text: str) -> None:
    invalid = f'Pod "demo-1-0" is invalid: {why}'
    s = snapshot(round_=Round(), memory=refused("create pod 0-0", invalid))
    assert str(state.of(s)) == f"Pending: edit spec.template{text}"
    found = problems.most_frequent(s)
    assert found is not None
    cure = (
        "; no further pod runs before this is corrected, and then the operator creates pods at once"
    )
    cure += "; until then it tries again, at least every 120 s"
    assert (found.reason, found.full) == ("TemplateRefused", f"edit spec.template{text}{cure}")


@pytest.mark.parametrize(
    "most",
    [
        'pods "demo-{0}-0" is forbidden: exceeded quota: q, requested: pods=1, used: pods={0}',
        'admission webhook "x" denied the request: the name demo-{0}-0 is taken',
        'Pod "demo-{0}-0" is invalid: spec.x: Required',
    ],
)
def test_the_refusal_of_most_pods_is_shown_although_each_names_its_pod(most: str) -> None:
    first = {"create pod 0-0": 'pods "demo-0-0" is forbidden: no room'}
    why = first | {f"create pod {index}-0": most.format(index) for index in (1, 2, 3)}
    known = Refusals({key: Refusal(words, 1, NOW) for key, words in why.items()}, generation=1)
    s = snapshot(round_=Round(), replicas=4, memory=remembered(refusals=known))
    found = problems.most_frequent(s)
    assert found is not None
    assert clipped(most.format(1).partition(": ")[2], 800) in found.full


def test_a_pod_that_is_given_up_is_not_counted_as_running() -> None:
    """Its node is dead, and the API server has it Running for minutes."""
    s = snapshot(
        observed_pod(0), observed_pod(1), round_=active(1, [P0]),
        status={"generations": "0@1,1@2"},
        memory=refused(
            "create pod 1-1", EXCEEDED, marked=frozenset({P1}), never_created=frozenset({Pod(1, 1)})
        ),
    )  # fmt: skip
    ready = next(c for c in of(s).conditions or [] if c.type == "PodsReady")
    assert (ready.status, ready.reason) == ("False", "PodsRefused")
    assert ready.message.startswith("1/2 pods cannot be created: exceeded quota: q")


# ---- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_an_ended_job_shows_the_last_round_that_ran(phase: Phase) -> None:
    """Its result has a number of a round as well: ROUND 4 with RESTARTS 2 is one too many."""
    cause = Cause(CauseKind.WORKER_FAILED, "demo-0-0", rank=0, code=1, n=3)
    charged = Charges(frozenset({2, 3, 4}))
    last = Round(4, phase, starts=3, cause=cause, charged=charged)
    found = of(snapshot(observed_pod(0), round_=last, status={"round": 3, "blamed": "0x2"}))
    assert (found.round, found.restarts) == (3, 2)
    assert found.blamed is None  # no pod is replaced any more
    again = snapshot(observed_pod(0), round_=last, status=status.fields(found))
    assert status.fields(of(again)) == status.fields(found)


# ---- failures ------------------------------------------------------------------------------------


def crashed(n: int, pod: str = "demo-1-0") -> Round:
    cause = Cause(CauseKind.WORKER_FAILED, pod=pod, rank=1, code=1, n=n - 1)
    return active(n, [P0, P1], cause=cause, charged=[n])


def test_each_charged_round_blames_once() -> None:
    s = snapshot(
        observed_pod(0), observed_pod(1), round_=crashed(4), status={"round": 2, "blamed": "1x1"},
        past_rounds=tuple(past(crashed(n)) for n in (2, 3, 4)),
    )  # fmt: skip
    assert blame.counts(s) == {1: 3}


def test_a_failure_of_a_pod_that_was_replaced_blames_no_pod() -> None:
    s = snapshot(observed_pod(0), observed_pod(1, 1), round_=crashed(4), status={"round": 3})
    assert blame.counts(s) == {}


@pytest.mark.parametrize(
    ("round_", "report", "restarts"),
    [
        (Round(0), None, 0),
        (active(1, [P0, P1]), None, 0),
        (active(1, [P0, P1]), Report(1, (P0, P1)), 0),
        # the second start is a restart once a member runs it
        (active(2, [P0, P1]), Report(1, (P0, P1)), 0),
        (active(2, [P0, P1]), Report(2, (P0,)), 1),
        (active(2, [P0, P1]), Report(2, failed=(P0,)), 1),
        (Round(3, starts=2), None, 1),
        (Round(3, Phase.FAILED, starts=2), None, 1),
    ],
)
def test_a_restart_counts_once_a_member_runs(
    round_: Round, report: Report | None, restarts: int
) -> None:
    found = snapshot(observed_pod(0), observed_pod(1), round_=round_, report=report)
    assert state.restarts(found) == restarts


def test_a_member_that_failed_over_the_budget_is_not_ready() -> None:
    """The job fails when the others have renewed their Leases; until then, STATUS is true."""
    pods = (observed_pod(0), observed_pod(1))
    report = Report(1, running=(P0,), failed=(P1,))
    found = snapshot(*pods, round_=active(1, [P0, P1]), report=report, maxRestarts=0)
    assert status.of(found, state.of(found)).ready == "1/2"
    running = next(c for c in conditions.of(found, state.of(found)) if c.type == "Running")
    assert (running.status, running.reason) == ("False", "MemberFailed")
