from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.jobs import elastic_job
from tests.support.store_api import take_list

from elasticjob.controller.act import manifests
from elasticjob.controller.kube import ELASTIC_JOBS, LEASES, PODS, Resource
from elasticjob.controller.observe.key import Key
from elasticjob.controller.watch.cache import (
    KEPT_ENDS,
    KEPT_ROUNDS,
    Cache,
)
from elasticjob.controller.watch.pass_delay import AT_ONCE, PROGRESS_AFTER_S
from elasticjob.controller.watch.pulses import Pulse
from elasticjob.local.api.patches import merge
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Progress, Recovery, Report
from elasticjob.wire.round import Round

KEY = Key("team", "demo")
NOW = (KEY, AT_ONCE)


def job(version: int, uid: str = "uid-of-demo", **spec: Any) -> Json:
    body = elastic_job(**spec)
    body["metadata"] |= {"resourceVersion": str(version), "uid": uid}
    return body


def pod(version: int, index: int = 0) -> Json:
    body = manifests.pod(job(1), index, 0, "0123456789")
    body["metadata"] |= {"resourceVersion": str(version), "uid": f"u{index}"}
    return body


def round_(version: int, n: int, uid: str = "uid-of-demo", **spec: Any) -> Json:
    owner = leases.JobIdentity("team", "demo", uid)
    body = leases.round_manifest(owner, Desired(()), Round(n))
    body["metadata"] |= {"resourceVersion": str(version), "uid": f"round-of-{uid}"}
    return {**body, "spec": spec}


def test_only_what_changes_a_plan_is_reported() -> None:
    cache = Cache()
    assert cache.update(ELASTIC_JOBS, job(1)) == NOW
    assert cache.update(ELASTIC_JOBS, job(2)) is None
    assert cache.update(ELASTIC_JOBS, job(3, replicas=9)) == NOW
    assert cache.update(PODS, pod(4)) == NOW
    assert cache.update(PODS, pod(5)) is None
    assert cache.update(LEASES, round_(6, 0)) == NOW
    assert cache.update(LEASES, round_(7, 0, renewTime="2026-01-01T00:00:00.000000Z")) is None
    assert cache.update(LEASES, round_(8, 0, holderIdentity="demo-0-0")) == NOW


def test_progress_is_looked_at_later_and_a_round_at_once() -> None:
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    cache.update(PODS, pod(1))

    def report(version: int, step: int, *running: Pod) -> Json:
        body = round_(version, 1)
        text = Report(1, running, progress=Progress(step)).to_json()
        body["metadata"]["annotations"][names.ANNOTATION_REPORT] = text
        return body

    cache.update(LEASES, report(1, 5))
    assert cache.update(LEASES, report(2, 6)) == (KEY, 3 * Desired(()).heartbeat_s)
    assert cache.update(LEASES, report(3, 6)) is None
    assert cache.update(LEASES, report(4, 7, Pod(0, 0))) == NOW
    assert PROGRESS_AFTER_S > AT_ONCE


def test_an_old_delivery_covers_no_newer_answer() -> None:
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(5, replicas=9))
    assert cache.update(ELASTIC_JOBS, job(4)) is None
    entry = cache.entry(KEY)
    assert entry is not None
    assert entry.job is not None
    assert entry.job["spec"]["replicas"] == 9


def test_a_job_that_was_made_again_is_another() -> None:
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(5))
    cache.update(LEASES, round_(6, 3))
    assert cache.update(ELASTIC_JOBS, job(9, uid="other")) == NOW
    cache.update(LEASES, round_(10, 0, uid="other"))
    entry = cache.entry(KEY)
    assert entry is not None
    assert [r.n for r in entry.rounds_for("other")] == [0]
    assert entry.rounds_for("uid-of-demo") == ()


def test_rounds_are_kept_by_number_and_not_for_ever() -> None:
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    for version, n in enumerate([0, 0, 1, 1, *range(2, 200)], start=1):
        cache.update(LEASES, round_(version, n))
    entry = cache.entry(KEY)
    assert entry is not None
    assert [r.n for r in entry.rounds] == list(range(200 - KEPT_ROUNDS, 200))


def reported(version: int, n: int, report: Report) -> Json:
    patch = leases.pulse_patch(report, "2026-01-01T00:00:00.000000Z", str(version))
    return merge(round_(version, n), patch)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([Report(2, recovery=Recovery(2, 7))], Recovery(2, 7)),
        # The report of the round before, until the first pulse of this one.
        ([Report(1, recovery=Recovery(1, 7))], None),
        # A report has the recovery while all members run.
        ([Report(2, recovery=Recovery(2, 7)), Report(2)], Recovery(2, 7)),
    ],
)
def test_a_round_keeps_the_recovery_that_led_to_it(
    reports: list[Report], expected: Recovery | None
) -> None:
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    for version, report in enumerate(reports, start=2):
        cache.update(LEASES, reported(version, 2, report))
    entry = cache.entry(KEY)
    assert entry is not None
    assert entry.rounds[-1].recovery == expected


def test_a_list_finds_deletions_that_no_watch_delivered() -> None:
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    for index in range(3):
        cache.update(PODS, pod(10 + index, index))
    assert take_list(cache, PODS, [pod(10, 0)], version="11") == {KEY}
    entry = cache.entry(KEY)
    assert entry is not None
    assert sorted(entry.pods) == ["demo-0-0", "demo-2-0"]  # the last is newer than the list
    assert take_list(cache, PODS, [pod(10, 0), pod(12, 2)], version="13") == set()


