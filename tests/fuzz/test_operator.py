"""What the operator reads, damaged in a few places: a status is valid, or the object unreadable."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.test_cache import BODIES
from tests.support.jobs import elastic_job
from tests.support.mutations import damaged, damaged_json, texts
from tests.support.protocol import active, round_object
from tests.support.snapshots import observed_pod, snapshot

from elasticjob.api.crd import custom_resource_definition
from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.act import manifests
from elasticjob.controller.kube import PODS, Resource
from elasticjob.controller.observe import containers, pod_events
from elasticjob.controller.report import events, state, status
from elasticjob.controller.watch.cache import Cache, key_of
from elasticjob.local.api.kinds import schema
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.untrusted import plain

GOLDEN = Path(__file__).parent.parent / "wire" / "golden"
VERSION = custom_resource_definition()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]["properties"]["status"]


def pod(name: str, state: Json) -> Json:
    return {
        **manifests.pod(elastic_job(name), 0, 0, "0123456789"),
        "status": {
            "phase": "Running",
            "reason": "Evicted",
            "message": "low on memory",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/5 nodes are available: 3 Insufficient nvidia.com/gpu."}
            ],
            "containerStatuses": [{"name": "worker", "state": state}],
        },
    }  # fmt: skip


STATES: list[Json] = [
    {"terminated": {"exitCode": 1, "reason": "OOMKilled", "message": '{"message": "no memory"}'}},
    {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
    {"running": {}},
]
PODS_ = [pod("demo", each) for each in STATES]
for body in PODS_:
    body["metadata"] |= {"uid": "u", "resourceVersion": "5", "namespace": "team"}


@given(damaged_json(PODS_ + [each for _, each in BODIES]), st.sampled_from(BODIES))
def test_the_cache_and_the_key_of_an_object(text: str, found: tuple[Resource, Json]) -> None:
    resource = found[0]
    with contextlib.suppress(ValueError):
        value = json.loads(text)
        with contextlib.suppress(ValueError):
            key_of(resource, value)
        cache = Cache()
        for gone in (False, True, False):
            cache.update(resource, value, gone)


@given(damaged_json([{"cause": "SetupFailed", "code": 75, "message": "no API"}]) | texts)
def test_a_termination_message(text: str) -> None:
    found, _ = containers.termination_message(text)
    assert plain(found) == found
    assert len(found) <= containers.LONGEST_MESSAGE


EVENTS = [
    {"type": "Warning", "reason": "FailedMount", "lastTimestamp": "2026-01-01T00:00:00Z",
     "message": 'MountVolume.SetUp failed for volume "a" : configmap "b" not found', "count": 2},
    {"type": "Warning", "reason": "FailedScheduling", "eventTime": "2026-01-01T00:00:01.5Z",
     "series": {"lastObservedTime": "2026-01-01T00:00:02.5Z"}, "metadata": {}},
]  # fmt: skip


@given(st.lists(damaged(EVENTS, most=2), max_size=3))
def test_the_warnings_of_a_pod_are_few_plain_lines(found: list[Any]) -> None:
    for each in pod_events.warnings(found):
        text = f"{each.reason}{each.message}{each.at}"
        assert plain(text) == text
        assert "\n" not in text
        assert len(text) <= 1000


def records(kind: str) -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(GOLDEN.glob(f"{kind}-*.json"))]


FAILURES = records("round")
for kind in ("WorkerFailed", "PodEnded", "PodSilent", "Leaving", "StartFailed", "EatenByADog"):
    for phase in ("Active", "Failed", "Forming"):
        cause = {"kind": kind, "pod": "demo-0-0", "node": "n", "rank": 1, "code": 2, "message": "x"}
        FAILURES.append({"v": 1, "n": 3, "phase": phase, "members": "0-1@0", "cause": cause})


@st.composite
def round_leases(draw: st.DrawFn) -> leases.RoundLease | None:
    """A Round Lease with damaged records; None if it cannot be read."""
    body = round_object(6, round_=active(1))
    notes = body["metadata"]["annotations"]
    notes[names.ANNOTATION_ROUND] = draw(damaged_json(FAILURES, most=2))
    notes[names.ANNOTATION_REPORT] = draw(damaged_json(records("report"), most=2))
    with contextlib.suppress(WireError):
        return leases.parse_round(body)
    return None


@given(round_leases(), damaged(PODS_, most=2), st.booleans())
def test_the_status_of_what_can_be_read_is_valid_and_plain(
    lease: leases.RoundLease | None, body: Any, suspend: bool
) -> None:
    seen = None
    with contextlib.suppress(Exception):  # the cache isolates it, see above
        cache = Cache()
        changed = cache.update(PODS, body)
        entry = cache.entry(changed[0]) if changed else None
        seen = next(iter(entry.pods.values())) if entry else None
    found = snapshot(seen or observed_pod(0), observed_pod(1), suspend=suspend)
    found = replace(found, lease=lease or found.lease)
    new = status.of(found, state.of(found))
    fields = status.fields(new)
    assert ElasticJobStatus.model_validate(fields) == new
    assert schema.check(SCHEMA, fields).violations == []
    before = ElasticJobStatus()
    notes = [*events.of_causes(before, new), *events.of_pods(before, new)]
    for each in (fields, [note.message for note in notes]):
        shown = json.dumps(each, ensure_ascii=False).replace("\\n", "").replace("\\t", "")
        assert plain(shown) == shown
        assert "\\u00" not in shown
