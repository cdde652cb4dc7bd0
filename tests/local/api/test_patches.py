"""The result of each kind of patch."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.patches import json_patch, merge, strategic

POD = {
    "metadata": {"finalizers": ["a/1"], "labels": {"x": "1"}},
    "spec": {
        "nodeName": "n",
        "containers": [
            {"name": "a", "image": "1", "env": [{"name": "E", "value": "1"}]},
            {"name": "b", "image": "1"},
        ],
        "tolerations": [{"key": "t"}],
    },
}


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({"a": 1}, [1], [1]),
    ],
)
def test_merge(target: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy(target)
    assert merge(target, patch) == expected
    assert target == before


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"spec": {"containers": [{"name": "b", "image": "2"}]}}, [("a", "1"), ("b", "2")]),
        ({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}, [("b", "1")]),
        (
            {"spec": {"containers": [{"name": "c", "image": "1"}]}},
            [("a", "1"), ("b", "1"), ("c", "1")],
        ),
        (
            {
                "spec": {
                    "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                    "containers": [{"name": "a", "image": "2"}],
                }
            },
            [("b", "1"), ("a", "2")],
        ),
        ({"spec": {"containers": [{"image": "anonymous"}]}}, [(None, "anonymous")]),
    ],
)
def test_strategic_lists_merge_by_name(patch: Any, expected: list[tuple[Any, str]]) -> None:
    containers = strategic(POD, patch)["spec"]["containers"]
    assert [(item.get("name"), item["image"]) for item in containers] == expected


def test_strategic_merges_below_a_merged_item() -> None:
    patch = {"spec": {"containers": [{"name": "a", "env": [{"name": "F", "value": "2"}]}]}}
    first = strategic(POD, patch)["spec"]["containers"][0]
    assert first["env"] == [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]
    assert first["image"] == "1"


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        ({"metadata": {"finalizers": ["b/2"]}}, ("metadata", "finalizers"), ["a/1", "b/2"]),
        (
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1"]}},
            ("metadata", "finalizers"),
            [],
        ),
        ({"metadata": {"labels": {"x": None, "y": "2"}}}, ("metadata", "labels"), {"y": "2"}),
        ({"metadata": {"labels": {"$patch": "replace"}}}, ("metadata", "labels"), {}),
        ({"spec": {"tolerations": [{"key": "u"}]}}, ("spec", "tolerations"), [{"key": "u"}]),
        ({"spec": {"nodeName": None}}, ("spec", "nodeName"), None),
        ({"metadata": {"$retainKeys": ["labels"]}}, ("metadata", "finalizers"), None),
    ],
)
def test_strategic(patch: Any, path: tuple[str, str], expected: Any) -> None:
    before = copy.deepcopy(POD)
    assert strategic(POD, patch)[path[0]].get(path[1]) == expected
    assert before == POD


def test_service_ports_merge_by_port_and_container_ports_by_container_port() -> None:
    service = {"ports": [{"port": 80}, {"port": 81}]}
    assert strategic(service, {"ports": [{"port": 81, "name": "x"}]}) == {
        "ports": [{"port": 80}, {"port": 81, "name": "x"}]
    }
    container = {"ports": [{"containerPort": 80}]}
    assert strategic(container, {"ports": [{"containerPort": 80, "name": "x"}]}) == {
        "ports": [{"containerPort": 80, "name": "x"}]
    }


def test_json_patch() -> None:
    target = {"a": {"b": 1}}
    operations = [
        {"op": "test", "path": "/a/b", "value": 1},
        {"op": "replace", "path": "/a/b", "value": 2},
        {"op": "add", "path": "/c", "value": [1]},
        {"op": "replace", "path": "/c/0", "value": 2},
        {"op": "replace", "path": "/a/new", "value": 3},  # RFC 6902 forbids it, Kubernetes does it
    ]
    assert json_patch(target, operations) == {"a": {"b": 2, "new": 3}, "c": [2]}
    assert target == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "test", "path": "/a/b", "value": 9}], 422),
        ([{"op": "remove", "path": "/x"}], 422),
        ([{"op": "add", "path": "/x/y", "value": 1}], 422),
        ([{"op": "nonsense", "path": "/a"}], 400),
        ([{"op": "add", "path": "no-slash", "value": 1}], 400),
        ({"a": 1}, 400),
        (7, 400),
    ],
)
def test_json_patches_that_are_refused(operations: Any, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        json_patch({"a": {"b": 1}}, operations)
    assert caught.value.code == code


GROW = [{"op": "add", "path": "/a", "value": ["x" * 10_000]}]
GROW += [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
DEEPEN = [{"op": "copy", "from": "/a", "path": "/a" + "/a" * 2**n} for n in range(12)]
DEEP_VALUE: Any = {}
for _ in range(60):
    DEEP_VALUE = {"a": DEEP_VALUE}
ADD_BELOW = [{"op": "add", "path": "/a" * 60, "value": DEEP_VALUE}]


@pytest.mark.parametrize(
    ("operations", "fault"),
    [
        (GROW, "copies of more than 3145728 bytes"),
        (DEEPEN[:8], "more than 100 levels"),
        (DEEPEN, "recursion"),
        (ADD_BELOW, "more than 100 levels"),
    ],
)
def test_what_a_json_patch_makes_has_a_limit(operations: list[Any], fault: str) -> None:
    with pytest.raises(ApiError, match=fault) as refused:
        json_patch(DEEP_VALUE, operations)
    assert refused.value.code == 422


def test_a_replacement_without_a_value_is_refused() -> None:
    with pytest.raises(ApiError, match="'value' member"):
        json_patch({"a": 1}, [{"op": "replace", "path": "/a"}])


@pytest.mark.parametrize(
    "patch",
    [
        {"finalizers": [{}]},
        {"containers": [{"name": {}}]},
        {"$deleteFromPrimitiveList/finalizers": 5},
        {"$setElementOrder/containers": 5, "containers": [{"name": "a"}]},
        {"$setElementOrder/containers": [5], "containers": [{"name": "a"}]},
        {"$retainKeys": 5},
    ],
)
def test_a_strategic_patch_of_other_types_is_refused(patch: Any) -> None:
    with pytest.raises(ApiError, match="error decoding patch") as refused:
        strategic({"finalizers": ["x"], "containers": [{"name": "b"}]}, patch)
    assert refused.value.code == 400
