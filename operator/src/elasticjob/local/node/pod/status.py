"""The status of a pod: container states, phase and conditions. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elasticjob.local.api.objects.resource import Object


@dataclass(frozen=True)
class Waiting:
    """The container has not started yet, or will be restarted."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """The main process of the container runs."""

    started_at: str


@dataclass(frozen=True)
class Terminated:
    """All processes of the container have ended."""

    code: int
    reason: str
    message: str
    started_at: str
    finished_at: str


State = Waiting | Running | Terminated


@dataclass(frozen=True)
class ContainerStatus:
    """The status of one container."""

    name: str
    image: str
    state: State
    last_termination: Terminated | None = None  # the end of the previous run
    restarts: int = 0
    container_id: str = ""

    @property
    def has_succeeded(self) -> bool:
        """Whether the container has ended with code 0."""
        return isinstance(self.state, Terminated) and self.state.code == 0

    @property
    def is_running(self) -> bool:
        """Whether the container runs. There are no probes, so that it is then also ready."""
        return isinstance(self.state, Running)

    def to_json(self) -> Object:
        """The status as a core/v1 ContainerStatus."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "",
            "ready": self.is_running,
            "started": self.is_running,
            "restartCount": self.restarts,
            "containerID": self.container_id,
            "state": _state_json(self.state),
            "lastState": _state_json(self.last_termination) if self.last_termination else {},
        }


def phase(
    policy: str, inits: Sequence[ContainerStatus], containers: Sequence[ContainerStatus]
) -> str:
    """The phase of a pod. `policy` is "Never" for a pod that is being deleted."""
    if policy == "Never" and any(_has_ended(init) and not init.has_succeeded for init in inits):
        return "Failed"
    if not _are_initialized(inits) or any(_never_started(container) for container in containers):
        return "Pending"
    if not all(_has_ended(container) for container in containers):
        return "Running"
    if policy == "Always":
        return "Running"
    if all(container.has_succeeded for container in containers):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def conditions(
    pod_phase: str,
    inits: Sequence[ContainerStatus],
    containers: Sequence[ContainerStatus],
    before: Iterable[Object],
    now: str,
) -> list[Object]:
    """The conditions of a pod. One whose status has not changed keeps its transition time."""
    ready = _ready_condition(pod_phase, containers)
    found = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", **_initialized_condition(inits)},
        {"type": "ContainersReady", **ready},
        {"type": "Ready", **ready},
    ]
    return [with_transition_time(condition, before, now) for condition in found]


def with_transition_time(condition: Object, before: Iterable[Object], now: str) -> Object:
    """The condition with the time of the last change of its status."""
    old = next((entry for entry in before if entry["type"] == condition["type"]), None)
    same = old is not None and old["status"] == condition["status"]
    return {**condition, "lastTransitionTime": old["lastTransitionTime"] if old and same else now}


def _ready_condition(pod_phase: str, containers: Sequence[ContainerStatus]) -> dict[str, str]:
    if pod_phase in ("Succeeded", "Failed"):
        reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}[pod_phase]
        return {"status": "False", "reason": reason}
    waiting = [container.name for container in containers if not container.is_running]
    if not waiting:
        return {"status": "True"}
    message = f"containers with unready status: [{' '.join(waiting)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": message}


def _initialized_condition(inits: Sequence[ContainerStatus]) -> dict[str, str]:
    waiting = [init.name for init in inits if not init.has_succeeded]
    if not waiting:
        return {"status": "True"}
    message = f"containers with incomplete status: [{' '.join(waiting)}]"
    return {"status": "False", "reason": "ContainersNotInitialized", "message": message}


def _are_initialized(inits: Sequence[ContainerStatus]) -> bool:
    return all(init.has_succeeded for init in inits)


def _never_started(container: ContainerStatus) -> bool:
    return isinstance(container.state, Waiting) and container.last_termination is None


def _has_ended(container: ContainerStatus) -> bool:
    """Whether the container has ended, or ended before and will be restarted."""
    return isinstance(container.state, Terminated) or (
        isinstance(container.state, Waiting) and container.last_termination is not None
    )


def _state_json(state: State) -> Object:
    if isinstance(state, Waiting):
        return {"waiting": _without_empty(reason=state.reason, message=state.message)}
    if isinstance(state, Running):
        return {"running": {"startedAt": state.started_at}}
    ended = _without_empty(
        reason=state.reason,
        message=state.message,
        startedAt=state.started_at,
        finishedAt=state.finished_at,
    )
    return {"terminated": {"exitCode": state.code, **ended}}


def _without_empty(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value}
