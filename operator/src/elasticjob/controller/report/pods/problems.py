"""Why pods do not run, in one short line for people: `3/4 pods unschedulable: ...`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.containers import ContainerState, InitContainer
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import older_job
from elasticjob.controller.report import summary, waiting
from elasticjob.controller.report.pods import refusals
from elasticjob.controller.report.pods.problem import (
    LONGEST_FULL,
    LONGEST_REFUSAL,
    LONGEST_WHOLE,
    TEMPLATE_REFUSED,
    PodProblem,
    line,
)
from elasticjob.controller.report.texts import (
    ANY,
    CORRECT_INIT,
    CREATED_AGAIN,
    FREE_NODES,
    OLDER_JOB,
    PROBLEMS,
    REFUSES,
    REPLACES,
    RETRIES,
    STAYS,
    clipped,
)
from elasticjob.rendezvous.state import EXIT_SETUP, SETUP_FAILED

LONGEST_PHRASE = 120

# The reason of a pod with a field that the local mode does not support.
_UNSUPPORTED = "Unsupported"
_INVALID_IMAGE = "InvalidImageName"
# The kubelet's other reasons of a waiting container that do not pass by themselves.
_STUCK = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
# Reasons of an ended container that was never started: no python3 in the image, for example.
_NOT_STARTED = {"StartError", "ContainerCannotRun"}
# runc: exec: "python3": executable file not found; crun: executable file `python3` not found; the
# local mode: exec "python3": No such file or directory
_NO_PYTHON = re.compile(r"""["'`]python3["'`]:? ((executable file )?not found|No such file)""")
# exec /usr/bin/python3: argument list too long
_TOO_LONG = re.compile(r"argument list too long", re.IGNORECASE)
# python3: error while loading shared libraries: libc.so.6: file too short
_NOT_LOADED = re.compile(r"error while loading shared libraries: |symbol lookup error: ")
# "0/5 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had ... preemption: ..."
_NODES = re.compile(r"^\d+/\d+ nodes are available: (?:\d+ )?([^,.]+(?:\.[^,. ]+)*)")

_TIME = re.compile(r"T(\d\d:\d\d:\d\d)")

_CONTAINER = re.compile(r'^container "[^"]*": ')


@dataclass(frozen=True)
class _Found:
    """The problem of one pod. Pods with the same reason and words are counted together."""

    reason: str
    why: str  # in STATUS
    whole: str = ""  # in the condition, if it has more words
    at: str = ""  # since when, by the kubelet's clock
    more: str = ""  # what the condition has after these words
    is_chain: bool = False  # of messages, of which STATUS needs the last one
    where: str = ""  # words before the chain
    cure: str = ""  # the words in short: the field and the cure


def most_frequent(snapshot: Snapshot) -> PodProblem | None:
    """The problem that most of the pods which do not run have; None if none is known."""
    if awaited := older_job.awaited_pods(snapshot):
        return _awaited(awaited)
    if not_created := refusals.of(snapshot):
        return not_created
    waits = _warned(snapshot)
    found = [each for index in snapshot.indexes for each in _of_index(snapshot, index, waits)]
    if not found:
        return None
    (reason, why), number = Counter((each.reason, each.why) for each in found).most_common(1)[0]
    same = [each for each in found if (each.reason, each.why) == (reason, why)]
    fields = {"count": number, "replicas": snapshot.spec.replicas, "reason": reason}
    fields["since"] = _clock(min(each.at for each in same))
    whole = same[0].whole or why
    forms: tuple[str, ...] = (why, same[0].cure) if same[0].cure else (why,)
    if same[0].is_chain:
        where, chain = same[0].where, whole.removeprefix(same[0].where)
        texts = (_phrase(summary.of_message(chain)), summary.end_of_chain(chain))
        forms = tuple(f"{where}{text}" for text in texts)
    template = PROBLEMS.get(reason, PROBLEMS[ANY])
    full, short, *shorter = (template.format(**fields, why=words) for words in (whole, *forms))
    full = clipped(full + same[0].more, LONGEST_FULL)
    count = number if "{count}" in template else 0
    return PodProblem(reason, short, full, tuple(shorter), count)


def _awaited(pods: list[ObservedPod]) -> PodProblem:
    """Pods of an older job whose agents have not ended."""
    more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
    return PodProblem("OlderJob", OLDER_JOB.format(pods=f"{pods[0].name}{more}"))


def _of_index(snapshot: Snapshot, index: int, waits: _Found | None) -> Iterator[_Found]:
    """The problem of the newest pod of an index, if it has one.

    waits: that of pods that wait on their node.
    """
    newest = snapshot.newest_pod(index)
    pod = snapshot.by_pod.get(newest) if newest else None
    if pod is None:
        return
    if pod.unschedulable:
        yield _Found("Unschedulable", _nodes_phrase(pod.unschedulable), more=FREE_NODES + STAYS)
    elif found := _of_init_container(snapshot, pod):
        yield found
    elif refused_by := _refused_by_node(pod):
        yield refused_by
    elif pod.container.state is ContainerState.WAITING and pod.container.reason in _STUCK:
        yield _stuck(pod.container.reason, pod.container.message)
    elif waits and lasting.is_not_starting(pod):
        yield waits
    elif _is_setup(pod):
        yield _not_started(snapshot, pod)
    elif pod.container.state is ContainerState.TERMINATED:  # and its replacement has to wait
        ended = pod.container
        how = _phrase(_end(ended.reason, ended.exit_code, _first_line(ended.message)))
        yield _Found("PodsEnded", how, more=CREATED_AGAIN)


def _refused_by_node(pod: ObservedPod) -> _Found | None:
    """A field of the template with which the node does not run the pod."""
    reason, init = pod.container.reason, pod.init
    if reason == _UNSUPPORTED and pod.container.state is ContainerState.TERMINATED:
        words = line(pod.container.message)
        fault = _CONTAINER.sub("", words)
        whole = clipped(f": {words}", LONGEST_WHOLE)
        more, cure = REFUSES + REPLACES, _cure(fault)
        return _Found(TEMPLATE_REFUSED, f": {fault}", whole, more=more, cure=cure)
    if init and init.reason == _INVALID_IMAGE and pod.living:
        return _invalid_image(init.message, where=f"init container {init.name}: ")
    return _invalid_image(pod.container.message) if reason == _INVALID_IMAGE else None


def _invalid_image(message: str, where: str = "") -> _Found:
    """An image whose name is no name, in a pod that stays. where: an init container."""
    field_, words = f": {where}image", line(message)
    whole = clipped(f": {where}{_INVALID_IMAGE}: {words}", LONGEST_WHOLE)
    short = f"{field_}: {summary.end_of_chain(words)}"
    return _Found(TEMPLATE_REFUSED, short, whole, more=REFUSES, cure=field_ if where else "")


def _cure(fault: str) -> str:
    """The field and the cure of `env KEY: secretKeyRef is not supported; use value`; empty without
    a cure."""
    what, _, cure = fault.partition("; ")
    field_ = what.rpartition(": ")[0] or what.partition(" ")[0]
    return f": {field_}: {cure}" if cure else ""


def _of_init_container(snapshot: Snapshot, pod: ObservedPod) -> _Found | None:
    """What an init container does that keeps the containers of a pod from starting."""
    init = pod.init
    if init is None or not (pod.living or _ended_by_init_container(pod)):
        return None
    if init.state is ContainerState.RUNNING:
        return _Found("InitContainerRunning", init.name, at=init.at, more=f" in {pod.name}{STAYS}")
    if init.state is ContainerState.TERMINATED:
        return _failed(snapshot.job.namespace, pod, init)
    if init.reason in _STUCK:
        return _stuck(init.reason, init.message, where=f"init container {init.name}: ")
    return None


def _stuck(reason: str, message: str, more: str = "", where: str = "") -> _Found:
    """What a pod waits for, in words of the kubelet, which are longer in the condition."""
    words = f"{where}{message}"
    whole = clipped(line(words), LONGEST_WHOLE)
    return _Found(reason, _phrase(words), whole, more=more + STAYS, is_chain=True, where=where)


def _ended_by_init_container(pod: ObservedPod) -> bool:
    """Whether the node gave no other reason, such as an eviction."""
    return not pod.container.reason


def _failed(namespace: str, pod: ObservedPod, init: InitContainer) -> _Found:
    """An init container that has ended its pod, or a sidecar, which the kubelet starts again."""
    how = _end("" if init.reason == "Error" else init.reason, init.exit_code)
    when = f" at {init.at}" if init.at else ""
    error = _first_line(init.message)
    message = f": {_phrase(error)}" if error else ""
    look = f"; see kubectl logs -n {namespace} {pod.name} -c {init.name}"
    next_ = CORRECT_INIT + (STAYS if pod.living else RETRIES)
    more = f" in {pod.name}{when}{message}{look}{next_}"
    return _Found("InitContainerFailed", f"{init.name}: {how}", at=init.at, more=more)


def _warned(snapshot: Snapshot) -> _Found | None:
    """What the Events of a pod report that waits on its node, with the other such pods."""
    name, warnings = waiting.last_warnings(snapshot)
    if not warnings:
        return None
    newest = warnings[0]
    others = "".join(f"; {each.reason}: {_phrase(each.message)}" for each in warnings[1:])
    return _stuck(newest.reason, newest.message, f" in {name} at {newest.at}{others}")


def _clock(at: str) -> str:
    """The time of day in an RFC 3339 time of the kubelet."""
    found = _TIME.search(at)
    return f"{found[1]}Z" if found else "an unknown time"


def _end(reason: str, exit_code: int | None, message: str = "") -> str:
    """How a container ended. One that its node did not admit has a reason and no exit code."""
    code = f"exit code {exit_code}" if exit_code is not None else ""
    what = ", ".join(part for part in (reason, code) if part)
    return ": ".join(part for part in (what, message) if part) or "no reason is known"


def _is_setup(pod: ObservedPod) -> bool:
    """Whether the agent could not start, or found that it cannot work in this pod."""
    ended = pod.container
    if ended.state is not ContainerState.TERMINATED:
        return False
    if ended.cause:  # a worker may have exited with the same code
        return ended.cause == SETUP_FAILED
    has_sign = any(sign.search(ended.message) for sign in (_TOO_LONG, _NOT_LOADED))
    return ended.exit_code == EXIT_SETUP or ended.reason in _NOT_STARTED or has_sign


def _not_started(snapshot: Snapshot, pod: ObservedPod) -> _Found:
    """The agent's message, or the cause in that of the runtime or the loader, with the cure."""
    found = pod.container
    message = " ".join((found.message or f"exit code {found.exit_code}").split())
    why, more, whole = _phrase(_first_line(found.message) or message), "", ""
    if _TOO_LONG.search(message):
        why, more = _too_long(snapshot)
    elif line := next((x for x in found.message.splitlines() if _NOT_LOADED.search(x)), ""):
        why, more = _not_loaded(line)
    elif found.reason in _NOT_STARTED and _NO_PYTHON.search(message):
        why, more = "the image has no python3 (3.9+)", ": use one with Python 3.9 or later"
    elif found.reason in _NOT_STARTED:
        why, whole = summary.end_of_chain(message), clipped(message, LONGEST_WHOLE)
    return _Found("AgentSetupFailed", why, whole, more=more + RETRIES)


def _not_loaded(line: str) -> tuple[str, str]:
    """Which library the loader cannot use, and more words for the condition."""
    words = _NOT_LOADED.split(line, maxsplit=1)[1]
    path, _, fault = words.partition(": ")
    library = path.rpartition("/")[2]
    cure = "LD_LIBRARY_PATH or LD_PRELOAD may name it: correct them, or use another image"
    return _phrase(f"library {library}: {fault}"), f"; {clipped(line, LONGEST_REFUSAL)}; {cure}"


def _too_long(snapshot: Snapshot) -> tuple[str, str]:
    """Why the kernel does not execute the command, and more words for the condition.

    Each Service of the namespace gives a container several variables, unless the template has
    `enableServiceLinks: false`. The operator does not set it: workers may use these variables.
    """
    if snapshot.job.body["spec"]["template"]["spec"].get("enableServiceLinks") is False:
        return "argument list too long; shorten env and args", " of the worker container"
    cure = "argument list too long; set enableServiceLinks: false"
    return cure, " in spec.template.spec, or shorten env and args of the worker container"


def _nodes_phrase(message: str) -> str:
    match = _NODES.match(message)
    return _phrase(match.group(1) if match else message)


def _first_line(message: str) -> str:
    """The line that names the error."""
    return message.partition("\n")[0]


def _phrase(message: str) -> str:
    return clipped(line(message), LONGEST_PHRASE)