def test_nothing_is_left_of_a_job_that_is_gone() -> None:
    cache = Cache()
    for resource, body in ((ELASTIC_JOBS, job(1)), (PODS, pod(2)), (LEASES, round_(3, 0))):
        cache.update(resource, body)
    for resource, body in ((LEASES, round_(4, 0)), (PODS, pod(5)), (ELASTIC_JOBS, job(6))):
        assert cache.update(resource, body, gone=True) == NOW
    assert cache.entry(KEY) is None


@pytest.mark.parametrize(
    ("resource", "body"), [(ELASTIC_JOBS, job(5)), (PODS, pod(5)), (LEASES, round_(5, 0))]
)
def test_what_is_gone_does_not_come_back_by_an_answer_or_a_list_that_was_under_way(
    resource: Resource, body: Json
) -> None:
    ended = {**body, "metadata": {**body["metadata"], "resourceVersion": "6"}}
    cache = Cache()
    cache.update(resource, body)
    assert cache.update(resource, ended, gone=True) == NOW
    assert cache.update(resource, body) is None
    assert take_list(cache, resource, [body], version="5") == set()
    assert cache.entry(KEY) is None
    cache = Cache()
    cache.update(resource, body)
    assert take_list(cache, resource, [], version="6") == {KEY}
    assert cache.update(resource, body) is None
    assert cache.entry(KEY) is None


@pytest.mark.parametrize(("resource", "make"), [(PODS, pod), (LEASES, lambda v: round_(v, 0))])
def test_an_object_that_gets_the_label_of_the_selector_back_returns(
    resource: Resource, make: Callable[[int], Json]
) -> None:
    """A watch delivers an object that has lost the label like one that was deleted."""
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    cache.update(resource, make(5))
    cache.update(resource, make(6), gone=True)
    assert cache.update(resource, make(7)) == NOW
    cache.update(resource, make(8), gone=True)
    assert take_list(cache, resource, [make(9)], version="9") == {KEY}


def test_an_older_version_of_a_pod_replaces_no_newer_one() -> None:
    """A pass may have read a newer one before the watch delivers this."""
    cache, newer = Cache(), pod(5)
    newer["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert cache.update(PODS, newer) == NOW
    assert cache.update(PODS, pod(4)) is None
    entry = cache.entry(KEY)
    assert entry is not None
    assert entry.pods["demo-0-0"].deleting


def test_late_deliveries_of_an_older_job_leave_the_job_that_has_its_name_now() -> None:
    """kopf delivers objects with different UIDs in any order."""
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    cache.update(LEASES, round_(2, 0))
    assert cache.update(ELASTIC_JOBS, job(9, uid="other")) == NOW
    assert cache.update(LEASES, round_(10, 0, uid="other")) == NOW
    assert cache.update(ELASTIC_JOBS, job(6, suspend=True)) is None
    assert cache.update(LEASES, round_(5, 1)) is None
    assert cache.update(ELASTIC_JOBS, job(8), gone=True) is None
    assert cache.update(LEASES, round_(7, 1), gone=True) is None
    entry = cache.entry(KEY)
    assert entry is not None
    assert entry.job is not None
    assert entry.lease is not None
    assert (entry.job["metadata"]["uid"], entry.lease.job_uid) == ("other", "other")


def test_only_the_last_that_are_gone_are_remembered() -> None:
    cache = Cache()
    for index in range(KEPT_ENDS + 1):
        cache.update(PODS, pod(1, index), gone=True)
    assert cache.update(PODS, pod(1, KEPT_ENDS)) is None
    assert cache.update(PODS, pod(1, 1)) is None
    assert cache.update(PODS, pod(1, 0)) == NOW


def test_a_lease_that_is_labelled_as_a_round_and_has_another_name_is_none() -> None:
    """An agent can write all of its Lease but the name."""
    cache = Cache()
    cache.update(ELASTIC_JOBS, job(1))
    forged = round_(3, 99)
    forged["metadata"]["name"] = "evil-0-0"
    assert cache.update(LEASES, forged) is None
    assert take_list(cache, LEASES, [forged, round_(2, 0)], "4") == {KEY}
    entry = cache.entry(KEY)
    assert entry is not None
    assert entry.lease is not None
    assert entry.lease.round.n == 0
    assert cache.update(LEASES, forged, gone=True) is None
    assert entry.lease is not None


def test_objects_without_our_labels_and_unreadable_objects_are_ignored() -> None:
    cache = Cache()
    stranger = pod(1)
    stranger["metadata"]["labels"] = {}
    broken = round_(2, 0)
    broken["metadata"]["annotations"] = {}
    assert cache.update(PODS, stranger) is None
    assert cache.update(PODS, {**pod(1), "status": ["a"]}) == NOW  # to name it in a condition
    assert cache.update(PODS, {**pod(1), "status": ["a"]}) is None
    assert cache.update(LEASES, broken) == NOW  # to say so in the job's status
    assert cache.update(LEASES, broken) is None


@pytest.mark.parametrize(
    ("pulse", "expected"),
    [
        (None, ("t1", None)),
        (Pulse("t1", 5, at=9.0), ("t1", 9.0)),
        (Pulse("t2", 11, at=9.0), ("t2", 9.0)),
        (Pulse("t0", 9, at=9.0), ("t1", None)),  # a pass has read a newer one
    ],
)
def test_a_round_lease_has_the_newest_pulse(
    pulse: Pulse | None, expected: tuple[str, float | None]
) -> None:
    cache = Cache()
    if pulse:
        cache.pulses["uid-of-round"] = pulse
    lease = RoundLease("10", "uid-of-round", "uid", Desired(()), Round(), renew_time="t1")
    found, at = cache.newest_pulse(lease)
    assert (found.renew_time, at) == expected
