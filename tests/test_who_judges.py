"""Who judges which agent, in every phase: docs/protocol.md, "Who judges whom", cell by cell.

Each cell runs the holder's judgement and the operator's on the same job. An agent that is silent
in it must be found by exactly one of them, and an agent that is alive by none.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.support.snapshots import NOW, actions_of, observed_pod, remembered, snapshot

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting, Renewal, Since
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import lost
from elasticjob.rendezvous.members.judge import Case, judge
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.view import Seen, View
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Phase, Round

HOLDER, OTHER = Pod(0, 0), Pod(1, 0)
PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"


@dataclass(frozen=True)
class Cell:
    """One agent in one situation."""

    who: str  # the agent that is silent
    phase: Phase  # of the round
    pulses: bool  # whether the holder sends pulses

    @property
    def pod(self) -> Pod:
        return HOLDER if self.who == "the holder" else OTHER

    @property
    def members(self) -> tuple[Pod, ...]:
        if self.phase is Phase.FORMING:
            return ()
        return (HOLDER, OTHER) if self.who in ("the holder", "a member") else (HOLDER,)


WHO = ("the holder", "a member", "outside, with a Lease", "outside, without a Lease")
CELLS = [
    Cell(*found)
    for found in itertools.product(WHO, (Phase.FORMING, Phase.ACTIVE), (True, False))
    if (found[0], found[1]) != ("a member", Phase.FORMING)  # a Forming round has none
]


def round_of(cell: Cell) -> Round:
    return Round(1, cell.phase, tuple(map(Member, cell.members)), starts=1)


def snapshot_of(cell: Cell, silent: bool) -> Snapshot:
    """The operator's snapshot after a quarter of an hour."""
    renewed = "" if cell.who == "outside, without a Lease" else "t1"
    since_at = NOW - 900 if silent else NOW
    renewal = {
        HOLDER: Renewal("t0", since_at, reads=9),
        OTHER: Renewal(renewed, since_at, reads=9),
    }
    since = {Since(Lasting.JUDGED, f"uid-demo-{pod.index}-0"): since_at for pod in (HOLDER, OTHER)}
    since |= {} if cell.pulses else {lasting.same_pulse(""): NOW - 900}
    memory = remembered(renewals=renewal, since=since, leases_listed_at=NOW)
    pods = (observed_pod(0), observed_pod(1))
    report = Report(1, outside=True)
    return snapshot(*pods, round_=round_of(cell), holder="demo-0-0", memory=memory, report=report)


def seen(pod: Pod, silent: bool, confirmed: bool = True) -> Seen:
    state = AgentState(AgentPhase.RUNNING if pod == HOLDER else AgentPhase.READY, 1, node="node-1")
    name = f"demo-{pod.index}-{pod.generation}"
    lease = AgentLease(name, pod, "1", f"uid-{name}", "uid-of-demo", "nonce", "", state)
    at, pulse = (NOW - 900, 0) if silent else (NOW, 180)
    return replace(Seen(lease, at, pulse, node="node-1"), got_at=NOW, got_pulse=180)


def found_by_holder(cell: Cell, silent: bool) -> bool:
    """Whether the holder finds the pod silent; without pulses there is no holder."""
    if not cell.pulses:
        return False
    with_lease = [HOLDER] if cell.who == "outside, without a Lease" else [HOLDER, OTHER]
    leases = {pod: seen(pod, silent and pod == cell.pod) for pod in with_lease}
    desired = snapshot_of(cell, silent).lease
    assert desired is not None
    view = View("demo", HOLDER, leases, pulses=180)
    judged = judge(Case(round_of(cell), desired.desired, view, round_at=NOW - 10, now=Now(NOW)))
    return cell.pod in judged.silent or cell.pod in judged.lost


def found_by_operator(cell: Cell, silent: bool) -> bool:
    s = snapshot_of(cell, silent)
    return cell.pod in [
        action.pod for action in actions_of(lost.mark_lost_pods, s) if hasattr(action, "pod")
    ]


def judge_of(cell: Cell) -> str:
    """The judge in the page's table."""
    if not cell.pulses:
        return "the operator"
    if cell.who == "the holder":
        return "the other agents"
    return "the operator" if cell.who == "outside, without a Lease" else "the holder"


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_silent_agent_has_exactly_one_judge(cell: Cell) -> None:
    found = {
        "the holder": found_by_holder(cell, silent=True),
        "the operator": found_by_operator(cell, silent=True),
    }
    expected = {name: name == judge_of(cell) for name in found}
    assert found == expected


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_an_agent_that_renews_is_found_by_none(cell: Cell) -> None:
    assert not found_by_holder(cell, silent=False)
    assert not found_by_operator(cell, silent=False)


def test_the_page_has_every_cell() -> None:
    """One row for each agent, with its judge while the holder gives pulses, and without."""
    page = PAGE.read_text(encoding="utf-8")
    for cell in CELLS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {cell.who} |")]
        column = row.split("|")[2 if cell.pulses else 3]
        assert judge_of(cell) in column, (cell, row)
