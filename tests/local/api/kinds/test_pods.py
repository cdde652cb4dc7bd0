"""Defaults and validation of pods."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.api.kinds.pods import admit
from elasticjob.local.api.objects.builtins import LEASES, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object


def pod(**spec: Any) -> Object:
    containers = [{"name": "w", "image": "i", "command": ["x"]}]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


def fields(new: Object, old: Object | None = None) -> list[str]:
    try:
        admit(PODS, new, old)
    except ApiError as error:
        return [cause["field"] for cause in error.details["causes"]]
    return []


def test_a_new_pod_gets_the_defaults_of_a_real_server() -> None:
    spec = admit(PODS, pod(restartPolicy="Never"), None)["spec"]
    assert spec["restartPolicy"] == "Never"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["serviceAccountName"] == "default"
    assert spec["containers"][0]["terminationMessagePath"] == "/dev/termination-log"


def test_other_kinds_are_admitted() -> None:
    assert admit(LEASES, {"spec": {}}, None) == {"spec": {}}


W = {"name": "w", "image": "i"}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"containers": [{"image": "i"}]}, "spec.containers[0].name"),
        ({"containers": [{**W, "name": "W_1"}]}, "spec.containers[0].name"),
        ({"containers": [W, W]}, "spec.containers[1].name"),
        ({"containers": [{"name": "w"}]}, "spec.containers[0].image"),
        ({"containers": [{**W, "env": [{"value": "1"}]}]}, "spec.containers[0].env[0].name"),
        (
            {"containers": [{**W, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            "spec.containers[0].volumeMounts[0].name",
        ),
        (
            {
                "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{**W, "volumeMounts": [{"name": "v"}]}],
            },
            "spec.containers[0].volumeMounts[0].mountPath",
        ),
        (
            {
                "volumes": [{"name": "v"}],
                "containers": [
                    {
                        **W,
                        "volumeMounts": [
                            {"name": "v", "mountPath": "/v"},
                            {"name": "v", "mountPath": "/v"},
                        ],
                    }
                ],
            },
            "spec.containers[0].volumeMounts[1].mountPath",
        ),
        ({"volumes": [{"name": "V_1"}]}, "spec.volumes[0].name"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "spec.volumes[1].name"),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
    ],
)
def test_new_pods_that_are_refused(spec: Object, field: str) -> None:
    assert fields(pod(**spec)) == [field]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"nodeName": "n"}, []),
        ({"activeDeadlineSeconds": 5}, []),
        ({"containers": [{"name": "w", "image": "other", "command": ["x"]}]}, []),
        ({"containers": [{"name": "w", "image": "i", "command": ["y"]}]}, ["spec"]),
        ({"hostNetwork": True}, ["spec"]),
        ({"terminationGracePeriodSeconds": 1}, ["spec"]),
    ],
)
def test_changes_of_a_pod(change: Object, expected: list[str]) -> None:
    assert fields(pod(**change), pod()) == expected


def test_the_node_name_is_set_once() -> None:
    assert fields(pod(nodeName="b"), pod(nodeName="a")) == ["spec"]
