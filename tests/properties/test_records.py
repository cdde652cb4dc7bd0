"""Any record is read as it was written, and any text is read as a record or refused."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from elasticjob.wire.address import is_address
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind, clip
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import WireError, dump_numbers, load_numbers
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Progress, Recovery, Report
from elasticjob.wire.round import Endpoint, Phase, Round

small = st.integers(0, 2_000)
numbers = st.integers(0, 2**53)
sets = st.frozensets(small, max_size=20)
names = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=20)
messages = st.text(max_size=400).map(clip)
seconds = st.floats(0, 1e6)
addresses = st.ip_addresses().map(str)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def by_index(items: dict[int, Any]) -> list[tuple[int, Any]]:
    return sorted(items.items())


pods = st.dictionaries(small, small, max_size=12).map(
    lambda found: tuple(Pod(i, g) for i, g in by_index(found))
)
members = st.dictionaries(
    small, st.tuples(small, st.integers(0, 64), st.sampled_from(["default", "actor", "a-1"])),
    max_size=12,
).map(lambda found: tuple(Member(Pod(i, g), w, r) for i, (g, w, r) in by_index(found)))  # fmt: skip
causes = st.builds(
    Cause, kind=st.sampled_from(CauseKind), pod=names, node=names, rank=st.integers(-1, 2**31),
    code=maybe(st.integers(0, 255)), signal=maybe(st.integers(1, 64)), message=messages,
    n=maybe(small), after_ms=maybe(numbers),
)  # fmt: skip
charges = st.builds(Charges, sets, small, small)
recoveries = st.builds(Recovery, small, small, small, small, small)
rounds = st.builds(
    Round, n=numbers, phase=st.sampled_from(Phase), members=members,
    master=maybe(st.builds(Endpoint, addresses, small)), cause=maybe(causes), charged=charges,
    delay_ms=small, starts=small, resets=small,
    recovery=maybe(recoveries),
)  # fmt: skip
progress = st.builds(Progress, numbers, numbers)
states = st.builds(
    AgentState, phase=st.sampled_from(AgentPhase), n=numbers, leaving=st.booleans(), pod_uid=names,
    node=names, address=st.just("") | addresses, port_base=small, workers=small,
    role=st.sampled_from(["default", "learner"]), cause=maybe(causes), start_ms=maybe(small),
    stop_ms=maybe(small), progress=maybe(progress),
)  # fmt: skip
reports = st.builds(
    Report, n=numbers, running=pods, progress=maybe(progress), outside=st.booleans(), silent=pods,
    recovery=maybe(recoveries), failed=pods, age_ms=maybe(small), delay_ms=maybe(small),
)  # fmt: skip
durations = {f.name: seconds for f in dataclasses.fields(Desired) if f.name.endswith("_s")}
wants = st.builds(
    Desired, wanted=pods, min_members=small, max_restarts=small, charged=sets, pardoned=sets,
    **durations,
)  # fmt: skip


@given(rounds | states | reports | wants)
def test_there_and_back(record: Round | AgentState | Report | Desired) -> None:
    text = record.to_json()
    found = type(record).from_json(text)
    assert found == record
    assert found.to_json() == text


@given(sets)
def test_sets_of_numbers(found: frozenset[int]) -> None:
    assert load_numbers(dump_numbers(found), "it") == found


@given(
    st.text("0123456789abcdefG.:", max_size=20)
    | st.lists(st.sampled_from(["0", "f", "255", "1.2.3.4", "::", ":", "."])).map("".join)
)
def test_addresses_are_read_as_the_standard_library_does(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert not is_address(text)
    else:
        assert is_address(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("n", "phase", "members", "workers", "master", "cause", "charged", "chargedOlder"),
        *("forgiven", "delayMs", "starts", "resets", "state", "leaving", "role", "progress"),
        *("running", "recovery", "wanted", "min", "heartbeatSeconds", "pardoned", "portBase"),
    ]
)


@given(
    st.sampled_from([Round, AgentState, Report, Desired]),
    st.dictionaries(KEYS, JSON, max_size=8).map(lambda fields: {"v": 1, **fields})
    | JSON,
)  # fmt: skip
def test_reading_ends_in_a_record_or_in_a_wire_error(kind: type[Any], value: Any) -> None:
    with contextlib.suppress(WireError):
        kind.from_json(json.dumps(value)).to_json()


@given(st.sampled_from([Round, AgentState, Report, Desired]), st.text(max_size=60))
def test_any_text_at_all(kind: type[Any], text: str) -> None:
    with contextlib.suppress(WireError):
        kind.from_json(text)
