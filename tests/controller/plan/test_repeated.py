from __future__ import annotations

import itertools
from dataclasses import replace

from tests.support.snapshots import NOW, observed_pod, remembered, snapshot

from elasticjob.controller.observe.memory import Performed
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import plan, repeated
from elasticjob.controller.plan.actions import Action, DeleteLease
from elasticjob.rendezvous.now import Now

ACTION = DeleteLease("demo-0-0", "uid")


def at(now: float, performed: dict[object, Performed]) -> Snapshot:
    return replace(snapshot(observed_pod(0), memory=remembered(performed=performed)), now=now)


def performed_whenever_due(action: Action, for_s: float) -> list[float]:
    """The times at which an action is performed that is always planned and has no effect."""
    found: dict[object, Performed] = {}
    now, times = Now(NOW), list[float]()
    while now.at < NOW + for_s:
        if repeated.may_repeat(at(now.at, found), action, now):
            times.append(now.at)
            found = repeated.after(found, [action], now.at)
        else:
            now = Now(now.again_at)
    return times


def test_an_action_without_effect_is_repeated_after_waits_that_grow() -> None:
    times = performed_whenever_due(ACTION, 600.0)
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits[0] < 0.11
    assert max(waits) <= repeated.LONGEST_WAIT_S + 0.001
    assert len(times) < 20


def test_a_plan_leaves_out_an_action_that_was_just_performed() -> None:
    s = snapshot(observed_pod(0), replicas=2)
    first = plan(s)
    assert first.actions
    after = repeated.after({}, first.actions, NOW)
    assert plan(replace(s, memory=remembered(performed=after))).actions == ()


def test_another_action_is_not_delayed() -> None:
    found = repeated.after({}, [ACTION], NOW)
    other = DeleteLease("demo-0-0", "another uid")
    assert repeated.may_repeat(at(NOW, found), other, Now(NOW))
    assert not repeated.may_repeat(at(NOW, found), ACTION, Now(NOW))


def test_an_action_that_is_due_much_later_is_no_repetition() -> None:
    """Leases are listed every 3T."""
    found: dict[object, Performed] = {}
    for k in range(100):
        found = repeated.after(found, [ACTION], NOW + 15 * k)
    assert found == {ACTION: Performed(1, NOW + 15 * 99)}
