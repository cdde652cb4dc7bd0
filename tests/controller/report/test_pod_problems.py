"""Pods that cannot start: what STATUS and PodsReady report of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.jobs import worker
from tests.support.snapshots import NOW, ended, observed_pod, remembered, shown, snapshot

from elasticjob.controller.observe.containers import ContainerState, InitContainer, WorkerContainer
from elasticjob.controller.observe.memory import Replacement
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.pod_events import PodEvents, PodWarning
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import conditions, state
from elasticjob.controller.report.pods import problems
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

AT, LATER = "2026-01-01T12:03:04Z", "2026-01-01T12:05:06Z"
INITIALIZES = WorkerContainer(ContainerState.WAITING, "PodInitializing")
CREATES = WorkerContainer(ContainerState.WAITING, "ContainerCreating")
ENDED = WorkerContainer(ContainerState.TERMINATED)  # before its containers ran
LATE = WorkerContainer(ContainerState.TERMINATED, "DeadlineExceeded", "too long")
STAYS = "; the job waits for this and does not fail because of it"
CORRECT = "; correct the init container or what it needs"
CREATED_AGAIN = "; the operator replaces such pods"
AGAIN = f"{CREATED_AGAIN}, and the job does not fail because of it"
WAITS_INIT, AFTER_INIT = f"{CORRECT}{STAYS}", f"{CORRECT}{AGAIN}"
MISSING = PodWarning("FailedMount", 'configmap "train" not found (volume data)', AT)
OTHER = PodWarning("FailedMount", 'secret "key" not found (volume key)', AT)


def failed(code: int = 42, **fields: Any) -> InitContainer:
    values: dict[str, Any] = {"reason": "Error", "exit_code": code, "at": AT, **fields}
    return InitContainer("fetch-data", ContainerState.TERMINATED, **values)


def running(at: str = AT) -> InitContainer:
    return InitContainer("fetch-data", ContainerState.RUNNING, at=at)


@pytest.mark.parametrize(
    ("pods", "reason", "status", "more"),
    [
        (
            [
                observed_pod(0, container=ENDED, init=failed(message="no such bucket")),
                observed_pod(1, container=ENDED, init=failed(at=LATER)),
            ],
            "InitContainerFailed",
            "Pending: 2/2 pods: init container fetch-data: exit code 42",
            f" in demo-0-0 at {AT}: no such bucket"
            f"; see kubectl logs -n team demo-0-0 -c fetch-data{AFTER_INIT}",
        ),
        (
            [
                observed_pod(0),
                observed_pod(1, container=ENDED, init=failed(137, reason="OOMKilled")),
            ],
            "InitContainerFailed",
            "Pending: 1/2 pods: init container fetch-data: OOMKilled, exit code 137",
            f" in demo-1-0 at {AT}; see kubectl logs -n team demo-1-0 -c fetch-data{AFTER_INIT}",
        ),
        (  # a sidecar, which the kubelet starts again
            [observed_pod(0, container=INITIALIZES, init=failed())],
            "InitContainerFailed",
            "Pending: 1/1 pods: init container fetch-data: exit code 42",
            f" in demo-0-0 at {AT}; see kubectl logs -n team demo-0-0 -c fetch-data{WAITS_INIT}",
        ),
        (
            [
                observed_pod(0, container=INITIALIZES, init=running(LATER)),
                observed_pod(1, container=INITIALIZES, init=running()),
            ],
            "InitContainerRunning",
            "Pending: 2/2 pods in init container fetch-data since 12:03:04Z",
            f" in demo-0-0{STAYS}",
        ),
        (
            [
                observed_pod(
                    0,
                    container=INITIALIZES,
                    init=InitContainer("fetch-data", reason="ErrImagePull", message="no image x"),
                )
            ],
            "ErrImagePull",
            "Pending: 1/1 pods: ErrImagePull: init container fetch-data: no image x",
            STAYS,
        ),
        (
            [observed_pod(0, container=LATE, init=failed(137))],
            "PodsEnded",
            "Pending: 1/1 pods ended: DeadlineExceeded: too long",
            CREATED_AGAIN,
        ),
        (
            [observed_pod(0, container=ENDED)],
            "PodsEnded",
            "Pending: 1/1 pods ended: no reason is known",
            CREATED_AGAIN,
        ),
    ],
)
def test_what_keeps_pods_from_starting(
    pods: list[ObservedPod], reason: str, status: str, more: str
) -> None:
    s = snapshot(*pods, round_=Round())
    assert str(state.of(s)) == shown(status)
    ready = next(c for c in conditions.of(s, state.of(s)) if c.type == "PodsReady")
    assert ready.reason == reason
    assert ready.message.endswith(status.removeprefix("Pending: ") + more)


RUNC = "exec /usr/bin/python3: argument list too long"
LOCAL = 'exec "python3": Argument list too long'
LOADER = "python3: error while loading shared libraries: /a/libm.so.6: file too short"
SYMBOL = "python3: symbol lookup error: /x.so: undefined symbol: y"
LIBRARIES = "; LD_LIBRARY_PATH or LD_PRELOAD may name it: correct them, or use another image"


@pytest.mark.parametrize(
    ("container", "pod", "why", "more"),
    [
        (
            ended(1, reason="Error", message=RUNC),
            {},
            "argument list too long; set enableServiceLinks: false",
            " in spec.template.spec, or shorten env and args of the worker container",
        ),
        (
            ended(128, reason="StartError", message=LOCAL),
            {"enableServiceLinks": False},
            "argument list too long; shorten env and args",
            " of the worker container",
        ),
        (
            ended(127, reason="Error", message=f"a line\n{LOADER}\n"),
            {},
            "library libm.so.6: file too short",
            f"; {LOADER}{LIBRARIES}",
        ),
        (
            ended(127, reason="Error", message=SYMBOL),
            {},
            "library x.so: undefined symbol: y",
            f"; {SYMBOL}{LIBRARIES}",
        ),
        (ended(75, message="no ssl"), {}, "no ssl", ""),
        (
            ended(128, reason="StartError", message='exec "python3": No such file or directory'),
            {},
            "the image has no python3 (3.9+)",
            ": use one with Python 3.9 or later",
        ),
    ],
)
def test_why_an_agent_cannot_start(
    container: WorkerContainer, pod: dict[str, Any], why: str, more: str
) -> None:
    template = {"spec": {"containers": [worker()], **pod}}
    s = snapshot(observed_pod(0, container=container), round_=Round(), template=template)
    found = problems.most_frequent(s)
    assert found is not None
    text = f"1/1 agents cannot start: {why}"
    assert (found.reason, found.text) == ("AgentSetupFailed", text)
    assert found.full == text + more + AGAIN


@pytest.mark.parametrize(
    "pod",
    [
        observed_pod(0, container=CREATES),
        observed_pod(0, container=INITIALIZES, init=InitContainer("a", reason="PodInitializing")),
        observed_pod(0, container=INITIALIZES),
    ],
)
def test_the_warnings_of_one_pod_are_those_of_all_that_wait_on_their_node(pod: ObservedPod) -> None:
    pods = (pod, observed_pod(1, container=CREATES), observed_pod(2, container=INITIALIZES))
    s = snapshot(*pods, observed_pod(3), round_=Round())
    found = problems.most_frequent(with_events(s, pod.uid))
    assert found is not None
    text = '3/4 pods: FailedMount: configmap "train" not found (volume data)'
    assert (found.reason, found.text) == ("FailedMount", text)
    more = f' in demo-0-0 at {AT}; FailedMount: secret "key" not found (volume key){STAYS}'
    assert found.full == text + more


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (
            "env KEY: secretKeyRef is not supported by the local mode; use value or fieldRef",
            "env KEY: use value or fieldRef",
        ),
        (
            "restartPolicy is not supported by the local mode; move it to spec.containers",
            "restartPolicy: move it to spec.containers",
        ),
        ("env KEY: no; use value", "env KEY: no; use value"),
        (f"a field {'that is no good ' * 4}", "a field that is no good that is no..."),
    ],
)
def test_status_has_the_field_and_the_cure_of_one_to_edit(fault: str, status: str) -> None:
    refused = ended(0, reason="Unsupported", message=f'container "worker": {fault}')
    s = snapshot(observed_pod(0, container=refused), round_=Round())
    assert str(state.of(s)) == f"Pending: edit spec.template: {status}"


REFUSES = (
    "; no further pod runs before this is corrected, and then the operator creates pods at once"
)


def test_a_field_that_a_node_refuses_is_one_to_edit_and_status_has_no_time() -> None:
    """Only another template helps, whenever the operator creates the next pod."""
    words = 'container "worker": env KEY: secretKeyRef is not supported by the local mode'
    refused = ended(0, reason="Unsupported", message=words)
    memory = remembered(
        replacements={0: Replacement(2, NOW - 30)}, marked=frozenset({Pod(0, 0), Pod(0, 1)})
    )
    s = snapshot(observed_pod(0, 1, container=refused), round_=Round(), memory=memory)
    status = "Pending: edit spec.template: env KEY: secretKeyRef is not supported..."
    assert str(state.of(s)) == status
    found = {c.type: c for c in conditions.of(s, state.of(s))}
    assert found["PodsReady"].reason == found["Stalled"].reason == "TemplateRefused"
    text = (
        f"edit spec.template: {words}{REFUSES}; until then it replaces such pods; the operator"
        " creates demo-0-2 at 2026-01-01T00:01:31Z, because the last pods of index 0 ended or were"
        " replaced soon after each other; each such wait is twice as long as the one before, at"
        " most 600 s"
    )
    assert found["PodsReady"].message == f"0/1 pods running; {text}"
    assert found["Stalled"].message == text


def test_an_image_without_a_valid_name_is_a_field_to_edit() -> None:
    words = 'couldn\'t parse image name "a:::": invalid reference format'
    named = WorkerContainer(ContainerState.WAITING, "InvalidImageName", words)
    s = snapshot(observed_pod(0, container=named), round_=Round())
    assert str(state.of(s)) == "Pending: edit spec.template: image: invalid reference format"
    found = problems.most_frequent(s)
    assert found is not None
    text = f"edit spec.template: InvalidImageName: {words}{REFUSES}"
    assert (found.reason, found.full) == ("TemplateRefused", text)


def test_an_init_container_whose_image_has_no_valid_name_is_one_to_edit() -> None:
    words = 'couldn\'t parse image name "a:::": invalid reference format'
    init = InitContainer("get", reason="InvalidImageName", message=words)
    s = snapshot(observed_pod(0, container=INITIALIZES, init=init), round_=Round())
    assert str(state.of(s)) == "Pending: edit spec.template: init container get: image"
    found = {c.type: (c.reason, c.message) for c in conditions.of(s, state.of(s))}
    text = f"edit spec.template: init container get: InvalidImageName: {words}{REFUSES}"
    assert found["Stalled"] == ("TemplateRefused", text)
    assert found["PodsReady"] == ("TemplateRefused", f"0/1 pods running; {text}")


@pytest.mark.parametrize(
    ("reason", "message", "status"),
    [
        (
            "ErrImagePull",
            "rpc error: code = NotFound desc = failed to pull and unpack image"
            ' "docker.io/team/no:1": failed to resolve reference "docker.io/team/no:1":'
            " docker.io/team/no:1: not found",
            "1/1 pods: ErrImagePull: docker.io/team/no:1: not found",
        ),
        (
            "ImagePullBackOff",
            'Back-off pulling image "registry.example.com/team/project/train:v1.2.3"',
            '1/1 pods: ImagePullBackOff: ".../train:v1.2.3"',
        ),
        (
            "CreateContainerConfigError",
            "couldn't find key k in Secret team/missing",
            "1/1 pods: CreateContainerConfigError: couldn't find key k...",
        ),
    ],
)
def test_status_has_the_end_of_what_the_kubelet_reports(
    reason: str, message: str, status: str
) -> None:
    waits = WorkerContainer(ContainerState.WAITING, reason, message)
    s = snapshot(observed_pod(0, container=waits), round_=Round())
    assert str(state.of(s)) == f"Pending: {status}"
    ready = next(c for c in conditions.of(s, state.of(s)) if c.type == "PodsReady")
    assert ready.message == f"1/1 pods: {reason}: {message}{STAYS}"


def test_an_init_container_is_named_before_the_end_of_what_the_kubelet_reports() -> None:
    message = f"{30 * 'long '}: cannot resolve it: not found"
    init = InitContainer("get", reason="ErrImagePull", message=message)
    s = snapshot(observed_pod(0, container=INITIALIZES, init=init), round_=Round())
    status = "Pending: 1/1 pods: ErrImagePull: init container get: cannot resolve..."
    assert str(state.of(s)) == status
    ready = next(c for c in conditions.of(s, state.of(s)) if c.type == "PodsReady")
    assert ready.message.endswith(
        f"ErrImagePull: init container get: {' '.join(message.split())}{STAYS}"
    )


def test_the_condition_has_long_words_to_their_end() -> None:
    """Those of a runtime have the cause at the end."""
    message = f"failed to set up the network: {50 * 'x '}plugin calico: no nodename"
    s = snapshot(observed_pod(0, container=CREATES), round_=Round())
    events = PodEvents("uid-demo-0-0", NOW, 1, 3 * (PodWarning("FailedSandbox", message, AT),))
    found = problems.most_frequent(replace(s, pod_events=events))
    assert found is not None
    assert found.text.endswith(" x...")
    assert found.shorter == ("1/1 pods: FailedSandbox: no nodename",)
    assert message in found.full
    assert found.full.endswith(STAYS)


@pytest.mark.parametrize(
    "pod",
    [
        observed_pod(0),
        observed_pod(0, container=CREATES, node=""),
        observed_pod(0, container=CREATES, deleting=True),
        observed_pod(0, 1, container=CREATES),
        observed_pod(0, container=INITIALIZES, init=running()),
    ],
)
def test_warnings_of_a_pod_that_waits_no_more_are_not_reported(pod: ObservedPod) -> None:
    s = with_events(snapshot(pod, round_=Round()), "uid-demo-0-0")
    found = problems.most_frequent(s)
    assert found is None or found.reason == "InitContainerRunning"


def with_events(s: Snapshot, uid: str) -> Snapshot:
    return replace(s, pod_events=PodEvents(uid, NOW, 1, (MISSING, OTHER)))
