"""Whom the policy lets write which Lease: its CEL, on requests as the API server has them.

`test_install.py` puts the same questions to a real API server.
"""

from __future__ import annotations

import re
from typing import Any

import cel
import pytest
from tests.support.chart import Json, of_kind, one, rendered
from tests.support.lease_requests import ALLOWED, REFUSED, UNMATCHED

from elasticjob.wire import names


def evaluate(expression: str, asked: Json) -> Any:
    return cel.evaluate(expression, asked)


def verdict(asked: Json) -> str | None:
    """None: not matched. Else why it is refused; empty: it is not."""
    spec = one(rendered(), "ValidatingAdmissionPolicy")["spec"]
    if not all(evaluate(c["expression"], asked) for c in spec["matchConditions"]):
        return None
    known: Json = {}
    for variable in spec["variables"]:
        known[variable["name"]] = evaluate(variable["expression"], {**asked, "variables": known})
    for rule in spec["validations"]:
        if not evaluate(rule["expression"], {**asked, "variables": known}):
            return str(rule["message"])
    return ""


@pytest.mark.parametrize("asked", ALLOWED.values(), ids=ALLOWED)
def test_allowed(asked: Json) -> None:
    assert verdict(asked) == ""


@pytest.mark.parametrize(("asked", "why"), REFUSED.values(), ids=REFUSED)
def test_refused(asked: Json, why: str) -> None:
    assert why in (verdict(asked) or "")


@pytest.mark.parametrize("asked", UNMATCHED.values(), ids=UNMATCHED)
def test_not_concerned(asked: Json) -> None:
    assert verdict(asked) is None


def test_it_is_enforced_and_fails_closed() -> None:
    objects = rendered()
    policy, binding = (
        one(objects, "ValidatingAdmissionPolicy"),
        one(objects, "ValidatingAdmissionPolicyBinding"),
    )
    assert policy["spec"]["failurePolicy"] == "Fail"
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["apiGroups"], rule["resources"]) == (["coordination.k8s.io"], ["leases"])
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert "matchResources" not in binding["spec"]


def test_namespaced_it_concerns_the_served_namespaces_only() -> None:
    objects = rendered("scope=namespaced", "namespaces={red,blue}")
    selector = one(objects, "ValidatingAdmissionPolicyBinding")["spec"]["matchResources"]
    (term,) = selector["namespaceSelector"]["matchExpressions"]
    assert term == {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["red", "blue"],
    }


def test_it_spells_names_as_the_wire_does() -> None:
    policy = str(one(rendered(), "ValidatingAdmissionPolicy")["spec"])
    assert set(re.findall(rf"{names.GROUP}/[\w-]+", policy)) == {
        names.LABEL_JOB,
        names.ANNOTATION_DESIRED,
        names.ANNOTATION_ENDED,
    }
    assert names.service_account_name("x") == "elasticjob-x"
    assert names.round_lease_name("x") == "x-round"
    assert names.pod_name("x", 1, 2) == "x-1-2"


def test_it_can_be_left_out() -> None:
    objects = rendered("policy.enabled=false")
    assert of_kind(objects, "ValidatingAdmissionPolicy") == []
    assert of_kind(objects, "ValidatingAdmissionPolicyBinding") == []
