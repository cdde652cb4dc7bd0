"""What a kubelet says of a pod: container states, phase and conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elasticjob.local.api.objects.resource import Object


@dataclass(frozen=True)
class Waiting:
    """Not started yet, or between two runs."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """Its main process lives."""

    started_at: str


@dataclass(frozen=True)
class Terminated:
    """Its main process has ended, and nothing of it is alive."""

    code: int
    reason: str
    message: str
    started_at: str
    finished_at: str


State = Waiting | Running | Terminated


@dataclass(frozen=True)
class ContainerStatus:
    """One container; `last` is how its run before the present one ended."""

    name: str
    image: str
    state: State
    last: Terminated | None = None
    restarts: int = 0
    container_id: str = ""

    @property
    def succeeded(self) -> bool:
        """Ended with 0."""
        return isinstance(self.state, Terminated) and self.state.code == 0

    @property
    def running(self) -> bool:
        """Without probes, running is ready."""
        return isinstance(self.state, Running)

    def to_json(self) -> Object:
        """A core/v1 ContainerStatus."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "",
            "ready": self.running,
            "started": self.running,
            "restartCount": self.restarts,
            "containerID": self.container_id,
            "state": _state_json(self.state),
            "lastState": _state_json(self.last) if self.last else {},
        }


def phase(
    policy: str, inits: Sequence[ContainerStatus], containers: Sequence[ContainerStatus]
) -> str:
    """The pod's phase, as a kubelet computes it. `policy` is "Never" for a pod that is going."""
    if policy == "Never" and any(_ended(init) and not init.succeeded for init in inits):
        return "Failed"
    if not _initialized(inits) or any(_never_started(container) for container in containers):
        return "Pending"
    if not all(_ended(container) for container in containers):
        return "Running"
    if policy == "Always":
        return "Running"
    if all(container.succeeded for container in containers):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def conditions(
    pod_phase: str,
    inits: Sequence[ContainerStatus],
    containers: Sequence[ContainerStatus],
    before: Iterable[Object],
    now: str,
) -> list[Object]:
    """The pod's conditions; one whose status has not changed keeps its transition time."""
    ready = _ready(pod_phase, containers)
    found = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", **_all_initialized(inits)},
        {"type": "ContainersReady", **ready},
        {"type": "Ready", **ready},
    ]
    return [dated(condition, before, now) for condition in found]


def dated(condition: Object, before: Iterable[Object], now: str) -> Object:
    """The condition with the time at which its status was last another."""
    old = next((entry for entry in before if entry["type"] == condition["type"]), None)
    same = old is not None and old["status"] == condition["status"]
    return {**condition, "lastTransitionTime": old["lastTransitionTime"] if old and same else now}


def _ready(pod_phase: str, containers: Sequence[ContainerStatus]) -> dict[str, str]:
    if pod_phase in ("Succeeded", "Failed"):
        reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}[pod_phase]
        return {"status": "False", "reason": reason}
    waiting = [container.name for container in containers if not container.running]
    if not waiting:
        return {"status": "True"}
    message = f"containers with unready status: [{' '.join(waiting)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": message}


def _all_initialized(inits: Sequence[ContainerStatus]) -> dict[str, str]:
    waiting = [init.name for init in inits if not init.succeeded]
    if not waiting:
        return {"status": "True"}
    message = f"containers with incomplete status: [{' '.join(waiting)}]"
    return {"status": "False", "reason": "ContainersNotInitialized", "message": message}


def _initialized(inits: Sequence[ContainerStatus]) -> bool:
    return all(init.succeeded for init in inits)


def _never_started(container: ContainerStatus) -> bool:
    return isinstance(container.state, Waiting) and container.last is None


def _ended(container: ContainerStatus) -> bool:
    """Between two runs counts as ended: the policy says what that means."""
    return isinstance(container.state, Terminated) or (
        isinstance(container.state, Waiting) and container.last is not None
    )


def _state_json(state: State) -> Object:
    if isinstance(state, Waiting):
        return {"waiting": _present(reason=state.reason, message=state.message)}
    if isinstance(state, Running):
        return {"running": {"startedAt": state.started_at}}
    ended = _present(
        reason=state.reason,
        message=state.message,
        startedAt=state.started_at,
        finishedAt=state.finished_at,
    )
    return {"terminated": {"exitCode": state.code, **ended}}


def _present(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value}
