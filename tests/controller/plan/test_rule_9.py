"""Rule 9, the operator's: each clause next to the trace that it closes.

A witness looks at the store after every write of the operator, so what is shown is the order of the
writes, for any plan. The agents' half of the same traces is in tests/scenarios.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.protocol import T, active
from tests.support.snapshots import apply, observed_pod, snapshot
from tests.support.world import P, World, running_world, settled_world

from elasticjob.controller import kube
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.plan import plan
from elasticjob.controller.plan.actions import CreateRound, ReplaceRound
from elasticjob.controller.plan.first_round import RETURN_N, replace_round
from elasticjob.controller.settings import Settings
from elasticjob.local.api.objects.resource import Resource
from elasticjob.local.api.objects.store import Event
from elasticjob.rendezvous import budget
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

History = Callable[[World], None]


class Witness:
    """Checks rule 9 at every write. broken: the violations, each with the clause's first words."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[str] = []
        self.n_at_mark: dict[str, int] = {}
        world.store.listeners.append(self._see)

    def _see(self, resource: Resource, event: Event) -> None:
        name = event.object["metadata"]["name"]
        if resource.plural == kube.PODS.plural and event.type == "ADDED":
            self._see_pod(Pod(*names.parse_pod_name(name)))
        elif resource.plural == kube.LEASES.plural and name != self.world.round_name():
            lease = leases.parse_agent(event.object, self.world.job_identity())
            self._see_lease(lease, event.type == "DELETED")

    def _see_pod(self, pod: Pod) -> None:
        round_ = self._round()
        if round_ is None:
            self.broken.append(f"Round Lease before pods: {pod}")
        elif round_.phase.is_terminal:
            self.broken.append(f"terminal, never: {pod}")
        if pod.generation and not self.world.mark(Pod(pod.index, pod.generation - 1)):
            self.broken.append(f"mark, then make: {pod}")

    def _see_lease(self, lease: AgentLease, deleted: bool) -> None:
        round_ = self._round()
        assert round_ is not None
        if lease.ended and not deleted:
            self.n_at_mark.setdefault(lease.name, round_.n)
        changed = round_.n > self.n_at_mark.get(lease.name, round_.n)
        if deleted and (lease.pod in round_.pods or not changed):
            self.broken.append(f"delete when the Round Lease has changed: {lease.name}")

    def _round(self) -> Round | None:
        stored = self.world.api.stored(kube.LEASES)
        found = self.world.store.find(stored, "team", self.world.round_name())
        return leases.parse_round(found).round if found else None


# ---- every way in which a pod ends ---------------------------------------------------------------


def it_fails(world: World) -> None:
    world.end_pod("demo-2-0", 137, reason="OOMKilled")


def it_ends_with_0(world: World) -> None:
    world.end_pod("demo-2-0", 0)


def the_holder_fails(world: World) -> None:
    world.end_pod("demo-0-0")


def all_fail_at_once(world: World) -> None:
    for pod in P[:4]:
        world.end_pod(world.pod_name(pod))


def it_is_deleted(world: World) -> None:
    world.delete_pod("demo-2-0")
    world.settle()
    world.end_deleted()


def it_vanishes(world: World) -> None:
    world.watches_fail = True
    world.remove_pod("demo-2-0")
    world.watches_fail = False
    world.restart(Settings(heartbeat_s=T))


def it_is_dropped_as_silent(world: World) -> None:
    cause = Cause(CauseKind.POD_SILENT, pod="demo-2-0", n=1)
    world.write_round(Round(2, Phase.FORMING, cause=cause, charged=Charges(frozenset({2}))))


def it_is_stuck_while_deleted(world: World) -> None:
    world.delete_pod("demo-2-0")
    world.settle()
    world.advance(65)


def the_operator_was_away(world: World) -> None:
    world.watches_fail = True
    it_fails(world)
    the_holder_fails(world)
    world.watches_fail = False
    world.restart(Settings(heartbeat_s=T))


