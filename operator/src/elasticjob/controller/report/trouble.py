"""Why pods do not run, in the few words that a person needs: `3/4 unschedulable: ...`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elasticjob.controller.observe.parse import ContainerState, ObservedPod, WorkerContainer
from elasticjob.controller.observe.snapshot import Refusal, Snapshot
from elasticjob.controller.plan import first_round, refused, replace
from elasticjob.controller.plan.actions import Action, EnsurePrerequisites, Later
from elasticjob.rendezvous.state import EXIT_SETUP

LONGEST_PHRASE = 120
LONGEST_REFUSAL = 160
LONGEST_FULL = 800

# Reasons of a waiting container that do not pass by themselves, as the kubelet words them.
_STUCK = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
# Reasons of an ended container that was never started: no python3 in the image, for example.
_NOT_STARTED = {"StartError", "ContainerCannotRun"}
# runc: exec: "python3": executable file not found; crun: executable file `python3` not found
_NO_PYTHON = re.compile(r"""["'`]python3["'`]:? (executable file )?not found""")
# "0/5 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had ... preemption: ..."
_NODES = re.compile(r"^\d+/\d+ nodes are available: (?:\d+ )?([^,.]+(?:\.[^,. ]+)*)")

# 'pods "demo-0-0" is forbidden: ...', 'Pod "demo-0-0" is invalid: ...': which pod it was is chance.
_REFUSED = re.compile(r'^pods? "[^"]*" is (forbidden|invalid): ', re.IGNORECASE)
_CURES = (
    (re.compile(r'^Pod "[^"]*" is invalid: '), "correct spec.template"),
    (re.compile(r"exceeded quota: "), "raise the quota, lower replicas, or wait until it has room"),
    (re.compile(r"must specify .* for: "), "set these resources in spec.template"),
    (re.compile(r"violates PodSecurity "), "correct spec.template, or relax the namespace's level"),
    (re.compile(r"User .* cannot create resource "), "give this right to the operator's account"),
)


@dataclass(frozen=True)
class Trouble:
    """What keeps pods from running. reason: for programs. text: for people, in one short line.
    full: the same with all that is known."""

    reason: str
    text: str
    full: str = ""


def trouble(snapshot: Snapshot) -> Trouble | None:
    """What most of the pods that do not run suffer from; None if nothing is known to be wrong."""
    if not_made := refusal(snapshot):
        return not_made
    found = Counter(kind for index in snapshot.indexes for kind in _of_index(snapshot, index))
    if not found:
        return None
    (reason, text), count = found.most_common(1)[0]
    return Trouble(reason, f"{count}/{snapshot.spec.replicas} {text}")


def refusal(snapshot: Snapshot) -> Trouble | None:
    """Why pods that are missing cannot be made, in the words of the API server."""
    if running(snapshot) >= snapshot.spec.replicas:
        return None
    if needed := _refusals(snapshot, _needed(snapshot)):
        return _refused("no pods can be made", needed)
    if pods := _refusals(snapshot, replace.missing_pods(snapshot) if snapshot.lease else ()):
        return _refused(f"{len(pods)}/{snapshot.spec.replicas} pods cannot be made", pods)
    return None


def _refused(what: str, refusals: list[Refusal]) -> Trouble:
    """Most of them were refused in these words."""
    (words, cure), _ = Counter(_plain(each.why) for each in refusals).most_common(1)[0]
    short, full = (clipped(words, longest) for longest in (LONGEST_REFUSAL, LONGEST_FULL))
    return Trouble("PodsRefused", f"{what}: {short}", f"{what}: {full}{cure}")


def _refusals(snapshot: Snapshot, actions: Iterable[Action | Later]) -> list[Refusal]:
    asked = (action for action in actions if not isinstance(action, Later))
    return [found for action in asked if (found := refused.last_refusal(snapshot, action))]


def _needed(snapshot: Snapshot) -> Iterable[Action | Later]:
    """What creates all that every pod needs."""
    return [EnsurePrerequisites()] if snapshot.lease else first_round.create_round(snapshot)


def _plain(why: str) -> tuple[str, str]:
    """The words without the pod's name, and the cure if one is known."""
    cure = next((f"; {cure}" for sign, cure in _CURES if sign.search(why)), "")
    return _REFUSED.sub("", " ".join(why.split())), cure


def running(snapshot: Snapshot) -> int:
    """How many of the wanted indexes have a pod whose agent runs, and is not given up."""
    found = (
        pod
        for pod in replace.pods_in_place(snapshot)
        if snapshot.living[pod].container.state is ContainerState.RUNNING
    )
    return len({pod.index for pod in found} & {*snapshot.indexes})


def clipped(text: str, longest: int) -> str:
    """The text, with an ellipsis after the last word that there is room for."""
    if len(text) <= longest:
        return text
    cut = text[: longest - 3]
    word_end = cut.rfind(" ") if text[longest - 3] != " " else len(cut)
    return (cut[:word_end] if word_end > 0 else cut).rstrip(" ,;:") + "..."


def _of_index(snapshot: Snapshot, index: int) -> Iterator[tuple[str, str]]:
    """Of the newest pod of an index: (reason, text)."""
    pod = (
        snapshot.by_pod[current]
        if (current := snapshot.newest_pod(index)) in snapshot.by_pod
        else None
    )
    if pod is None:
        return
    if pod.unschedulable:
        yield "Unschedulable", f"unschedulable: {_nodes_phrase(pod.unschedulable)}"
    elif pod.container.state is ContainerState.WAITING and pod.container.reason in _STUCK:
        yield pod.container.reason, f"{pod.container.reason}: {_phrase(pod.container.message)}"
    elif _is_setup(pod):
        yield "AgentSetupFailed", f"agent cannot start: {_not_started(pod)}"
    elif pod.container.state is ContainerState.TERMINATED:  # and its successor has to wait
        yield "PodsEnded", f"ended: {_phrase(_end(pod.container))}"


def _end(worker: WorkerContainer) -> str:
    """A pod that its node did not admit has a reason and no exit code."""
    code = f"exit code {worker.exit_code}" if worker.exit_code is not None else ""
    what = ", ".join(part for part in (worker.reason, code) if part)
    return ": ".join(part for part in (what, worker.message) if part)


def _is_setup(pod: ObservedPod) -> bool:
    ended = pod.container.state is ContainerState.TERMINATED
    return ended and (pod.container.exit_code == EXIT_SETUP or pod.container.reason in _NOT_STARTED)


def _not_started(pod: ObservedPod) -> str:
    """The agent's own words, or the runtime's: a chain of errors, of which the last matters."""
    message = " ".join((pod.container.message or f"exit code {pod.container.exit_code}").split())
    if pod.container.reason not in _NOT_STARTED:
        return _phrase(message)
    if _NO_PYTHON.search(message):
        return "the image has no python3; 3.9 or later is needed"
    return message if len(message) <= LONGEST_PHRASE else "..." + message[3 - LONGEST_PHRASE :]


def _nodes_phrase(message: str) -> str:
    match = _NODES.match(message)
    return _phrase(match.group(1) if match else message)


def _phrase(message: str) -> str:
    return clipped(" ".join(message.split()), LONGEST_PHRASE)
