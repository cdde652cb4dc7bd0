"""The conditions of a job and their reasons, for the API reference.

Programs may rely on types and reasons; `controller/report/texts.py` has the messages. A condition
may have reasons that are not here: those of the kubelet, such as ImagePullBackOff.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ConditionType:
    """One type of condition."""

    true: str  # when it is True
    reasons: dict[str, str] = field(default_factory=dict)  # by reason: when


_ENDED = {"Ended": "False: the job has ended"}
_PODS = {
    "Unschedulable": "no node fits a pod",
    "PodsRefused": "the API server refuses to create pods",
    "TemplateRefused": "the API server or a node refuses a field of the template: edit it",
    "PodsEnded": "pods have ended, and their replacements wait",
    "AgentSetupFailed": "the agent cannot start: the image has no Python 3.9, for example",
    "InitContainerFailed": "an init container fails, or cannot be started",
    "InitContainerRunning": "an init container has not ended",
    "OlderJob": "pods of an older job of this name have not ended",
}
_PASSES = ("OlderJob", "InitContainerRunning", "PodsEnded")
_QUOTA = {"QuotaExceeded": "a ResourceQuota refuses pods"}
_REPLACEMENT = {
    "WaitingForReplacement": "an index lost pods in a row, so its next pod waits, at most 600 s",
}
_LAST_CALL = {"LastCall": "the next round waits for missing pods: 30 s, and 300 s before the first"}

CONDITIONS = {
    "Accepted": ConditionType(
        "the spec is valid, and the operator works on the job",
        {"Valid": "True", "Invalid": "False: the message has the fields, each with the cure"},
    ),
    "PodsReady": ConditionType(
        "each wanted pod runs its agent",
        {
            "AllRun": "True",
            "PodsStart": "pods are starting",
            "NotWanted": "the job is suspended",
            "TemplateChanged": "all pods are replaced: the message names the fields that changed",
            **_PODS,
            **_ENDED,
        },
    ),
    "Running": ConditionType(
        "the workers of all members of the current round run",
        {
            "AllMembersRun": "True",
            "MembersStart": "members start their workers",
            "MemberFailed": "a worker failed and the budget is used up: the job will fail",
            "WaitingForPods": "no round is active, for example as there are too few pods",
            "JobSuspended": "`suspend` is true, and no worker runs",
            "RoundUnreadable": "Unknown: the Round Lease cannot be read",
            "NoSignOfLife": "Unknown: no agent has renewed the Round Lease for 9 heartbeats",
            **_ENDED,
        },
    ),
    "Degraded": ConditionType(
        "the workers run, in fewer pods than `replicas`",
        {
            "CoolingDown": "ready pods join when the round is 60 s old",
            **_LAST_CALL,
            **_REPLACEMENT,
            **_QUOTA,
            **{r: _PODS[r] for r in ("PodsRefused", "TemplateRefused", "Unschedulable")},
            "PodsMissing": "pods are starting",
            "AllPodsWork": "False: there are as many members as `replicas`",
            "NotRunning": "False: not all members of a round are known to run",
            "WorkersStop": "False: the job is being suspended, or all pods are replaced",
            **_ENDED,
        },
    ),
    "Restarting": ConditionType(
        "the workers have run, do not run now, and start again",
        {
            "BackingOff": "the restart is delayed after repeated failures, by at most 300 s",
            "WorkersStart": "the workers of the next round start; there is a deadline",
            "PodsAwaited": "there are too few pods for a round",
            **_LAST_CALL,
            **_REPLACEMENT,
            **_QUOTA,
            "NotRestarting": "False",
            "Updating": "False: all pods are replaced, because the template has changed",
            **_ENDED,
        },
    ),
    "Stalled": ConditionType(
        "no worker is known to run, and a user or the cluster has to change what the message names",
        {
            **_QUOTA,
            **{reason: why for reason, why in _PODS.items() if reason not in _PASSES},
            "AgentsSilent": "no agent has renewed the Round Lease for 9 heartbeat intervals",
            "LeaseUnreadable": "the Round Lease cannot be read",
            "DeletionBlocked": "a finalizer keeps the Round Lease of an older job",
            "NotStalled": "False: no problem with pods or Leases is such a case",
            **_ENDED,
        },
    ),
    "Unstable": ConditionType(
        "within an hour there were many restarts that `maxRestarts` does not count",
        {
            "UncountedRestarts": "True",
            "FewUncountedRestarts": "False; the message counts since the operator has run",
            **_ENDED,
        },
    ),
    "Obstructed": ConditionType(
        "the operator cannot read or delete an object of the job",
        {
            "DeletionBlocked": "a finalizer keeps an object that is being deleted",
            "RoundReplaced": "the Round Lease named pods that were never created",
            "LeaseUnreadable": "the Lease of an agent cannot be read",
            "PodUnreadable": "a pod cannot be read",
            "ReportIgnored": "the report of the holder names pods that were never created",
            "NotObstructed": "False",
        },
    ),
    "Suspended": ConditionType(
        "`suspend` is true, and all pods have ended",
        {"JobSuspended": "True", "PodsEnd": "pods are ending", "NotSuspended": "False"},
    ),
    "Complete": ConditionType("all workers exited with code 0; final", {"AllMembersDone": "True"}),
    "Failed": ConditionType(
        "the job has failed; final",
        {
            "MaxRestartsExceeded": "more failures than `maxRestarts`; the message names the last",
            "MaxStartRestartsExceeded": "more than `maxStartRestarts`, before the job had trained",
            "StartFailed": "the command cannot be executed, which no restart can cure",
        },
    ),
}