@pytest.mark.parametrize(
    "history",
    [
        it_fails, it_ends_with_0, the_holder_fails, all_fail_at_once, it_is_deleted, it_vanishes,
        it_is_dropped_as_silent, it_is_stuck_while_deleted, the_operator_was_away,
    ],
)  # fmt: skip
def test_mark_then_make_then_delete_however_a_pod_ends(history: History) -> None:
    """W1: the mark before the next generation. V2, F12: the Lease as long as it says something."""
    world = running_world()
    witness = Witness(world)
    history(world)
    world.settle()
    made = [name for name in world.pod_names() if name.endswith("-1")]
    assert made
    world.end_deleted()
    world.write_round(Round(9, Phase.FORMING), holder="")
    world.settle()
    world.now += 3 * T
    world.settle()
    assert [name for name in made if world.agent(Pod(names.parse_pod_name(name)[0], 0))] == []
    assert witness.broken == []


def test_w1_the_next_generation_waits_for_a_mark_that_cannot_be_written() -> None:
    world = running_world()
    witness = Witness(world)
    world.api.refuse["patch", "leases"] = kube.RefusedError("no")
    world.end_pod("demo-2-0")
    world.settle()
    assert "demo-2-1" not in world.pod_names()
    world.api.refuse.clear()
    world.now += 1
    world.settle()
    assert "demo-2-1" in world.pod_names()
    assert witness.broken == []


# ---- the Lease of one that has ended -------------------------------------------------------------


def test_f12_the_phase_of_a_finished_member_outlives_its_pod() -> None:
    world = running_world()
    done = AgentState(AgentPhase.DONE, 1).to_json()
    patch = {"metadata": {"annotations": {names.ANNOTATION_AGENT: done}}}
    world._patch_lease("demo-2-0", patch)
    world.remove_pod("demo-2-0")
    for _ in range(3):
        world.settle()
        world.now += 700  # also a resync later
    found = world.agent(P[2])
    assert found is not None
    assert (found.state.phase, found.state.n, found.ended) == (AgentPhase.DONE, 1, True)
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    world.settle()
    assert world.agent(P[2]) is None
    assert not [name for name in world.pod_names() if name.startswith("demo-2-2")]


def test_v2_a_leavers_lease_stays_until_a_round_was_made_without_it() -> None:
    """The holder, one event behind, may still form round 1 with the leaver."""
    world = settled_world(replicas=3)
    world.start_all()
    for pod in P[:3]:
        world.join(pod)
    witness = Witness(world)
    world.delete_pod("demo-1-0")
    world.end_deleted()
    world.settle()
    assert world.agent(P[1]) is not None  # Forming 0 has no members, but round 1 may have it
    world.run(*P[:3], n=1)
    world.settle()
    assert world.agent(P[1]) is not None  # named
    world.run(P[0], P[2], n=2, cause=Cause(CauseKind.LEAVING, pod="demo-1-0", n=1))
    world.settle()
    assert world.agent(P[1]) is not None  # its agent may live on, and has to find the mark
    world.now += 3 * T
    world.settle()
    assert world.agent(P[1]) is None
    assert witness.broken == []


# ---- the holder ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        ("demo-0-0", ""),  # it has ended
        ("demo-1-0", "demo-1-0"),  # it lives
        ("demo-7-0", ""),  # there is no such pod
        ("", ""),
    ],
)
def test_v8_the_holder_is_cleared_if_its_pod_has_ended(holder: str, expected: str) -> None:
    world = running_world()
    world.write_round(world.round().round, holder=holder)
    world.end_pod("demo-0-0")
    world.settle()
    assert world.round().holder == expected


def test_v8_a_zombie_that_claims_again_is_cleared_again() -> None:
    world = running_world()
    world.end_pod("demo-0-0")
    world.settle()
    world.write_round(world.round().round, holder="demo-0-0")
    world.settle()
    assert world.round().holder == ""


def test_v8_the_mark_goes_before_the_holder_is_cleared() -> None:
    """Else the next holder judges a Lease that looks alive."""
    world = running_world()
    world.end_pod("demo-0-0")
    assert world.settled_writes()[:2] == ["patch leases demo-0-0", "patch leases demo-round"]


# ---- the Round Lease -----------------------------------------------------------------------------


