"""Cells of tables: ages, paths, and the status of a pod."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from elasticjob.local.api.objects.builtins import BUILTINS, EVENTS, PODS
from elasticjob.local.api.objects.resource import Resource
from elasticjob.local.api.tables import age, json_path, short_duration, table

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11000, "3h3m"),
        (30000, "8h"),
        (172800, "2d"),
        (180000, "2d2h"),
        (864000, "10d"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert short_duration(seconds) == text


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ("2026-03-01T11:59:55Z", "5s"),
        ("2026-03-01T11:59:55.000000Z", "5s"),
        (None, "<unknown>"),
        ("soon", "<invalid>"),
    ],
)
def test_ages(since: str | None, text: str) -> None:
    assert age(since, NOW) == text


OBJ = {
    "metadata": {"labels": {"a.b/c": "x"}},
    "status": {
        "n": 3,
        "items": [{"v": 1}, {"v": 2}],
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}],
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".status.n", 3),
        (".status.items[1].v", 2),
        (".status.items[*].v", 1),
        ('.status.conditions[?(@.type=="Done")].status', "False"),
        (".status.missing.deep", None),
        (".metadata.labels.a\\.b/c", "x"),
    ],
)
def test_paths(path: str, value: Any) -> None:
    assert json_path(OBJ, path) == value


def pod(status: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-03-01T11:59:00Z", **meta},
        "spec": {"containers": [{"name": "w"}]},
        "status": status,
    }


def container(**state: Any) -> dict[str, Any]:
    return {"phase": "Running", "containerStatuses": [{"state": state, "restartCount": 2}]}


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (pod({"phase": "Pending"}), "Pending"),
        (pod({"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (pod(container(running={})), "Running"),
        (pod(container(waiting={"reason": "CrashLoopBackOff"})), "CrashLoopBackOff"),
        (pod(container(terminated={"reason": "Error", "exitCode": 1})), "Error"),
        (pod(container(terminated={"exitCode": 137})), "ExitCode:137"),
        (pod(container(running={}), deletionTimestamp="x"), "Terminating"),
    ],
)
def test_the_status_of_a_pod(obj: dict[str, Any], text: str) -> None:
    cells = table(PODS, [obj], {}, NOW)["rows"][0]["cells"]
    assert cells[2] == text
    assert cells[4] == "60s"


def test_an_event() -> None:
    event = {
        "metadata": {"name": "e", "creationTimestamp": "2026-03-01T11:00:00Z"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "lastTimestamp": "2026-03-01T11:59:50Z",
        "type": "Warning",
        "reason": "Failed",
        "message": "no luck\n",
    }
    cells = table(EVENTS, [event], {}, NOW)["rows"][0]["cells"]
    assert cells[:4] == ["10s", "Warning", "Failed", "pod/p"]
    assert cells[6] == "no luck"


@pytest.mark.parametrize("resource", BUILTINS, ids=lambda resource: resource.plural)
def test_every_resource_has_a_row_for_a_minimal_object(resource: Resource) -> None:
    bare = {"metadata": {"name": "x", "creationTimestamp": "2026-03-01T11:59:00Z"}}
    made = table(resource, [bare], {"resourceVersion": "1"}, NOW)
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"])
    assert "x" in made["rows"][0]["cells"]


@pytest.mark.parametrize(("include", "keys"), [("None", set()), ("Object", {"spec"}), ("", None)])
def test_the_parameter_include_object(include: str, keys: set[str] | None) -> None:
    row = table(PODS, [pod({})], {}, NOW, include)["rows"][0]
    if include == "None":
        assert "object" not in row
    elif include == "Object":
        assert "spec" in row["object"]
    else:
        assert row["object"]["kind"] == "PartialObjectMetadata"
