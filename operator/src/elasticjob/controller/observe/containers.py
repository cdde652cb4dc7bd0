"""The containers of a pod, as its kubelet reports them.

The state of a pod is that of its worker container, not the pod's phase: the sidecar of a service
mesh outlives the agent, and the pod then stays Running without a process of the job.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from elasticjob.api.reserved import AGENT_DIRECTORY
from elasticjob.controller.observe.pod_defaults import MESSAGE_POLICY
from elasticjob.wire import untrusted
from elasticjob.wire.cause import LARGEST_CODE, with_end
from elasticjob.wire.codec import Json

LONGEST_MESSAGE = 12 * 1024  # bytes of termination messages that the kubelet keeps of a pod
_KILLED = 137  # by SIGKILL, before it could write a message


class ContainerState(Enum):
    """The state of a worker container."""

    WAITING = "waiting"  # it has not started
    RUNNING = "running"  # the agent runs
    TERMINATED = "terminated"  # the agent has ended; Kubernetes never starts it again


@dataclass(frozen=True)
class WorkerContainer:
    """The worker container of a pod."""

    state: ContainerState = ContainerState.WAITING
    reason: str = ""  # why it waits or has ended
    message: str = ""  # why it waits, or its termination message
    exit_code: int | None = None
    finished_at: str = ""  # by the kubelet's clock: only to find out which pod ended last
    cause: str = ""  # in the termination message: a kind of cause, or SetupFailed


NOT_REPORTED = WorkerContainer()


@dataclass(frozen=True)
class InitContainer:
    """The init container that a pod waits for, or with which it has ended."""

    name: str
    state: ContainerState = ContainerState.WAITING
    reason: str = ""  # why it waits or has ended
    message: str = ""  # why it waits, or its termination message
    exit_code: int | None = None  # also of the end before, of one that is started again
    at: str = ""  # when it started or ended, by the kubelet's clock


def are_all_terminated(spec: Json, status: Json) -> bool:
    """Whether all containers have ended. The kubelet reports this before it changes the phase."""
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    states = {c.get("name"): c.get("state") or {} for c in status.get("containerStatuses") or []}
    containers = spec.get("containers") or []
    return all("terminated" in states.get(c["name"], {}) for c in containers)


def worker_container(spec: Json, status: Json) -> WorkerContainer:
    """The container in which the agent runs."""
    name = worker_container_name(spec)
    found = [c for c in status.get("containerStatuses") or [] if c.get("name") == name]
    state = (found[0].get("state") or {}) if found else {}
    if "terminated" in state:
        containers = [c for c in spec.get("containers") or [] if c["name"] == name]
        return _ended(state["terminated"], any(map(_is_end_of_log, containers)))
    if status.get("phase") in ("Succeeded", "Failed"):  # ended before its containers ran
        return WorkerContainer(
            ContainerState.TERMINATED, words(status, "reason"), words(status, "message")
        )
    if "running" in state:
        return WorkerContainer(ContainerState.RUNNING)
    waiting = state.get("waiting") or {}
    return WorkerContainer(
        ContainerState.WAITING, words(waiting, "reason"), words(waiting, "message")
    )


def _ended(state: Json, is_log: bool) -> WorkerContainer:
    code, reason = _exit_code(state), words(state, "reason")
    is_killed = code == _KILLED and reason in ("Error", "OOMKilled")
    message, cause = termination_message(state.get("message") or "", is_killed, is_log)
    return WorkerContainer(
        ContainerState.TERMINATED,
        reason,
        message,
        code,
        state.get("finishedAt") or "",
        cause,
    )


def _exit_code(state: Json) -> int | None:
    code = state.get("exitCode")
    return code if isinstance(code, int) and 0 <= code <= LARGEST_CODE else None


def never_ran(container: WorkerContainer) -> bool:
    """Whether it waits, or its pod has ended before it ran."""
    ended = container.state is ContainerState.TERMINATED and container.exit_code is not None
    return container.state is not ContainerState.RUNNING and not ended


def init_container(spec: Json, status: Json) -> InitContainer | None:
    """The first init container that has not done its work; None if the kubelet reports none."""
    found = {c.get("name"): c for c in status.get("initContainerStatuses") or []}
    for container in spec.get("initContainers") or () if found else ():
        reported = found.get(container["name"]) or {}
        if not _has_done_its_work(container, reported):
            return _unfinished(container, reported)
    return None


def _has_done_its_work(container: Json, reported: Json) -> bool:
    """Whether the next container may start: this one has succeeded. A sidecar has started."""
    if container.get("restartPolicy") == "Always":
        return bool(reported.get("started"))
    ended = (reported.get("state") or {}).get("terminated")
    return ended is not None and ended.get("exitCode") == 0


def _unfinished(container: Json, reported: Json) -> InitContainer:
    name, state = container["name"], reported.get("state") or {}
    last = (reported.get("lastState") or {}).get("terminated")
    if "running" in state:
        at = words(state["running"], "startedAt")
        return InitContainer(name, ContainerState.RUNNING, at=at)
    ended = state.get("terminated") or last  # a kubelet starts a sidecar again
    if ended is not None:
        reason, message = words(ended, "reason"), words(ended, "message")
        message = _error_first(message) if _is_end_of_log(container) else message
        code, at = _exit_code(ended), words(ended, "finishedAt")
        return InitContainer(name, ContainerState.TERMINATED, reason, message, code, at)
    waiting = state.get("waiting") or {}
    reason, message = words(waiting, "reason"), words(waiting, "message")
    return InitContainer(name, ContainerState.WAITING, reason, message)


def _is_end_of_log(container: Json) -> bool:
    """Whether a container that wrote no termination message has the end of its log as one."""
    return container.get("terminationMessagePolicy") == MESSAGE_POLICY


def _error_first(text: str) -> str:
    """The end of a log after its last line, which names the error most often."""
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    return with_end(lines[-1], lines, "the log") if lines else ""


def termination_message(
    text: str, is_killed: bool = False, is_log: bool = False
) -> tuple[str, str]:
    """The `message` and the `cause` in the JSON that the agent writes, or the text itself as the
    message if it is none.

    Any process of the pod can write it. is_log: without one it is the end of the log, which is no
    cause if the agent was killed.
    """
    text = text[-LONGEST_MESSAGE:]
    try:
        record = untrusted.decode(text, "the termination message")
    except untrusted.WireError:
        record = None
    if not isinstance(record, dict):
        words_ = untrusted.plain(text)
        return "" if is_killed else _error_first(words_) if is_log else words_, ""
    message, cause = (record.get(key) for key in ("message", "cause"))
    return (
        untrusted.plain(message) if isinstance(message, str) else "",
        cause if isinstance(cause, str) else "",
    )


def worker_container_name(spec: Json) -> str:
    """The container with the agent in this pod; the current template may name another one."""
    for container in spec.get("containers") or []:
        mounts = container.get("volumeMounts") or []
        if any(mount.get("mountPath") == AGENT_DIRECTORY for mount in mounts):
            return str(container["name"])
    return ""


def words(owner: Json, field: str) -> str:
    """A text for people; empty if it is absent."""
    return untrusted.plain(str(owner.get(field) or ""))[:LONGEST_MESSAGE]
