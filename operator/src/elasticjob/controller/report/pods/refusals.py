"""Why the API server does not create pods of a job, in its words, with the cure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from elasticjob.controller.observe.memory import Refusal
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import first_round, refused
from elasticjob.controller.plan.actions import Action, EnsurePrerequisites
from elasticjob.controller.report import summary
from elasticjob.controller.report.pods import agents
from elasticjob.controller.report.pods.problem import (
    LONGEST_FULL,
    LONGEST_REFUSAL,
    LONGEST_WHOLE,
    TEMPLATE_REFUSED,
    PodProblem,
    line,
)
from elasticjob.controller.report.texts import NO_PODS, PROBLEMS, REFUSES, TRIES_AGAIN, clipped
from elasticjob.rendezvous.now import Now

_NUMBER = re.compile(r"\d+")
# 'pods "demo-0-0" is forbidden: ...', 'Pod "demo-0-0" is invalid: ...'; any pod may be named.
_REFUSED = re.compile(r'^pods? "[^"]*" is (forbidden|invalid): ', re.IGNORECASE)
_INVALID = re.compile(r'^Pod "[^"]*" is invalid: ')
# "spec.x: Required value, spec.y: Invalid value: ..."; the first field has its place before it.
_NEXT_FIELD = re.compile(r", (?=(?:spec|metadata)\.\S+: [A-Z])")
_CURES = (
    (re.compile(r"exceeded quota: "), "raise the quota, lower replicas, or wait until it has room"),
    (re.compile(r"must specify .* for: "), "set these resources in spec.template"),
    (re.compile(r"violates PodSecurity "), "correct spec.template, or relax the namespace's level"),
    (re.compile(r" denied the request: "), "correct spec.template or the webhook's policy"),
    (re.compile(r"User .* cannot create resource "), "grant this right to the operator's account"),
)


def of(snapshot: Snapshot) -> PodProblem | None:
    """Why missing pods cannot be created, in the words of the API server."""
    if not snapshot.refusals or agents.running(snapshot) >= snapshot.spec.replicas:
        return None
    if needed := _refusals(snapshot, _needed(snapshot)):
        return _refused(snapshot, NO_PODS, needed)
    if pods := _refusals(snapshot, agents.to_create(snapshot)):
        return _refused(snapshot, PROBLEMS["PodsRefused"], pods)
    return None


def _refused(snapshot: Snapshot, template: str, refusals: list[Refusal]) -> PodProblem:
    """The problem with the words in which most of them were refused. The words for two pods differ
    in the numbers of their names, and in those of what a quota has used."""
    texts = [line(each.why) for each in refusals]
    (most, _), *_ = Counter(_NUMBER.sub("", text) for text in texts).most_common(1)
    why = next(text for text in texts if _NUMBER.sub("", text) == most)
    if found := _INVALID.match(why):
        return _invalid(why[found.end() :])
    words, cure = _plain(why)
    counts = {"count": len(refusals), "replicas": snapshot.spec.replicas}
    short, full = (
        template.format(why=text, **counts)
        for text in (summary.of_message(words), clipped(words, LONGEST_FULL))
    )
    count = len(refusals) if "{count}" in template else 0
    return PodProblem("PodsRefused", clipped(short, LONGEST_REFUSAL), full + cure, count=count)


def _invalid(faults: str) -> PodProblem:
    """Fields of the template that the API server refuses in a pod; several are in brackets."""
    if faults.startswith("[") and faults.endswith("]"):
        faults = _NEXT_FIELD.sub(", spec.template.", faults[1:-1])
    place = "." if faults.startswith(("spec.", "metadata.")) else ": "
    text = PROBLEMS[TEMPLATE_REFUSED].format(why=place + clipped(faults, LONGEST_WHOLE))
    return PodProblem(TEMPLATE_REFUSED, text, text + REFUSES + TRIES_AGAIN)


def _refusals(snapshot: Snapshot, actions: Iterable[Action]) -> list[Refusal]:
    return [found for action in actions if (found := refused.last_refusal(snapshot, action))]


def _needed(snapshot: Snapshot) -> Iterable[Action]:
    """The actions that create what every pod needs."""
    if snapshot.lease:
        return [EnsurePrerequisites()]
    return first_round.create_round(snapshot, Now(snapshot.now))


def _plain(why: str) -> tuple[str, str]:
    """The words without the pod's name, and the cure if one is known, else nothing."""
    cure = next((f"; {cure}" for sign, cure in _CURES if sign.search(why)), "")
    return _REFUSED.sub("", why), cure
