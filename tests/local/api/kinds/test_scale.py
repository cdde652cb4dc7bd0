"""The Scale of a custom object."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.api.kinds.scale import scale_of, scaled
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Resource

WIDGETS = Resource(
    "test.example",
    "v1",
    "widgets",
    "Widget",
    scale={"specReplicasPath": ".spec.size.want", "statusReplicasPath": ".status.have"},
)
WIDGET: dict[str, Any] = {"metadata": {"name": "w", "resourceVersion": "7"}, "status": {"have": 1}}


def test_absent_numbers_are_zero() -> None:
    scale = scale_of(WIDGETS, WIDGET)
    assert (scale["spec"], scale["status"]) == ({"replicas": 0}, {"replicas": 1})
    assert scale["metadata"] == {"name": "w", "resourceVersion": "7"}


def test_replicas_are_written_to_the_path_of_the_definition() -> None:
    made = scaled(WIDGETS, WIDGET, lambda scale: {**scale, "spec": {"replicas": 3}})
    assert made["spec"] == {"size": {"want": 3}}
    assert "spec" not in WIDGET


def test_the_version_of_the_scale_is_a_precondition() -> None:
    stale = {"metadata": {"resourceVersion": "5"}, "spec": {"replicas": 3}}
    assert scaled(WIDGETS, WIDGET, lambda _: stale)["metadata"]["resourceVersion"] == "5"


@pytest.mark.parametrize("replicas", [-1, "3", True, None])
def test_invalid_replicas_are_refused(replicas: Any) -> None:
    with pytest.raises(ApiError) as caught:
        scaled(WIDGETS, WIDGET, lambda _: {"spec": {"replicas": replicas}})
    assert caught.value.code == 422