def test_the_round_is_made_before_pods() -> None:
    world = World()
    witness = Witness(world)
    world.apply(replicas=3)
    world.api.refuse["create", "leases"] = kube.RefusedError("no")
    world.settle()
    assert world.pod_names() == []
    world.api.refuse.clear()
    world.now += 1
    world.settle()
    assert len(world.pod_names()) == 3
    assert witness.broken == []


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_terminal_round_never_gets_a_next_generation(phase: Phase, restarted: bool) -> None:
    """The pods' ends are seen first; the Round Lease's only by the consistent read."""
    world = running_world()
    witness = Witness(world)
    world.watches_fail = True
    world.write_round(Round(2, phase, starts=1))
    world.watches_fail = False
    world.end_pod("demo-1-0", 0)
    world.remove_pod("demo-2-0")
    if restarted:
        world.restart(Settings(heartbeat_s=T))
    world.settle()
    world.end_pod("demo-0-0", 1)
    world.now += 3600
    world.settle()
    assert witness.broken == []
    assert not [name for name in world.pod_names() if not name.endswith("-0")]


# ---- a Round Lease that was deleted --------------------------------------------------------------


def returned(status: dict[str, object], *rounds: Round) -> tuple[Round, Desired]:
    """The Round Lease that is created where there is none."""
    known = tuple(map(past, rounds))
    s = snapshot(observed_pod(0), observed_pod(1), status=status, past_rounds=known)
    made = [a for a in plan(replace(s, lease=None)).actions if isinstance(a, CreateRound)]
    return made[0].round, made[0].desired


@pytest.mark.parametrize(
    ("status", "rounds", "n"),
    [
        ({}, (), 0),  # a new job
        ({"round": 7}, (), 1007),
        ({"round": 7}, (active(9, [P[0]]),), 1009),
        ({"round": 9}, (active(7, [P[0]]),), 1009),  # the watch is behind
        ({}, (active(3, [P[0]]),), 1003),
        ({"generations": "0-1@1"}, (), 1000),  # its pods may have run rounds without an operator
    ],
)
def test_a_deleted_round_comes_back_above_all_that_was_seen(
    status: dict[str, object], rounds: tuple[Round, ...], n: int
) -> None:
    """I1: agents may have seen rounds that no other process has seen."""
    found, _ = returned(status, *rounds)
    assert (found.n, found.phase, found.members) == (n, Phase.FORMING, ())


@pytest.mark.parametrize(
    ("status", "charged", "counted"),
    [
        ({"round": 9, "counted": 3}, None, 3),  # a restarted operator: the status knows how many
        ({"round": 9, "counted": 2}, Charges(frozenset({4, 8})), 2),
        ({"round": 9, "counted": 1}, Charges(frozenset({4, 8})), 2),  # the status is behind
        ({"round": 9, "counted": 3}, Charges(frozenset({4, 8})), 3),  # one by the operator's ruling
        ({"round": 9, "counted": 5}, Charges(frozenset({4}), older=4), 5),
    ],
)
def test_charges_survive_the_round(
    status: dict[str, object], charged: Charges | None, counted: int
) -> None:
    rounds = (active(9, [P[0]], charged=charged),) if charged else ()
    found, desired = returned(status, *rounds)
    assert budget.counted_failures(found.charged, desired) == counted


@pytest.mark.parametrize(
    ("status", "rounds", "starts"),
    [
        ({"round": 7, "restarts": 4}, (), 5),
        ({"round": 7, "restarts": 4}, (active(8, [P[0]], starts=6),), 6),
        ({"round": 7, "restarts": 4}, (active(3, [P[0]], starts=2),), 5),
    ],
)
def test_starts_survive_the_round(
    status: dict[str, object], rounds: tuple[Round, ...], starts: int
) -> None:
    found, _ = returned(status, *rounds)
    assert found.starts == starts


def test_a_false_round_is_replaced_above_every_known_number() -> None:
    """Agents may have received the false round, the one in the status, or one that passed."""
    for false, status_n, seen in ((9, 3, 4), (3, 9, 4), (3, 4, 9)):
        s = snapshot(
            observed_pod(0),
            round_=active(false, [P[0]]),
            past_rounds=(past(active(seen, [P[0]])),),
            status={"round": status_n},
        )
        (action,) = apply(replace_round, s)[0]
        assert isinstance(action, ReplaceRound)
        assert action.round.n == RETURN_N + 9
