from __future__ import annotations

from typing import Any

import pytest

from elasticjob.controller.watch.pulses import Pulses
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.desired import Desired
from elasticjob.wire.report import Progress, Report
from elasticjob.wire.round import Round

Json = dict[str, Any]
JOB = leases.Job("team", "demo", "uid-of-demo")


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


def test_a_mere_pulse_changes_its_time_its_version_and_who_manages_it(pulses: Pulses) -> None:
    assert pulses.is_mere(pulse(2))
    assert pulses.is_mere(pulse(3))
    assert pulses.is_mere(pulse(3)), "asking changes nothing"


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
def test_all_else_is_news(pulses: Pulses, news: Json) -> None:
    assert not pulses.is_mere(news)


def test_progress_is_news_once(pulses: Pulses) -> None:
    def report(version: int, step: int) -> Json:
        found = pulse(version)
        text = Report(0, progress=Progress(step)).to_json()
        found["object"]["metadata"]["annotations"][names.ANNOTATION_REPORT] = text
        return found

    assert not pulses.is_mere(report(2, 5))
    pulses.note(report(2, 5))
    assert pulses.is_mere(report(3, 5))
    assert not pulses.is_mere(report(4, 6))


def test_what_was_not_handed_on_stays_news(pulses: Pulses) -> None:
    assert not pulses.is_mere(event("MODIFIED", 2, n=1))
    assert not pulses.is_mere(event("MODIFIED", 3, n=1))


def test_what_came_back_is_news_again(pulses: Pulses) -> None:
    """Each step of A, B, A is handed on: what a cache holds is the last of them."""
    pulses.note(event("MODIFIED", 2, n=1))
    assert not pulses.is_mere(event("MODIFIED", 3))


def test_nothing_is_kept_of_what_is_gone(pulses: Pulses) -> None:
    pulses.note(event("DELETED", 2))
    assert not pulses.is_mere(event("MODIFIED", 3))


def test_a_lease_without_a_spec_is_compared_like_any(pulses: Pulses) -> None:
    bare = event("MODIFIED", 2)
    del bare["object"]["spec"]
    assert not pulses.is_mere(bare)
    pulses.note(bare)
    assert pulses.is_mere(bare)
