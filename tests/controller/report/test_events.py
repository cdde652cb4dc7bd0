from __future__ import annotations

from typing import Any

import pytest
from tests.support.jobs import elastic_job, worker

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe import parse
from elasticjob.controller.plan.actions import (
    Action,
    CreatePod,
    DeletePod,
    Deletion,
    ListLeases,
    Mark,
)
from elasticjob.controller.report import events
from elasticjob.controller.report.journal import LONGEST_MESSAGE, Note
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod


def status(conditions: dict[str, tuple[str, str, str]] | None = None, **fields: Any) -> Any:
    listed = [
        {
            "type": type_,
            "status": truth,
            "reason": reason,
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for type_, (truth, reason, message) in (conditions or {}).items()
    ]
    return ElasticJobStatus.model_validate({"conditions": listed, **fields})


RECOVERY = {"round": 4, "detectMillis": 2, "startMillis": 30, "totalMillis": 32}
RUNS, STARTS = ("True", "AllMembersRun", "4 members run"), ("False", "MembersStart", "")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (status(), status(), []),
        (
            status({"Running": STARTS}),
            status({"Running": RUNS}),
            [Note("Running", "4 members run")],
        ),
        (status({"Running": RUNS}), status({"Running": STARTS}), []),
        (  # the event of the round that has ended reports it
            status({"Running": STARTS}, round=4),
            status({"Running": RUNS}, round=4, lastRecovery=RECOVERY),
            [],
        ),
        (  # after a suspension, which has no recovery
            status({"Running": STARTS}, round=6, lastRecovery=RECOVERY),
            status({"Running": RUNS}, round=6, lastRecovery=RECOVERY),
            [Note("Running", "4 members run")],
        ),
        (
            status(),
            status({"PodsReady": ("False", "Unschedulable", "2/4 pods unschedulable: x")}),
            [Note("Unschedulable", "2/4 pods unschedulable: x", True)],
        ),
        (status(), status({"PodsReady": ("False", "PodsStart", "0/4")}), []),
        (
            status({"Suspended": ("True", "JobSuspended", "")}),
            status({"Suspended": ("False", "NotSuspended", "")}),
            [Note("Resumed", "job resumed")],
        ),
        (status(), status({"Failed": ("True", "X", "why")}), [Note("Failed", "why", True)]),
        (status(), status({"Complete": ("True", "X", "all")}), [Note("Complete", "all")]),
        (
            status({"Accepted": ("False", "Invalid", "a")}),
            status({"Accepted": ("False", "Invalid", "b")}),
            [Note("Refused", "b", True)],
        ),
    ],
)
def test_transitions(old: ElasticJobStatus, new: ElasticJobStatus, expected: list[Note]) -> None:
    assert [*events.of_causes(old, new), *events.of_pods(old, new)] == expected


@pytest.mark.parametrize(
    ("type_", "shown", "is_cause"),
    [
        ("PodsReady", ("False", "TemplateChanged", "all pods: x"), True),
        ("PodsReady", ("False", "PodsEnded", "2/4 pods ended: x"), False),
        ("Failed", ("True", "X", "why"), True),
        ("Running", RUNS, False),
        ("Suspended", ("True", "JobSuspended", "all pods have ended"), False),
    ],
)
def test_what_the_operator_acts_for_comes_before_what_its_pods_do(
    type_: str, shown: tuple[str, str, str], is_cause: bool
) -> None:
    new = status({type_: shown})
    assert len([*events.of_causes(status(), new)]) == is_cause
    assert len([*events.of_pods(status(), new)]) == (not is_cause)


def test_many_pods_are_one_note() -> None:
    actions: tuple[Action, ...] = (
        *(CreatePod(Pod(index, 0)) for index in range(7)),
        CreatePod(Pod(7, 2), replaces=True),
        DeletePod("demo-7-1", "u", Deletion.REPLACED),
        DeletePod("demo-3-0", "v", Deletion.REPLACED),
        DeletePod("demo-4-0", "w", Deletion.TEMPLATE_CHANGED, ("spec.template.spec.hostNetwork",)),
    )
    assert list(events.of_actions(parse.job(elastic_job()), actions)) == [
        Note("PodsCreated", "created demo-0-0 to demo-6-0"),
        Note("PodsReplaced", "created demo-7-2, each in place of the last pod of its index"),
        Note("PodsDeleted", "deleted demo-3-0, demo-7-1: the pod has ended and was replaced"),
        Note(
            "PodsDeleted",
            "deleted demo-4-0: the template has changed: spec.template.spec.hostNetwork",
        ),
    ]


def test_a_refusal_names_the_pod_in_full() -> None:
    refused: dict[Action, str] = {Mark(Pod(1, 2), "Deleted"): "no", ListLeases(): "no"}
    assert list(events.of_refusals(parse.job(elastic_job()), refused)) == [
        Note(
            "RequestRefused",
            "cannot mark the Lease of pod demo-1-2: no; 1 more request was refused",
            True,
        )
    ]


ALONE = {"command": ["sh", "-c", "exec torchrun train.py"]}


@pytest.mark.parametrize(
    ("container", "spec", "seen", "warned"),
    [
        (ALONE, {}, None, True),
        (ALONE, {}, 2, True),
        (ALONE, {}, 3, False),  # reported for this generation already
        (ALONE, {"replicas": 1}, None, False),  # the one group is the job's
        (ALONE, {"replicas": 1, "nprocPerNode": 2}, None, True),
        ({"command": ["torchrun", "train.py"]}, {}, None, True),  # stored before it was refused
        ({"command": ["sh", "-c", "exec torchrun --node_rank $GROUP_RANK t.py"]}, {}, None, False),
        ({"command": ["sh", "-c"], "args": ["torchrun t.py"]}, {}, None, True),
        ({}, {}, None, False),
    ],
)
def test_a_launcher_without_the_flags_of_the_group_causes_a_warning(
    container: Json, spec: Json, seen: int | None, warned: bool
) -> None:
    body = elastic_job(pod={"containers": [worker(**container)]}, **spec)
    body["metadata"]["generation"] = 3
    body["status"] = {} if seen is None else {"observedGeneration": seen}
    job = parse.job(body)
    notes = list(events.of_spec(job, job.status))
    assert [(note.reason, note.warning) for note in notes] == [("LauncherInCommand", True)] * warned
    for note in notes:
        assert "--nnodes $GROUP_WORLD_SIZE --node_rank $GROUP_RANK" in note.message
        assert "\n" not in note.message
        assert len(note.message) < LONGEST_MESSAGE
