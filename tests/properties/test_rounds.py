"""The properties of every round, every charge and every step."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.support.protocol import (
    active,
    assert_early_tick_does_nothing,
    case,
    joined,
    lease,
    round_lease,
    seen,
)

from elasticjob.rendezvous import agent_step, events
from elasticjob.rendezvous.actions import CasRound, Pulse, Start
from elasticjob.rendezvous.members.decide import decide
from elasticjob.rendezvous.members.judge import judge
from elasticjob.rendezvous.members.ranks import ranks_of
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import Endpoint, Phase, Round

LETTERS = ["A", "B", "C", "A'", "B'", "C'"]
FLAGS = st.sampled_from(["", " leaving", " ended", " leaving ended"])
WORDS = st.builds(
    lambda word, n, flags: f"{word} {n}{flags}",
    st.sampled_from(["ready", "running", "failed", "done"]), st.integers(1, 3), FLAGS,
)  # fmt: skip


@st.composite
def entries(draw: st.DrawFn) -> dict[str, object]:
    found: dict[str, object] = {}
    for letter in LETTERS:
        if draw(st.booleans()):
            words = draw(WORDS | st.just(""))
            pulses = draw(st.sampled_from([0, 2, 3, 9]))
            confirmed = draw(st.booleans())
            found[letter] = seen(letter, words, pulses, draw(st.integers(1, 3)), confirmed)
    return found


@given(
    entries(),
    st.sampled_from(["A", "A B", "A B C", "A' B C"]),
    st.sampled_from(["", "A", "A B", "A B C", "A B' C", "A' B' C'"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, 975.0, 999.0]),
)
def test_every_decision_keeps_the_invariants(
    view: dict[str, object], members: str, wanted: str, least: int, budget: int, round_at: float
) -> None:
    before = active(2, members, charged=[1, 2])
    made = case(
        before, view, own="A", round_at=round_at, wanted=wanted, min_members=least,
        max_restarts=budget, cooldown_s=0.0,
    )  # fmt: skip
    judged = judge(made)
    after = decide(made, judged)
    if not isinstance(after, Round):
        return
    assert after.n == 3  # I1
    assert len({p.index for p in after.pods}) == len(after.pods)  # I2
    if after.phase is Phase.ACTIVE:
        assert len(after.members) >= max(1, least)
        assert after.master is not None
        # A late member that reports `ready n` is a newcomer, too: its agent restarted.
        assert not after.pods & (judged.removed - judged.newcomers)
        assert after.members == tuple(sorted(after.members))
    if after.phase is Phase.FORMING:
        assert not after.members
    if after.phase is Phase.SUCCEEDED:
        assert before.pods == judged.done  # I6
    added = after.charged.numbers - before.charged.numbers
    assert added <= {3}  # I4: at most one charge for all losses of one step
    is_over_budget = after.phase is Phase.FAILED and bool(judged.failed)
    assert bool(added) <= (bool(judged.lost) or is_over_budget)


@given(st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 8), st.booleans()), min_size=1))
def test_ranks_are_a_partition(found: dict[int, tuple[int, bool]]) -> None:
    members = tuple(
        Member(Pod(i, 0), w, "actor" if is_actor else "learner")
        for i, (w, is_actor) in sorted(found.items())
    )
    round_ = Round(1, Phase.ACTIVE, members, Endpoint("x"))
    all_ = [ranks_of(round_, m.pod) for m in members]
    given_ = [rank for r in all_ for rank in range(r.first_rank, r.first_rank + r.workers)]
    assert given_ == list(range(all_[0].world))
    for role in ("actor", "learner"):
        mine = [r for r in all_ if r.role == role]
        ranks = [k for r in mine for k in range(r.first_role, r.first_role + r.workers)]
        assert ranks == list(range(mine[0].role_world if mine else 0))


@given(st.lists(st.integers(1, 500), max_size=120), st.integers(0, 500))
def test_charges_never_lose_count(numbers: list[int], struck: int) -> None:
    charges = Charges()
    for n in sorted(numbers):
        charges = charges.with_charge(n)
    assert len(charges.numbers) + charges.older == len(set(numbers))
    after = charges.struck_above(struck)
    assert after.struck_above(struck) == after
    assert after.numbers == {n for n in charges.numbers if n <= struck}


EVENTS = st.sampled_from([
    events.Tick(), events.LeaveRequested(), events.RoundGone(),
    events.ViewComplete((lease("B", "running 1"),)),
    events.WorkersStarted(1, 5), events.WorkersStarted(2, 5),
    events.WorkerExited(1), events.WorkerExited(2),
    events.WorkerExited(1, Cause(CauseKind.WORKER_FAILED, code=1, n=1)),
    events.WorkersReaped(1), events.WorkersReaped(2),
    events.CasFailed(True), events.CasFailed(False), events.PulseFailed(True),
    events.RenewalReturned(None), events.RenewalReturned(lease("A", "running 1", 90)),
    events.LeaseGone("demo-0-0"), events.LeaseGone("demo-1-0", by_get=True),
    events.GetFailed("demo-1-0"),
    events.LeaseSeen(lease("A", "running 1", 91)),
    events.LeaseSeen(lease("B", "running 1", 92), True),
    *(
        events.RoundSeen(round_lease(round_, holder, version, pulse=str(version)), source)
        for version, (round_, holder) in enumerate(
            [(active(1, "A B"), "A"), (active(2, "A B", [2]), "B"), (active(3, "B"), ""),
             (active(4, "A B"), "A"), (Round(5, Phase.FORMING), "B"),
             (replace(active(6, "A B"), phase=Phase.FAILED), "A")], start=100,
        )
        for source in events.Source
    ),
])  # fmt: skip


@given(st.lists(st.tuples(EVENTS, st.floats(0, 20)), max_size=25))
def test_any_history_of_one_agent(history: list[tuple[events.Event, float]]) -> None:
    """No event is refused; a round is started once, never an older one, never when leaving (I3).

    A step completes what is due: an agent that wakes up before again_at does nothing.
    """
    me, now = joined("A", active(1, "A B")), 0.0
    started, told = [1], False
    for event, later in history:
        now += later
        told = told or event == events.LeaveRequested()
        step = agent_step(me, event, now)
        me, actions, _ = step
        assert_early_tick_does_nothing(step, now)
        for action in actions:
            if isinstance(action, Start):
                assert not told
                assert action.round.n > max(started)
                assert action.round.n >= me.highest_n
                started.append(action.round.n)
            if isinstance(action, CasRound) and action.round is not None:
                assert action.round.n > me.highest_n
        assert sum(isinstance(action, (CasRound, Pulse)) for action in actions) <= 1
