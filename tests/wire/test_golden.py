"""Golden files: the next release and the one before must read what this release writes.

Each file is the text of one annotation. A record that is written differently, for example with one
more key, needs a new file. The old file stays under another name in OLD, as it must still be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import pytest

from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import WireError
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import JoinWait, JoinWaitKind, Progress, Recovery, Report
from elasticjob.wire.round import Endpoint, Phase, Round

GOLDEN = Path(__file__).parent / "golden"
Record = Union[Desired, Round, Report, AgentState]

FAILURE = Cause(
    CauseKind.WORKER_SIGNALED, "job-1-0", "node-b", 9, signal=9, message="out of memory",
    n=6, after_ms=81250,
)  # fmt: skip
THOUSAND = tuple(Member(Pod(i, 2 if i == 998 else 0), 8) for i in range(1000))

RECORDS: dict[str, Record] = {
    "desired-minimal": Desired(wanted=()),
    "desired-full": Desired(
        wanted=(*(Pod(i, 0) for i in range(7)), Pod(7, 3)),
        min_members=6,
        max_restarts=0,
        heartbeat_s=0.2,
        stop_grace_s=55.0,
        crash_grace_s=1.5,
        last_call_s=10.0,
        startup_last_call_s=600.0,
        cooldown_s=0.0,
        reset_after_s=7200.0,
        api_grace_s=900.0,
        charged=frozenset({4}),
        pardoned=frozenset({2, 3, 7}),
    ),
    "round-minimal": Round(),
    "round-full": Round(
        n=7,
        phase=Phase.ACTIVE,
        members=(Member(Pod(0, 0), 8), Member(Pod(1, 0), 8), Member(Pod(9, 2), 4, "actor")),
        master=Endpoint("10.0.0.1", 23456),
        cause=FAILURE,
        charged=Charges(frozenset({3, 4, 7}), older=1, forgiven=2),
        delay_ms=4000,
        starts=6,
        resets=1,
        recovery=Recovery(7, detect_ms=15_000, stop_ms=20, rendezvous_ms=700),
    ),
    "round-of-1000": Round(
        n=12,
        phase=Phase.ACTIVE,
        members=THOUSAND,
        master=Endpoint("10.0.0.1"),
        charged=Charges(frozenset({12})),
        starts=2,
    ),
    "round-succeeded": Round(
        n=3, phase=Phase.SUCCEEDED, members=(Member(Pod(0, 0)),), master=Endpoint("fd00::1"),
        starts=2,
    ),
    "report-silent": Report(n=3, outside=True, silent=(Pod(2, 0), Pod(3, 1)), delay_ms=1500),
    "report-forming": Report(n=3, outside=True, age_ms=61_000),
    "report-joining": Report(
        n=7, running=(Pod(0, 0),), outside=True, join_wait=JoinWait(JoinWaitKind.COOLDOWN, 41_000)
    ),
    "report-failed": Report(n=7, running=(Pod(0, 0),), failed=(Pod(1, 0),), outside=True),
    "report-minimal": Report(n=0),
    "report-full": Report(
        n=7,
        running=(Pod(0, 0), Pod(1, 0), Pod(9, 2)),
        recovery=Recovery(7, detect_ms=3, stop_ms=20, rendezvous_ms=0, start_ms=25),
        progress=Progress(1200, 5000),
    ),
    "agent-minimal": AgentState(AgentPhase.READY, 0),
    "agent-full": AgentState(
        phase=AgentPhase.FAILED,
        n=6,
        leaving=True,
        pod_uid="7f5b2a9e-0000-4000-8000-000000000001",
        node="node-b",
        address="10.0.0.2",
        port_base=23456,
        workers=8,
        role="actor",
        cause=FAILURE,
        start_ms=45,
        stop_ms=20,
        progress=Progress(1200),
    ),
}  # fmt: skip
OLD: dict[str, Record] = {  # files that an earlier release wrote; they are only read
    "agent-full-1": RECORDS["agent-full"],  # with the times of the round that the agent wrote
    "round-full-1": replace(RECORDS["round-full"], recovery=None),
}


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_written_as_in_the_file(name: str) -> None:
    assert RECORDS[name].to_json() == golden(name)


@pytest.mark.parametrize(("name", "record"), [*RECORDS.items(), *OLD.items()])
def test_is_read_back(name: str, record: Record) -> None:
    assert type(record).from_json(golden(name)) == record


def test_every_file_is_tested() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted([*RECORDS, *OLD])


@pytest.mark.parametrize("name", RECORDS)
def test_keys_of_a_later_release_are_ignored(name: str) -> None:
    record = json.loads(golden(name))
    for fields in list(_objects(record)):
        fields["later"] = {"what": ["ever"]}
    assert type(RECORDS[name]).from_json(json.dumps(record)) == RECORDS[name]


@pytest.mark.parametrize("name", RECORDS)
def test_another_version_is_refused(name: str) -> None:
    record = {**json.loads(golden(name)), "v": 2}
    with pytest.raises(WireError, match="version 2, this release reads 1"):
        type(RECORDS[name]).from_json(json.dumps(record))


def test_a_thousand_members_fit_in_200_bytes_of_ranges() -> None:
    record = json.loads(golden("round-of-1000"))
    assert len(record["members"]) + len(record["workers"]) < 200
    assert len(golden("round-of-1000")) < 300


_HOSTILE: list[Any] = [
    None, True, False, -1, 0, 1.5, 10**400, float("nan"), float("-inf"), "", "x", "0-", "\u00b2",
    "0-99999999", "0@0,0@1", "9" * 5000, "\ud800", [], [1], {}, {"kind": "x"}, {"n": -1},
]  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_any_wrong_value_anywhere_is_a_wire_error_or_harmless(name: str) -> None:
    """Neither reading nor writing the record raises another exception."""
    kind = type(RECORDS[name])
    for hostile in _hostile(json.loads(golden(name))):
        assert len(_refusal(kind, hostile)) < 400


@pytest.mark.parametrize("name", RECORDS)
def test_a_text_that_was_cut_is_a_wire_error(name: str) -> None:
    text = golden(name)
    for end in range(len(text)):
        with pytest.raises(WireError):
            type(RECORDS[name]).from_json(text[:end])


@pytest.mark.parametrize("kind", [Round, Report, AgentState])
def test_a_record_without_its_number_is_refused(kind: type[Any]) -> None:
    with pytest.raises(WireError, match=r"\.(n|phase|state) is"):
        kind.from_json('{"v":1}')


def test_an_empty_desired_wants_no_pod() -> None:
    assert Desired.from_json('{"v":1}') == Desired(wanted=())


@pytest.mark.parametrize(
    ("kind", "field", "words"), [(Round, "phase", "Waiting"), (AgentState, "state", "sleeping")]
)
def test_a_phase_of_a_later_release_is_refused_by_name(
    kind: type[Any], field: str, words: str
) -> None:
    """Unlike an unknown key, as a reader must not act on a phase that it does not support."""
    with pytest.raises(
        WireError, match=f"{field} is '{words}', which this release does not support"
    ):
        kind.from_json(json.dumps({"v": 1, "n": 1, field: words}))


def test_phases_are_text() -> None:
    with pytest.raises(WireError, match="phase"):
        Round.from_json('{"v":1,"n":1,"phase":["Active"]}')
    with pytest.raises(WireError, match="state"):
        AgentState.from_json('{"v":1,"n":1,"state":null}')


def test_a_role_that_would_break_the_round_is_refused_on_reading() -> None:
    """The holder would copy it from the agent Lease into ranges that no agent can read."""
    with pytest.raises(WireError, match=r"agent\.role is 'a,b', not a plain word"):
        AgentState.from_json('{"v":1,"n":1,"state":"ready","role":"a,b"}')


@pytest.mark.parametrize("address", ["10.0.0.1\0", "somewhere", "10.0.0.300"])
def test_a_wrong_address_is_refused_on_reading(address: str) -> None:
    """It would become MASTER_ADDR of every worker, and no process starts with a NUL in it."""
    state = {"v": 1, "n": 1, "state": "ready", "address": address}
    with pytest.raises(WireError, match=r"agent\.address is '.*', not an IP address"):
        AgentState.from_json(json.dumps(state))
    round_ = {"v": 1, "n": 1, "phase": "Active", "master": {"address": address}}
    with pytest.raises(WireError, match=r"round\.master\.address is '.*', not an IP address"):
        Round.from_json(json.dumps(round_))


def test_a_round_without_an_address_for_its_store_is_refused() -> None:
    with pytest.raises(WireError, match=r"round\.master\.address is '', not an IP address"):
        Round.from_json('{"v":1,"n":1,"phase":"Active","master":{"portBase":29500}}')


def _refusal(kind: type[Any], text: str) -> str:
    try:
        kind.from_json(text).to_json()
    except WireError as error:
        return str(error)
    return ""


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from _objects(inner)


def _hostile(record: dict[str, Any]) -> Iterator[str]:
    """The record with one value after the other replaced by a wrong one, and left out."""
    for fields in list(_objects(record)):
        for key, kept in list(fields.items()):
            for wrong in _HOSTILE:
                fields[key] = wrong
                yield json.dumps(record)
            del fields[key]
            yield json.dumps(record)
            fields[key] = kept
