"""One failure of a job: the cause that ended a round, and how the pod ended."""

from __future__ import annotations

import shlex

from elasticjob.api.rules import worker_container
from elasticjob.api.v1alpha1 import LastFailure
from elasticjob.controller.observe.containers import WorkerContainer
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.rendezvous.actions import JOB_FAILED
from elasticjob.wire.cause import LONGEST_MESSAGE, Cause, CauseKind, clip
from elasticjob.wire.round import Phase

LONGEST_REASON = 256
LONGEST_COMMAND = 200
# With this exit code Python, shells and many programs report wrong arguments, such as a script that
# does not exist. If nothing is known from stderr, the message contains the command.
WRONG_USAGE = 2

_OF_PODS = (CauseKind.POD_ENDED, CauseKind.POD_SILENT, CauseKind.POD_LATE)


def culprit(found: LastFailure) -> str:
    """The pod that failed, and the rank of its worker; empty if the pod is unknown."""
    rank = f" (rank {found.rank})" if found.rank is not None else ""
    return f"{found.pod}{rank}" if found.pod else ""


def short_culprit(found: LastFailure) -> str:
    """The rank of the worker that failed, else the pod."""
    return f"rank {found.rank}" if found.rank is not None else culprit(found)


def headline(found: LastFailure) -> str:
    """The first line of the message, which names the error; empty without a message."""
    return (found.message or "").partition("\n")[0]


def log_command(snapshot: Snapshot, found: LastFailure) -> str | None:
    """The command that prints the log of the pod that failed, while it exists."""
    if found.pod not in snapshot.by_name:
        return None
    job = snapshot.job
    return f"kubectl logs -n {job.namespace} {found.pod} -c {worker_container(job.body['spec'])}"


def of_round(snapshot: Snapshot, round_: PastRound) -> LastFailure:
    """The failure that led to this round, without its time."""
    cause = round_.details or round_.cause
    assert cause is not None
    pod, ended = snapshot.by_name.get(cause.pod), _end(snapshot, cause)
    reason = reason_of_pod(snapshot, cause)
    code = cause.code
    if code is None and ended and cause.kind in _OF_PODS:
        code = ended.exit_code
    return LastFailure(
        pod=cause.pod or None,
        node=cause.node or (pod.node if pod else "") or None,
        rank=cause.rank if cause.rank >= 0 else None,
        exit_code=code,
        signal=cause.signal,
        reason=(reason or cause.kind.value)[:LONGEST_REASON],
        message=clip(_message(snapshot, cause, ended), LONGEST_MESSAGE) or None,
        round=round_.ended_n,
    )


def reason_of_pod(snapshot: Snapshot, cause: Cause) -> str:
    """Why the pod of the cause ended, in one word; empty if nothing more is known."""
    ended = _end(snapshot, cause)
    return ended.reason if ended and ended.reason not in ("", "Error", "Completed") else ""


def _end(snapshot: Snapshot, cause: Cause) -> WorkerContainer | None:
    """The end of the pod that the cause names, if the pod itself has failed, or its agent has
    exited because this failure of its worker has ended the job."""
    pod = snapshot.by_name.get(cause.pod)
    if pod is None or pod.living:
        return None
    if cause.kind in _OF_PODS:
        return pod.container
    last = snapshot.lease.round if snapshot.lease else None
    if last is None or last.phase is not Phase.FAILED or last.cause is None:
        return None
    is_its_end = (last.cause.n, pod.container.cause) == (cause.n, cause.kind.value)
    return pod.container if is_its_end else None


def _message(snapshot: Snapshot, cause: Cause, ended: WorkerContainer | None) -> str:
    if cause.message == f"exit code {WRONG_USAGE}":
        return f"{cause.message} of {_command(snapshot)}"
    said = ended.message.removeprefix(JOB_FAILED) if ended else ""
    return said or cause.message


def _command(snapshot: Snapshot) -> str:
    """The command of each worker, quoted for a shell."""
    name = worker_container(snapshot.job.body["spec"])
    containers = snapshot.job.body["spec"]["template"]["spec"]["containers"]
    worker = next(c for c in containers if c["name"] == name)
    text = shlex.join([*worker["command"], *(worker.get("args") or [])])
    return text if len(text) <= LONGEST_COMMAND else text[: LONGEST_COMMAND - 3] + "..."
