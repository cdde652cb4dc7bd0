"""Actions that the API server refused: each waits and is tried again, and delays no other action.

The cause may end without a sign that the operator receives: a quota gets room, an administrator
corrects a policy. So the first waits are short, and none is long: about a minute after ten minutes,
two after forty. Changes that the operator sees end the waits at once: another spec, or the end of a
pod of this job, which frees its place in a quota.
"""

from __future__ import annotations

import math

from elasticjob.controller.observe.memory import Refusal
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Action, describe
from elasticjob.rendezvous.now import Now

FIRST_WAIT_S = 1.0
LONGEST_FIRST_S = 30.0  # during the first ten tries
LONGER_EACH_S = 3.0
LONGEST_WAIT_S = 120.0


def last_refusal(snapshot: Snapshot, action: Action) -> Refusal | None:
    """The last refusal of this action; None without one, or if the next try may well succeed."""
    return snapshot.refusals.get(describe(action))


def next_try_at(snapshot: Snapshot, action: Action) -> float:
    """When this action may be tried again; minus infinity if it is not refused."""
    found = last_refusal(snapshot, action)
    if found is None:
        return -math.inf
    longest_s = min(max(LONGEST_FIRST_S, LONGER_EACH_S * found.count), LONGEST_WAIT_S)
    return found.at + min(FIRST_WAIT_S * 2.0 ** min(found.count - 1, 16), longest_s)


def may_try(snapshot: Snapshot, action: Action, now: Now) -> bool:
    """Whether this action need not wait because it was refused."""
    return now.has_come(next_try_at(snapshot, action))


def after_refusal(before: Refusal | None, why: str, now: float, requested: bool) -> Refusal:
    """The record of an action after one more refusal, or after it was postponed."""
    last = before or Refusal(why, 0, now)
    return Refusal(why, last.count + 1, now, now if requested else last.requested_at)
