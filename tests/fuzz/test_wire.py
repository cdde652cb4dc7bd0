"""Damaged records and Leases: each is read or refused with WireError, and the rules accept it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.mutations import damaged, damaged_json, damaged_text, texts
from tests.support.protocol import (
    JOB,
    active,
    agent_object,
    identity,
    parsed_round,
    round_object,
)

from elasticjob.rendezvous import agent_step, events, new_agent
from elasticjob.wire import lease as leases
from elasticjob.wire.address import is_address
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.cause import Cause
from elasticjob.wire.codec import WireError, load_numbers, load_tagged, whole_number
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import EndedMark
from elasticjob.wire.member import load_members, load_pods, pod_from_name
from elasticjob.wire.names import parse_pod_name, pod_name
from elasticjob.wire.report import Progress, Report
from elasticjob.wire.round import Round

GOLDEN = Path(__file__).parent.parent / "wire" / "golden"
KINDS: dict[str, Any] = {"agent": AgentState, "desired": Desired, "report": Report, "round": Round}


def records(kind: str) -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(GOLDEN.glob(f"{kind}-*.json"))]


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(st.data())
def test_a_record(kind: str, data: st.DataObject) -> None:
    raw = data.draw(damaged_json(records(kind)))
    with contextlib.suppress(WireError):
        found = KINDS[kind].from_json(raw)
        written = found.to_json()
        assert KINDS[kind].from_json(written).to_json() == written
        assert hash(found) == hash(KINDS[kind].from_json(raw))


CAUSE = json.loads((GOLDEN / "round-full.json").read_text())["cause"]


@given(damaged([CAUSE]))
def test_a_cause(fields: Any) -> None:
    with contextlib.suppress(WireError):
        found = Cause.from_fields(fields, "it")
        assert found is None or Cause.from_fields(found.to_fields(), "it") == found


@given(damaged([{"step": 3, "total": 7}]))
def test_progress(fields: Any) -> None:
    with contextlib.suppress(WireError):
        Progress.from_fields(fields, "it")


RANGES = ["0-5@0,7@2", "1-3,7", "0-6x8,7x4", "0-3x1:actor", "", "0@0"]
signs = texts | st.sampled_from(["-", ",", "@", "x", ":", "0", "9007199254740992", "1-2"])


@given(damaged_text(RANGES, junk=signs), damaged_text(RANGES, junk=signs))
def test_ranges(text: str, other: str) -> None:
    for read in (
        lambda: load_numbers(text, "it"),
        lambda: load_tagged(text, "@", "it"),
        lambda: load_tagged(text, "x", "it"),
        lambda: load_pods(text, "it"),
        lambda: load_members(text, other, "it"),
    ):
        with contextlib.suppress(WireError):
            read()


@given(damaged_text(["demo-0-0", "a-b-12-3", "demo-round", "demo"]))
def test_names(name: str) -> None:
    with contextlib.suppress(ValueError):
        parse_pod_name(name)
    found = pod_from_name(name, "demo")
    assert found is None or pod_name("demo", found.index, found.generation) == name
    assert whole_number(name) is None or name.isascii()


@given(damaged_text(["10.0.0.1", "fd00::1", "::ffff:10.0.0.1", "1:2:3:4:5:6:7:8"]))
def test_addresses(text: str) -> None:
    if is_address(text):
        assert set(text) <= set("0123456789abcdefABCDEF.:")


@given(damaged_json([{"v": 1, "reason": "x", "excused": True}]) | texts | st.none() | st.integers())
def test_a_mark(annotation: Any) -> None:
    assert EndedMark.is_excused(annotation) in (True, False)


ANNOTATION = {"round": "elasticjob.dev/round", "agent": "elasticjob.dev/agent"}
LEASES = [
    round_object(6, round_=active(1)),
    round_object(3),
    agent_object(6),
    agent_object(7, "B"),
]


@st.composite
def damaged_leases(draw: Any) -> Any:
    """A Lease that is damaged, or one of whose records is."""
    found = draw(damaged(LEASES, most=2))
    notes = found.get("metadata", {}) if isinstance(found, dict) else {}
    notes = notes.get("annotations") if isinstance(notes, dict) else {}
    for key in list(notes) if isinstance(notes, dict) else []:
        kind = str(key).partition("/")[2]
        if kind in KINDS and draw(st.booleans()):
            notes[key] = draw(damaged_json(records(kind), most=2))
    return found


def seen(lease: Any) -> Any:
    """The events that a watch posts for a Lease; none if it cannot be read."""
    for parse in (
        lambda: events.RoundSeen(leases.parse_round(lease), events.Source.WATCH),
        lambda: events.LeaseSeen(leases.parse_agent(lease, JOB)),
    ):
        with contextlib.suppress(WireError):
            yield parse()
    with contextlib.suppress(WireError):
        leases.job_uid_of(lease)


@given(st.lists(damaged_leases(), max_size=4))
def test_leases_and_every_rule_that_reads_them(found: list[Any]) -> None:
    me = agent_step(new_agent(identity(), 1000.0), events.Tick(), 1000.0).me
    first = events.RoundSeen(parsed_round(5, round_=active(1)), events.Source.READ)
    me = agent_step(me, first, 1000.0).me
    for step, event in enumerate(event for lease in found for event in seen(lease)):
        me = agent_step(me, event, 1001.0 + step).me
        me = agent_step(me, events.Tick(), 1100.0 + step).me
