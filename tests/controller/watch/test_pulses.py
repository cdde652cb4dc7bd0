from __future__ import annotations

from typing import Any

import pytest

from elasticjob.controller.watch.pulses import KEPT, LARGEST, Pulse, Pulses
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.report import Progress, Report
from elasticjob.wire.round import Round

JOB = leases.JobIdentity("team", "demo", "uid-of-demo")


def event(kind: str | None, version: int, uid: str = "u", n: int = 0, **spec: Any) -> Json:
    body = leases.round_manifest(JOB, Desired(()), Round(n))
    body["metadata"] |= {"resourceVersion": str(version), "uid": uid, "managedFields": [version]}
    return {"type": kind, "object": {**body, "spec": {"holderIdentity": "demo-0-0", **spec}}}


def pulse(version: int) -> Json:
    return event("MODIFIED", version, renewTime=f"2026-01-01T00:00:{version:02}.000000Z")


@pytest.fixture
def pulses() -> Pulses:
    found = Pulses()
    found.note(event("ADDED", 1))
    return found


def test_a_pulse_changes_its_time_its_version_and_its_manager(pulses: Pulses) -> None:
    assert pulses.is_only_a_pulse(pulse(2))
    assert pulses.is_only_a_pulse(pulse(3))
    assert pulses.is_only_a_pulse(pulse(3)), "asking changes nothing"


@pytest.mark.parametrize(
    "news",
    [
        event("MODIFIED", 2, n=1),
        event("MODIFIED", 2, holderIdentity=None),
        event("MODIFIED", 2, uid="other"),
        event("DELETED", 2),
        event("ADDED", 2),
        event(None, 2),
    ],
    ids=["round", "holder", "made again", "deleted", "added", "listed"],
)
def test_every_other_change_passes(pulses: Pulses, news: Json) -> None:
    assert not pulses.is_only_a_pulse(news)


def test_progress_passes_once(pulses: Pulses) -> None:
    def report(version: int, step: int) -> Json:
        found = pulse(version)
        text = Report(0, progress=Progress(step)).to_json()
        found["object"]["metadata"]["annotations"][names.ANNOTATION_REPORT] = text
        return found

    assert not pulses.is_only_a_pulse(report(2, 5))
    pulses.note(report(2, 5))
    assert pulses.is_only_a_pulse(report(3, 5))
    assert not pulses.is_only_a_pulse(report(4, 6))


def test_a_change_that_did_not_pass_passes_later(pulses: Pulses) -> None:
    assert not pulses.is_only_a_pulse(event("MODIFIED", 2, n=1))
    assert not pulses.is_only_a_pulse(event("MODIFIED", 3, n=1))


def test_a_change_back_passes(pulses: Pulses) -> None:
    """Each step of A, B, A is handed on: what a cache holds is the last of them."""
    pulses.note(event("MODIFIED", 2, n=1))
    assert not pulses.is_only_a_pulse(event("MODIFIED", 3))


def test_nothing_is_kept_of_what_is_gone(pulses: Pulses) -> None:
    pulses.note(event("DELETED", 2))
    assert not pulses.is_only_a_pulse(event("MODIFIED", 3))


def test_a_lease_without_a_spec_is_compared_like_any(pulses: Pulses) -> None:
    bare = event("MODIFIED", 2)
    del bare["object"]["spec"]
    assert not pulses.is_only_a_pulse(bare)
    pulses.note(bare)
    assert pulses.is_only_a_pulse(bare)


def test_large_leases_and_many_of_them_pass_and_occupy_no_memory() -> None:
    last: dict[str, Pulse] = {}
    found = Pulses(last)

    def large(uid: int, size: int) -> Json:
        meta = {"uid": str(uid), "resourceVersion": "1", "annotations": {"a": "x" * size}}
        return {"type": "MODIFIED", "object": {"metadata": meta, "spec": {}}}

    found.note(large(0, LARGEST))
    assert not found.is_only_a_pulse(large(0, LARGEST))
    number = KEPT // 60_000 + 100
    for uid in range(number):
        found.note(large(uid, 60_000))
    assert not found.is_only_a_pulse(large(0, 60_000))
    assert found.is_only_a_pulse(large(number - 1, 60_000))
    assert found._kept <= KEPT
    assert len(last) < number


def test_the_last_pulse_is_known_with_the_time_at_which_it_arrived() -> None:
    """The time in it identifies a pulse: a round that an agent writes is none."""
    last: dict[str, Pulse] = {}
    found = Pulses(last, now=iter([10.0, 20.0]).__next__)
    found.note(event("ADDED", 1))
    found.note_pulse(pulse(2))
    assert last["u"] == Pulse("2026-01-01T00:00:02.000000Z", 2, at=20.0)
    written = pulse(2)
    written["object"]["metadata"]["resourceVersion"] = "3"
    found.note(written)
    assert last["u"] == Pulse("2026-01-01T00:00:02.000000Z", 3, at=20.0)


def test_the_pulses_of_an_earlier_stream_are_not_known() -> None:
    last = {"u": Pulse("2026-01-01T00:00:02.000000Z", 2, at=20.0)}
    Pulses(last)
    assert last == {}


@pytest.mark.parametrize("gone", [event("DELETED", 2), event("MODIFIED", 2, x="x" * LARGEST)])
def test_of_a_lease_that_is_not_kept_no_pulse_is_kept(gone: Json) -> None:
    last: dict[str, Pulse] = {}
    found = Pulses(last)
    found.note(event("ADDED", 1))
    gone["object"]["metadata"]["annotations"]["large"] = gone["object"]["spec"].get("x", "")
    found.note(gone)
    assert last == {}
