"""A short exhaustive search (`make model` runs the long ones), and that it finds what it should."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.model.__main__ import summary
from tests.model.bounds import bounds
from tests.model.kinds import KINDS
from tests.model.machine import DARK, Machine, State
from tests.model.operator import PROCESS
from tests.model.records import Clock
from tests.model.search import OtherSearchError, Result, Search, instants_end
from tests.model.tables import Wire
from tests.support.mutants import without
from tests.support.protocol import active, holding, lease, pod, seen
from tests.support.script import replay
from tests.support.trace import scenario

from elasticjob.rendezvous.members.judge import Case, is_confirmed_silent
from elasticjob.rendezvous.now import Now
from elasticjob.wire.dataclasses import replace as replace_record


@pytest.fixture(scope="module")
def faultless() -> Result:
    return Search(Machine(bounds(2, 1, 0, ()))).run()


@pytest.mark.slow
def test_no_fault_no_violation(faultless: Result) -> None:
    result = faultless
    assert result.complete
    assert not result.broken
    assert not result.stuck
    assert instants_end(result)
    assert len(result.states) > 500


def test_every_field_of_a_record_has_a_kind() -> None:
    """A field that the normal form forgot could make two different states equal."""
    for cls, kinds in KINDS.items():
        assert set(kinds) == set(cls.__match_args__), cls  # type: ignore[attr-defined]


def found_without(clause: str, pods: int, kind: str, formed: bool = False) -> str:
    """What the command prints of a search without a clause."""
    with without(clause):
        machine = Machine(bounds(pods, 1, 1, (kind,)))
        return "\n".join(summary(machine, Search(machine, formed=formed).run()))


def test_a_violation_is_a_scenario_that_shows_it() -> None:
    """Without `4-answered`, a crash that is answered is charged again."""
    text = found_without("4-answered", 2, "crash")
    assert "VIOLATION of I4" in text
    assert "write 3 Active A B charged 2,3 for WorkerFailed" in text


def test_an_uncounted_departure_is_found() -> None:
    """The operator counts a departure without an excuse, in the write that the clause plans."""
    text = found_without("9-write-desired", 1, "leave", formed=True)
    assert "VIOLATION of I4: 0 of 1 failures are counted" in text
    assert "mark A alone" in text
    assert "A' workers of 2 started" in text


def test_a_job_of_which_no_agent_is_left_to_judge_is_found() -> None:
    """Only the operator can find that the only agent is silent, and only by a time."""
    text = found_without("9-await-pulse", 1, "die", formed=True)
    assert "VIOLATION of I5: no good state can be reached" in text


def rests_of(machine: Machine, formed: bool = False) -> set[str]:
    """All states in which time may pass and no fault lasts, written out. How many faults may still
    happen is left out, as a fault that holds up nothing does not begin in a reduced search."""
    result = Search(machine, formed=formed).run()
    assert result.complete
    assert not result.broken
    found = (state for state, rests in zip(result.states, result.rests, strict=True) if rests)
    return {written(machine, state) for state in found if not has_trouble(machine, state)}


def has_trouble(machine: Machine, state: State) -> bool:
    return any(kind != DARK for agent in machine.agents(state) for kind, _ in agent.wire.troubles)


def written(machine: Machine, state: State) -> str:
    parts = machine.tables.parts
    env = machine.env(state)._replace(left=0, may_charge=0, must_charge=0)

    def text(part: int) -> str:
        record = parts[part]
        if not isinstance(record, Wire):
            return repr(record)
        requests = [(parts[action], due) for action, due in record.requests]
        events = [*record.stream, *record.work, *(e for _, group in record.answers for e in group)]
        rest = record._replace(requests=(), answers=(), stream=(), work=())
        return repr((rest, requests, [parts[event] for event in events]))

    return "\n".join([repr(env), *(text(part) for k, part in enumerate(state) if k != 2)])


@pytest.mark.slow
def test_the_reduction_loses_no_state_in_which_time_passes() -> None:
    whole = replace(bounds(2, 1, 0, ()), reduced=False)
    assert rests_of(Machine(bounds(2, 1, 0, ()))) == rests_of(Machine(whole))


WITHOUT = (
    ("4-answered", 2, "crash", 4), ("9-write-desired", 1, "leave", 4),
    ("9-await-pulse", 1, "die", 4),
)  # fmt: skip
ONE_FAULT = (
    (2, "lose", 4), (2, "dark", 4), (2, "delete-lease", 4), (2, "away", 4), (2, "report", 4),
    (2, "finishing", 4), (2, "leave", 4), (2, "slow", 2), (2, "paused", 1), (2, "cut", 1),
    (1, "leave", 4), (1, "die", 4), (1, "end", 4),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("pods", "kind", "longest"), ONE_FAULT)
def test_the_same_with_a_fault(pods: int, kind: str, longest: int) -> None:
    few = bounds(pods, 1, 1, (kind,), longest)
    whole = replace(few, reduced=False)
    assert rests_of(Machine(few), True) == rests_of(Machine(whole), True)


@pytest.mark.slow
@pytest.mark.parametrize(("clause", "pods", "kind", "longest"), WITHOUT)
def test_a_reduced_search_finds_what_the_whole_one_finds(
    clause: str, pods: int, kind: str, longest: int
) -> None:
    """Without a clause, both find a violation of the same invariant."""
    few = bounds(pods, 1, 1, (kind,), longest)
    with without(clause):
        found = [
            Search(Machine(each), formed=True).run() for each in (few, replace(few, reduced=False))
        ]
    reduced, whole = ({why[:2] for why, *_ in each.broken} or bool(each.stuck) for each in found)
    assert reduced == whole
    assert reduced


def rests_without_memory(machine: Machine) -> set[str]:
    """All states in which time may pass, without what the operator remembers."""
    result = Search(machine, formed=True).run()
    assert result.complete
    tables = machine.tables
    found = set[str]()
    for state, rests in zip(result.states, result.rests, strict=True):
        if rests:
            rest = tables.normal((*state[:PROCESS], tables.none, *state[PROCESS + 1 :]))
            found.add(repr([tables.parts[part] for part in rest]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("pods", "kind"), [(1, "leave"), (1, "die"), (1, "end")])
def test_what_the_operator_forgets_changes_no_state(pods: int, kind: str) -> None:
    few = bounds(pods, 1, 1, (kind,))
    all_kept = replace(few, forgets=False)
    assert rests_without_memory(Machine(few)) == rests_without_memory(Machine(all_kept))


MISSING = re.compile(r"^\S+ +no (request|answer|delivery|work)$", re.M)


@pytest.mark.slow
@pytest.mark.parametrize(("pods", "kind"), [(1, "leave"), (1, "die"), (2, "delete-lease")])
def test_agents_without_a_normal_form_make_the_same_steps(pods: int, kind: str) -> None:
    """Each path of the search can be replayed, by agents that remember all numbers and times. What
    the normal form changed would make another step, and the replay lack a request or an answer."""
    machine = Machine(bounds(pods, 1, 1, (kind,)))
    result = Search(machine, formed=True).run()
    for at in [*range(1, len(result.states), 100), len(result.states) - 1]:
        steps = machine.without_ranks(result.trace(at))
        text = "\n".join(replay(scenario("", "", machine.desired, steps))[0])
        assert not MISSING.search(text), text


def test_time_does_not_make_a_holder_forget_what_a_get_has_confirmed() -> None:
    """An agent outside that stays silent is requested once, and not with every pulse."""
    desired = bounds(2, 1, 0).desired
    round_, clock = active(1, "A"), Clock(desired, 2.0)
    me = holding("A", round_, [lease("A", "running 1"), lease("B", "ready 1")], desired=desired)
    assert me.hold is not None
    silent = seen("B", "ready 1", pulses=3, now=0.0, quiet_s=45.0, confirmed=True)
    view = replace_record(me.hold.view, seen={**me.hold.view.seen, pod("B"): silent}, pulses=1000)
    me = replace_record(me, hold=replace_record(me.hold, view=view), contact_since=-math.inf)
    for _ in range(3):
        me = clock.aged(me, 15.0)
        assert me.hold is not None
        found = Case(round_, desired, me.hold.view, me.round_at, Now(0.0), highest_n=1)
        assert is_confirmed_silent(found, pod("B"), 3)


@pytest.mark.slow
def test_a_search_continues_from_disk(tmp_path: Path, faultless: Result) -> None:
    whole = faultless
    first = Search(Machine(bounds(2, 1, 0, ())), tmp_path)
    for at in range(100):
        first._explore(at)
        first.result.explored += 1
    first.save()
    rest = Search(Machine(bounds(2, 1, 0, ())), tmp_path).run()
    assert (len(rest.states), rest.transitions) == (len(whole.states), whole.transitions)
    assert rest.complete
    with pytest.raises(OtherSearchError):
        Search(Machine(bounds(2, 2, 0, ())), tmp_path)


ONE_POD = {
    "die": {"list", "mark", "write", "delete", "reserve", "start"},
    "end": {"plan", "mark", "write", "conflict", "reserve", "start", "delete-lease"},
    "leave": {"mark", "write", "reserve", "start", "delete-lease"},
    "suspend": {"write", "delete", "terminate"},
}
QUICK = ("leave",)  # in `make check`, too


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in ONE_POD],
)
def test_one_fault_of_the_only_pod(kind: str) -> None:
    result = Search(Machine(bounds(1, 1, 1, (kind,))), formed=True).run()
    assert result.complete
    assert not result.broken
    assert not result.stuck
    assert {step[0] for step in result.steps if step} >= ONE_POD[kind]


@pytest.mark.slow
def test_the_agent_of_a_new_pod_may_start_later() -> None:
    result = Search(Machine(bounds(1, 1, 1, ("leave",), start=1)), formed=True).run()
    assert result.complete
    assert not result.broken
    assert not result.stuck
    assert ("tick", pod("A'")) in result.steps
    assert ("start", pod("A'")) in result.steps


SHORT = ("lose", "drop", "dark", "away", "delay", "delete-lease", "fatal", "finishing", "leave")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHORT)
def test_one_fault_no_violation(kind: str) -> None:
    result = Search(Machine(bounds(2, 1, 1, (kind,))), formed=True).run()
    assert result.complete
    assert not result.broken
    assert not result.stuck
    assert instants_end(result)
