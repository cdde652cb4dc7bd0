"""The last failure of a job (`status.lastFailure`): the round's cause and how the pod ended."""

from __future__ import annotations

import shlex

from elasticjob.api.rules import worker_container
from elasticjob.api.v1alpha1 import LastFailure
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.restarts import departures
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase, Round
from elasticjob.wire.untrusted import plain

LONGEST_MESSAGE = 1024
LONGEST_REASON = 256
LONGEST_COMMAND = 200
# With this exit code Python, shells and many programs report wrong arguments, such as a script that
# does not exist. Only the container's log has the details, so the message contains the command.
WRONG_USAGE = 2

_NOT_COUNTED = (CauseKind.LEAVING, CauseKind.SCALED, CauseKind.SUSPENDED, CauseKind.POD_DELETED)
_OF_PODS = (CauseKind.POD_ENDED, CauseKind.POD_SILENT, CauseKind.POD_LATE)


def last(snapshot: Snapshot) -> LastFailure | None:
    """The failure in the current round, else the one in the status."""
    known = snapshot.job.status.last_failure
    round_ = snapshot.lease.round if snapshot.lease else None
    if round_ is None or round_.cause is None or not _is_failure(snapshot, round_):
        return known
    found = _failure(snapshot, round_.cause, round_)
    if known and (known.round, known.pod) == (found.round, found.pod):
        # How the pod ended may be known later than the round's cause: OOMKilled, for example.
        found = found.model_copy(update={"time": known.time})
        return known if found.reason == round_.cause.kind.value else found
    return found.model_copy(update={"time": snapshot.utc_now})


def culprit(found: LastFailure) -> str:
    """The pod that failed, and the rank of its worker; empty if the pod is unknown."""
    rank = f" (rank {found.rank})" if found.rank is not None else ""
    return f"{found.pod}{rank}" if found.pod else ""


def _is_failure(snapshot: Snapshot, round_: Round) -> bool:
    if round_.phase is Phase.FAILED:
        return True
    assert round_.cause is not None
    if round_.cause.kind is CauseKind.LEAVING:
        return departures.charge_number(round_) in departures.charged(snapshot)
    return round_.cause.kind not in _NOT_COUNTED


def _failure(snapshot: Snapshot, cause: Cause, round_: Round) -> LastFailure:
    pod = snapshot.by_name.get(cause.pod)
    ended = pod.container if pod and not pod.living and cause.kind in _OF_PODS else None
    reason = ended.reason if ended and ended.reason not in ("", "Error", "Completed") else ""
    code = cause.code if cause.code is not None or ended is None else ended.exit_code
    message = (ended.message if ended else "") or cause.message
    if cause.code == WRONG_USAGE:
        message = f"{message} of {_command(snapshot)}; see its log"
    return LastFailure(
        pod=cause.pod or None,
        node=cause.node or (pod.node if pod else "") or None,
        rank=cause.rank if cause.rank >= 0 else None,
        exit_code=code,
        signal=cause.signal,
        reason=(reason or cause.kind.value)[:LONGEST_REASON],
        message=plain(message)[-LONGEST_MESSAGE:] or None,
        round=cause.n if cause.n is not None else max(round_.n - 1, 0),
    )


def _command(snapshot: Snapshot) -> str:
    """The command of each worker, quoted for a shell."""
    name = worker_container(snapshot.job.body["spec"])
    containers = snapshot.job.body["spec"]["template"]["spec"]["containers"]
    worker = next(c for c in containers if c["name"] == name)
    text = shlex.join([*worker["command"], *(worker.get("args") or [])])
    return text if len(text) <= LONGEST_COMMAND else text[: LONGEST_COMMAND - 3] + "..."
