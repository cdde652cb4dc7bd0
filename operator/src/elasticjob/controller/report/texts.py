"""The texts that the operator writes for people: events, conditions and STATUS, one table each.

The code that decides supplies the fields. A reason is one CamelCase word for programs. A text
starts in lower case and has no full stop, as in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from elasticjob.controller.plan.actions import Deletion
from elasticjob.controller.plan.lost import BLAMED_TOO_OFTEN
from elasticjob.controller.plan.missing import LONGEST_WAIT_S
from elasticjob.controller.plan.refused import LONGEST_WAIT_S as LONGEST_TRY_S

Truth = Literal["True", "False", "Unknown"]

ANY = "*"  # any other reason: one of the kubelet's or a cause of the protocol
LONGEST_STATUS = 70
_LISTED = 5
COUNT = "{running}/{replicas} pods running"
MEMBERS = "{members}/{replicas} pods in the round"

AWAITED = {
    "BackingOff": (
        "restart delayed",
        "the workers of round {subject} start at {until}: later after repeated failures",
    ),
    "WorkersStart": (
        "waiting for workers",
        "the workers of {pods} have not started; a pod whose workers do not run at {until} is"
        " replaced",
    ),
    "CoolingDown": (
        "cooldown",
        "all workers restart together with {pods} at {until}, because a round lasts at least 60 s"
        " before pods join",
    ),
    "LastCall": (
        "last call",
        "the next round waits for {pods}, and starts at {until} without the pods that are missing",
    ),
    "WaitingForReplacement": (
        "no new pod",
        "the operator creates {pods} at {until}, because the last pods of index {subject} ended or"
        " were replaced soon after each other; each such wait is twice as long as the one before,"
        f" at most {LONGEST_WAIT_S:g} s",
    ),
}
"""By reason: what a job waits for, in STATUS, where the end of the wait follows, and in a
condition."""

NO_PULSE = (
    "the agents have not renewed the Round Lease since {since}: they are cut off, or may not write"
    " it; the operator has ensured their account and their RoleBinding, and replaces pods that stay"
    " silent"
)
NO_PULSE_SHORT = "no sign of life from the agents since {since}"

_ENDED_JOB = "the job has ended"

CONDITIONS: dict[str, dict[str, tuple[Truth, str]]] = {
    "Accepted": {
        "Valid": (
            "True",
            "the spec is valid; Kubernetes judges spec.template when it creates pods",
        ),
        "Invalid": ("False", "{faults}"),
    },
    "PodsReady": {
        "AllRun": ("True", COUNT + "{blamed}"),
        "PodsStart": ("False", COUNT + "; waiting for {pods}"),
        "NotWanted": ("False", "the job is suspended"),
        "TemplateChanged": ("False", "all pods are replaced, because these have changed: {fields}"),
        "Ended": ("False", _ENDED_JOB),
        ANY: ("False", "{counts}{problem}"),
    },
    "Running": {
        "AllMembersRun": ("True", "{members} running round {round}"),
        "MembersStart": ("False", "not all workers of round {round} run yet"),
        "MemberFailed": (
            "False",
            "{pod} failed in round {round}, and {limit} is used up: the job fails unless the"
            " loss of a pod explains it",
        ),
        "WaitingForPods": (
            "False",
            "no round is active; a round starts only when at least {ready}",
        ),
        "JobSuspended": ("False", "no round starts while spec.suspend is true"),
        "NoSignOfLife": ("Unknown", NO_PULSE),
        "RoundUnreadable": ("Unknown", "{problem}"),
        "Ended": ("False", _ENDED_JOB),
    },
    "Degraded": {
        "AllPodsWork": ("False", "{members}/{replicas} pods in the round"),
        "NotRunning": ("False", "not all members of a round are known to run"),
        "WorkersStop": ("False", "all workers stop, because all pods end"),
        "PodsMissing": ("True", MEMBERS + "; the missing pods join when they are ready"),
        "Ended": ("False", _ENDED_JOB),
        ANY: ("True", MEMBERS + "; {why}"),
    },
    "Restarting": {
        "NotRestarting": ("False", "no restart is known to be in progress"),
        "Updating": ("False", "the workers start when the pods are replaced"),
        "PodsAwaited": ("True", "the workers start again when at least {ready}"),
        "Ended": ("False", _ENDED_JOB),
        ANY: ("True", "{why}"),
    },
    "Stalled": {
        "NotStalled": (
            "False",
            "no problem with pods or Leases that a user or the cluster has to solve keeps the"
            " workers from running",
        ),
        "Ended": ("False", _ENDED_JOB),
        ANY: ("True", "{why}"),
    },
    "Unstable": {
        "UncountedRestarts": (
            "True",
            "{restarts} restarts within an hour that do not count against maxRestarts: {causes}",
        ),
        "FewUncountedRestarts": (
            "False",
            "restarts within an hour that do not count against maxRestarts: {restarts}; the limit"
            " is {most}",
        ),
        "Ended": ("False", _ENDED_JOB),
    },
    "Suspended": {
        "JobSuspended": (
            "True",
            "all pods have ended; the job continues when spec.suspend is false, with its counters"
            " of failures",
        ),
        "PodsEnd": ("False", "waiting for pods to end: {pods} left"),
        "NotSuspended": ("False", "spec.suspend is false"),
    },
    "Obstructed": {
        "NotObstructed": ("False", "the operator can read and delete all objects of the job"),
        ANY: ("True", "{problem}"),
    },
    "Complete": {"AllMembersDone": ("True", "all workers exited with code 0")},
    "Failed": {ANY: ("True", "{failure}")},
}
"""By type and reason: the status and the message."""

OBSTRUCTIONS = {
    "DeletionBlocked": "{object} is being deleted, and is kept by the finalizer {finalizers}:"
    " remove the finalizer if the object stays",
    "RoundReplaced": "the Lease {lease} had a round that no agent of this release writes, and the"
    " operator has replaced it by round {n}: {fault}; check the code that runs in the pods",
    "LeaseUnreadable": "the Lease {name} cannot be read: {why}; delete it, and its agent creates it"
    " again",
    "PodUnreadable": "the pod {name} cannot be read: {why}; delete it, and the operator creates"
    " another one",
    "ReportIgnored": "a part of the Lease {lease} is ignored: {why}",
}
"""By reason of the condition Obstructed: objects that cannot be read or deleted."""

WARNING, NORMAL = True, False
_CONDITION = "{message}"  # the message of the condition that the event reports
_ENDED = "round {round}{size} ended: {details}; {next}"

EVENTS: dict[str, tuple[bool, str]] = {
    "Refused": (WARNING, _CONDITION),
    "LauncherInCommand": (
        WARNING,
        "the command starts {launcher} without the flags that connect it to the other pods, so each"
        " worker trains a separate model: run the training program itself and set nprocPerNode to"
        " the processes per pod, or set nprocPerNode to 1 and pass {flags}",
    ),
    "TemplateChanged": (NORMAL, _CONDITION),
    "PodsCreated": (NORMAL, "created {pods}"),
    "PodsReplaced": (NORMAL, "created {pods}, each in place of the last pod of its index"),
    "PodsDeleted": (NORMAL, "deleted {pods}: {why}"),
    "RequestRefused": (WARNING, "cannot {request}: {why}"),
    "RightsRestored": (
        WARNING,
        "created {objects} again, without which the agents of this job cannot write their Leases",
    ),
    "WorkersFailed": (WARNING, _ENDED),
    "PodsLost": (WARNING, _ENDED),
    "PodsLeft": (NORMAL, _ENDED),
    "MembersScaled": (NORMAL, _ENDED),
    "WorkersStopped": (NORMAL, _ENDED),
    "RoundsNotObserved": (
        NORMAL,
        "the operator did not observe {rounds}; {counted} of their failures count against"
        " maxRestarts",
    ),
    "InitContainerRunning": (NORMAL, _CONDITION),
    "Running": (NORMAL, _CONDITION),
    "Unstable": (WARNING, _CONDITION),
    "Obstructed": (WARNING, _CONDITION),
    "Suspended": (NORMAL, _CONDITION),
    "Resumed": (NORMAL, "job resumed"),
    "Complete": (NORMAL, _CONDITION),
    "Failed": (WARNING, _CONDITION),
    ANY: (WARNING, _CONDITION),
}
"""By reason: whether it is a Warning, and the message. A failure that counts is always a Warning.
Other reasons are those of PodsReady."""

COMBINED = "(combined from similar events): "
SUSPENDED = "the job is suspended"
TEMPLATE_CHANGED = "the template has changed"
COUNTED = "counted: {used} of maxRestarts {max_restarts}"
COUNTED_AT_START = " and, as no progress was known yet, {starts} of maxStartRestarts {most}"
NOT_COUNTED = {
    "DeletedOrEvicted": "not counted: the pod was deleted, evicted or preempted",
    "ReplacedForFailures": "not counted: the operator replaces the pod, as"
    f" {BLAMED_TOO_OFTEN} failures of its workers are counted",
    "FollowedPodLoss": "not counted: the loss of a pod explains it",
    "PodEndUnknown": "not counted, unless the pod has ended without a deletion",
}
"""By the reason in the status: why a failure does not count."""
WAITS = "no round is active until {ready}"
WAITS_SUSPENDED = "no round is active until the job is resumed"
STARTS = "round {round} starts with {size}{after}"
DELAY = " after a delay of {delay} s"
NEVER_RAN = "round {round} with {size} ended before all of them ran"
RUNS = (
    "round {round} runs with {size} after {total} ms (detection {detect} ms, stop {stop} ms,"
    " rendezvous {rendezvous} ms, start {start} ms{after})"
)
"""Parts of the events of rounds that have ended."""

PROBLEMS = {
    "PodsRefused": "{count}/{replicas} pods cannot be created: {why}",
    "Unschedulable": "{count}/{replicas} pods unschedulable: {why}",
    "InitContainerFailed": "{count}/{replicas} pods: init container {why}",
    "InitContainerRunning": "{count}/{replicas} pods in init container {why} since {since}",
    "AgentSetupFailed": "{count}/{replicas} agents cannot start: {why}",
    "PodsEnded": "{count}/{replicas} pods ended: {why}",
    "TemplateRefused": "edit spec.template{why}",
    ANY: "{count}/{replicas} pods: {reason}: {why}",
}
"""By reason of PodsReady: why pods do not run, in this condition and in STATUS."""

CORRECT_INIT = "; correct the init container or what it needs"
FREE_NODES = "; add or free such resources, or correct what spec.template requires of a node"
STAYS = "; the job waits for this and does not fail because of it"
CREATED_AGAIN = "; the operator replaces such pods"
RETRIES = f"{CREATED_AGAIN}, and the job does not fail because of it"
REFUSES = (
    "; no further pod runs before this is corrected, and then the operator creates pods at once"
)
TRIES_AGAIN = f"; until then it tries again, at least every {LONGEST_TRY_S:g} s"
REPLACES = "; until then it replaces such pods"
BLAMED = (
    "; failures began in {pods}: the operator replaces a pod after "
    f"{BLAMED_TOO_OFTEN} failures of its workers"
)
NEW_JOB = "the job does not run again: to repeat it, delete it and create it again"

DELETIONS = {
    Deletion.JOB_ENDED: "the job has ended",
    Deletion.REPLACED: "the pod has ended and was replaced",
    Deletion.LOST: "the pod is lost",
    Deletion.BLAMED: f"blamed for {BLAMED_TOO_OFTEN} failures",
    Deletion.SUSPENDED: "the job is suspended",
    Deletion.TEMPLATE_CHANGED: "the template has changed",
    Deletion.SCALED_DOWN: "the job was scaled down",
    Deletion.OLDER_JOB: "an older job of this name left the pod",
}
"""Why pods are deleted, in the event PodsDeleted and the log."""

TEMPLATE = "the template"  # a pod of an earlier release does not list its fields
NO_PODS = "no pods can be created: {why}"  # PodsRefused, where what every pod needs is refused
OVER_BUDGET = "{pod} failed, and {limit} ({most}) is used up"
EXCEEDED = "exceeded maxRestarts ({max_restarts})"
NEVER_TRAINED = (
    "the workers failed {failures} times; no progress was reported, and no round ran for a minute"
    " (maxStartRestarts is {most})"
)
OLDER_JOB = (
    "waiting for the end of {pods} of an older job of this name; if a pod's node is gone, delete"
    " the pod with --force"
)
UNREADABLE_ROUND = (
    "the Lease {lease} cannot be read: {why}; delete it, and the operator creates it again"
)


class Word(StrEnum):
    """The first word of STATUS, which the metric elasticjob_jobs counts."""

    INVALID = "Invalid"
    UNKNOWN = "Unknown"
    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    FAILING = "Failing"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    UPDATING = "Updating"
    COMPLETE = "Complete"
    FAILED = "Failed"


def few(items: Sequence[str]) -> str:
    """The first items, and the number of the others."""
    shown = ", ".join(items[:_LISTED])
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return f"{shown}{more}"


def ready(pods: int) -> str:
    """That this many pods are ready."""
    return "1 pod is ready" if pods == 1 else f"{pods} pods are ready"


def clipped(text: str, longest: int) -> str:
    """The text, cut after the last word that fits and with an ellipsis then."""
    if len(text) <= longest:
        return text
    cut = text[: longest - 3]
    word_end = cut.rfind(" ") if text[longest - 3] not in " ,;:" else len(cut)
    return (cut[:word_end] if word_end > 0 else cut).rstrip(" ,;:.") + "..."
