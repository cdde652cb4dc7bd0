"""What the API server refused: it waits and is tried again, and nothing else waits with it.

A refusal may end without a sign that reaches the operator: a quota gets room, an administrator
corrects a policy. So the first waits are short, and none is long: about a minute after ten minutes,
two after forty. What does reach the operator ends them at once: another spec, or a pod of this job
that is gone, whose place in a quota is free.
"""

from __future__ import annotations

from elasticjob.controller.observe.snapshot import Refusal, Snapshot
from elasticjob.controller.plan.actions import Action, Later, describe

FIRST_WAIT_S = 1.0
LONGEST_FIRST_S = 30.0  # of the first ten tries
LONGER_EACH_S = 3.0
LONGEST_WAIT_S = 120.0


def last_refusal(snapshot: Snapshot, action: Action) -> Refusal | None:
    """The refusal of this action; None if there was none, or the next try may well succeed."""
    return snapshot.refusals.get(describe(action))


def wait_s(snapshot: Snapshot, action: Action) -> float:
    """How long this action still has to wait because it was refused; 0: it may be done now."""
    found = last_refusal(snapshot, action)
    if found is None:
        return 0.0
    longest_s = min(max(LONGEST_FIRST_S, LONGER_EACH_S * found.count), LONGEST_WAIT_S)
    asked_s = min(FIRST_WAIT_S * 2.0 ** min(found.count - 1, 16), longest_s)
    return max(0.0, found.at + asked_s - snapshot.now)


def delayed(snapshot: Snapshot, action: Action | Later) -> Action | Later:
    """The action, or the time after which it may be tried again."""
    left_s = 0.0 if isinstance(action, Later) else wait_s(snapshot, action)
    return Later(left_s) if left_s > 0 else action


def after_refusal(before: Refusal | None, why: str, now: float, asked: bool) -> Refusal:
    """The record of what has just been refused once more, or was put off (not asked)."""
    last = before or Refusal(why, 0, now)
    return Refusal(why, last.count + 1, now, now if asked else last.requested_at)
