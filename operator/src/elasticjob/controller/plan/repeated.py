"""Actions that were performed and are planned again: each waits, and delays no other action.

An action that succeeds changes what it was planned from, and is not planned again. If it is, then
the change was not delivered yet, or something keeps it from taking effect: a finalizer keeps an
object that was deleted, another client undoes the change. The first case needs no request, and in
the second the action is repeated after waits that grow. Other plans are not delayed: an action is
another one when it is about another object, or about another version of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from elasticjob.controller.observe.memory import Performed
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Action
from elasticjob.rendezvous.now import Now

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 60.0


def may_repeat(snapshot: Snapshot, action: Action, now: Now) -> bool:
    """Whether this action need not wait because it was performed."""
    found = snapshot.memory.performed.get(action)
    return found is None or now.has_come(found.at + _wait_s(found))


def after(
    before: Mapping[object, Performed], actions: Iterable[Action], now: float
) -> dict[object, Performed]:
    """The record after these actions were performed. An action that is performed long after its
    wait is over does not repeat the earlier one."""
    found = {what: each for what, each in before.items() if now - each.at <= 2 * _wait_s(each)}
    for action in actions:
        count = found[action].count if action in found else 0
        found[action] = Performed(count + 1, now)
    return found


def _wait_s(found: Performed) -> float:
    return min(FIRST_WAIT_S * 2.0 ** min(found.count - 1, 16), LONGEST_WAIT_S)
