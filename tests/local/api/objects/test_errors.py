"""Errors have the messages of Kubernetes."""

from __future__ import annotations

import pytest

from elasticjob.local.api.objects import errors
from elasticjob.local.api.objects.builtins import LEASES, PODS


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.not_found(PODS, "a"), 'pods "a" not found'),
        (errors.already_exists(LEASES, "a"), 'leases.coordination.k8s.io "a" already exists'),
        (
            errors.conflict(PODS, "a"),
            'Operation cannot be fulfilled on pods "a": the object has been modified; '
            "please apply your changes to the latest version and try again",
        ),
        (
            errors.invalid(LEASES, "a", [("spec.n", "Required value")]),
            'Lease.coordination.k8s.io "a" is invalid: spec.n: Required value',
        ),
        (
            errors.invalid(PODS, "a", [("x", "Required value"), ("y", "Invalid value: 1: bad")]),
            'Pod "a" is invalid: [x: Required value, y: Invalid value: 1: bad]',
        ),
    ],
)
def test_messages(error: errors.ApiError, message: str) -> None:
    assert error.message == message


def test_each_violation_is_a_cause() -> None:
    error = errors.invalid(
        PODS, "a", [("x", "Required value"), ("y", "Invalid value: 1: bad"), ("z", "odd")]
    )
    assert error.status()["details"]["causes"] == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "x"},
        {"reason": "FieldValueInvalid", "message": "Invalid value: 1: bad", "field": "y"},
        {"reason": "Invalid", "message": "odd", "field": "z"},
    ]
