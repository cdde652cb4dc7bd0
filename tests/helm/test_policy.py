"""Which agent may write which Lease: the policy's CEL, evaluated on requests.

`test_install.py` sends the same requests to a real API server.
"""

from __future__ import annotations

import re
from typing import Any

import cel
import pytest
from tests.support.chart import of_kind, one, rendered
from tests.support.lease_requests import ALLOWED, REFUSED, UNMATCHED

from elasticjob.wire import names
from elasticjob.wire.codec import Json


def evaluate(expression: str, variables: Json) -> Any:
    return cel.evaluate(expression, variables)


def refusal(request: Json) -> str | None:
    """The message of the policy: None if it does not match, empty if it allows the request."""
    spec = one(rendered(), "ValidatingAdmissionPolicy")["spec"]
    if not all(evaluate(c["expression"], request) for c in spec["matchConditions"]):
        return None
    variables: Json = {}
    for variable in spec["variables"]:
        variables[variable["name"]] = evaluate(
            variable["expression"], {**request, "variables": variables}
        )
    for rule in spec["validations"]:
        if not evaluate(rule["expression"], {**request, "variables": variables}):
            return str(rule["message"])
    return ""


@pytest.mark.parametrize("case", ALLOWED.values(), ids=ALLOWED)
def test_allowed(case: Json) -> None:
    assert refusal(case) == ""


@pytest.mark.parametrize(("case", "why"), REFUSED.values(), ids=REFUSED)
def test_refused(case: Json, why: str) -> None:
    assert why in (refusal(case) or "")


@pytest.mark.parametrize("case", UNMATCHED.values(), ids=UNMATCHED)
def test_not_matched(case: Json) -> None:
    assert refusal(case) is None


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


def test_with_scope_namespaced_the_policy_covers_the_served_namespaces_only() -> None:
    objects = rendered("scope=namespaced", "namespaces={red,blue}")
    selector = one(objects, "ValidatingAdmissionPolicyBinding")["spec"]["matchResources"]
    (term,) = selector["namespaceSelector"]["matchExpressions"]
    assert term == {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["red", "blue"],
    }


def test_it_uses_the_names_of_wire() -> None:
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
