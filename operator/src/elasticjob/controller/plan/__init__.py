"""What shall happen to a job, from everything that is known of it. Pure; the story is `plan`.

One policy per module. Each yields the actions that it wants now; what must come after something
else is planned in a later pass, from what the API server says then: mark an ended pod first, then
read the Round again, then make its next generation (rule 9).
"""

from __future__ import annotations

from dataclasses import dataclass

from elasticjob.controller.plan import (
    clean,
    deploy,
    desire,
    end,
    finish,
    give_up,
    replace,
    start,
    stop,
)
from elasticjob.controller.plan.actions import Action, Actions, DeleteRound, Later
from elasticjob.controller.snapshot import Snapshot

__all__ = ["Plan", "facts", "plan"]


@dataclass(frozen=True)
class Plan:
    """What to do now, in this order, and after how many seconds to plan again at the latest."""

    actions: tuple[Action, ...] = ()
    again_s: float | None = None


def plan(s: Snapshot) -> Plan:
    """What shall happen to this job now."""
    if s.job.deleting:
        return Plan()  # the Round goes first, and the agents freeze until they are told to leave
    if s.old_round:
        return Plan((DeleteRound(s.old_round),))
    if finish.is_over(s):
        return _plan(finish.clean_pods(s), clean.leases_of_the_gone(s))
    if s.round is None:
        return _plan(start.make_round(s))
    return _plan(
        end.mark(s),
        give_up.mark(s),
        desire.write(s),
        stop.delete_unwanted(s),
        give_up.delete(s),
        deploy.again(s),
        replace.make(s),
        clean.replaced_pods(s),
        clean.leases_of_the_gone(s),
    )


def facts(s: Snapshot) -> frozenset[str]:
    """What policies want to know the age of."""
    return frozenset({*stop.facts(s), *give_up.facts(s), *deploy.facts(s)})


def _plan(*policies: Actions) -> Plan:
    wanted = dict.fromkeys(action for policy in policies for action in policy)
    waits = [action.after_s for action in wanted if isinstance(action, Later)]
    actions = tuple(action for action in wanted if not isinstance(action, Later))
    return Plan(actions, min(waits, default=None))
