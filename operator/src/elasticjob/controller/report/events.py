"""What the events of a job report besides its rounds: changes of the status, and actions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from elasticjob.api import launchers
from elasticjob.api.rules import worker_command_line
from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.plan.actions import (
    Action,
    CreatePod,
    CreateRound,
    DeletePod,
    EnsurePrerequisites,
    describe,
)
from elasticjob.controller.report.journal import Note, note
from elasticjob.controller.report.pods.names import listed
from elasticjob.controller.report.round_events import is_recovery
from elasticjob.controller.report.texts import DELETIONS, REFUSES, few
from elasticjob.wire import names
from elasticjob.wire.member import Pod

_NO_PROBLEM = ("PodsStart", "NotWanted", "Ended")  # reasons of PodsReady=False without a problem
_NEW_TEMPLATE = "TemplateChanged"  # a reason of PodsReady=False, for which pods are deleted


def of_causes(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    """The transitions from one status to the other for which the operator acts: they come before
    its actions."""
    if _truth(new, "Accepted") == "False" and _message(old, "Accepted") != _message(
        new, "Accepted"
    ):
        yield note("Refused", message=_message(new, "Accepted"))
    yield from _become_true(old, new, "Unstable", "Obstructed")
    if _truth(old, "Suspended") == "True" and _became(old, new, "Suspended", "False"):
        yield note("Resumed")
    if (problem := _problem(new)) and problem != _problem(old) and problem[0] == _NEW_TEMPLATE:
        yield note(problem[0], message=_message(new, "PodsReady"))
    yield from _become_true(old, new, "Complete", "Failed")


def of_pods(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    """The transitions of pods, which exist or are gone by the operator's actions: they come after
    these."""
    if (problem := _problem(new)) and problem != _problem(old) and problem[0] != _NEW_TEMPLATE:
        yield note(problem[0], message=_message(new, "PodsReady"))
    if not is_recovery(new):
        yield from _become_true(old, new, "Running")
    yield from _become_true(old, new, "Suspended")


def of_spec(job: Job, reported: ElasticJobStatus) -> Iterator[Note]:
    """Warnings about a spec, once for each generation of it."""
    if job.spec is None or reported.observed_generation == job.generation:
        return
    name = launchers.launcher_without_group(worker_command_line(job.body["spec"]))
    if name and job.spec.replicas * job.spec.nproc_per_node > 1:
        yield note("LauncherInCommand", launcher=name, flags=launchers.GROUP_FLAGS[name])


def of_actions(job: Job, actions: tuple[Action, ...]) -> Iterator[Note]:
    """Pods that were created and deleted: one note for all of one kind, in order."""
    found: dict[tuple[str, str], list[Pod]] = {}
    for action in actions:
        if isinstance(action, CreatePod):
            reason = "PodsReplaced" if action.replaces else "PodsCreated"
            found.setdefault((reason, ""), []).append(action.pod)
        elif isinstance(action, DeletePod):
            pod = Pod(*names.parse_pod_name(action.name))
            why = ": ".join(part for part in (DELETIONS[action.why], few(action.changed)) if part)
            found.setdefault(("PodsDeleted", why), []).append(pod)
    for (reason, why), pods in found.items():
        yield note(reason, pods=listed(job, pods), why=why)


def of_restored(restored: Collection[str]) -> Iterator[Note]:
    """The rights of agents that were created again."""
    if restored:
        yield note("RightsRestored", objects=" and ".join(restored))


def of_refusals(job: Job, refused: Mapping[Action, str]) -> Iterator[Note]:
    """The first refused request, with the API server's message and the number of the others.

    The condition PodsReady reports pods that cannot be created.
    """
    of_pods = (EnsurePrerequisites, CreateRound, CreatePod)
    found = [(action, why) for action, why in refused.items() if not isinstance(action, of_pods)]
    if found:
        (action, why), more = found[0], len(found) - 1
        requests = "request was" if more == 1 else "requests were"
        rest = f"; {more} more {requests} refused" if more else ""
        yield note("RequestRefused", request=describe(action, job.name), why=why + rest)


def _become_true(old: ElasticJobStatus, new: ElasticJobStatus, *types: str) -> Iterator[Note]:
    """The conditions of these types that have become True."""
    for type_ in types:
        if _became(old, new, type_, "True"):
            yield note(type_, message=_message(new, type_))


def _became(old: ElasticJobStatus, new: ElasticJobStatus, type_: str, truth: str) -> bool:
    return _truth(new, type_) == truth != _truth(old, type_)


def _truth(status: ElasticJobStatus, type_: str) -> str:
    return next((c.status for c in status.conditions or [] if c.type == type_), "")


def _message(status: ElasticJobStatus, type_: str) -> str:
    return next((c.message for c in status.conditions or [] if c.type == type_), "")


def _problem(status: ElasticJobStatus) -> tuple[str, str] | None:
    """Why pods do not run, by the condition PodsReady; None if they are only starting.

    Of refused pods the second part is the message of the API server or the node, which makes
    another event, and of a new template its fields. It contains neither the number of refused pods
    nor the time of the next try, which make none.
    """
    for found in status.conditions or []:
        if found.type == "PodsReady" and found.status == "False":
            has_words = found.reason in ("PodsRefused", "TemplateRefused", _NEW_TEMPLATE)
            what = found.message.partition(REFUSES)[0]
            words = what.partition(": ")[2] if has_words else ""
            return None if found.reason in _NO_PROBLEM else (found.reason, words)
    return None
