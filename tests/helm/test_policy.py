"""What agents and the operator may write: the CEL of the policies, evaluated on requests.

`tests/attacks/test_policy.py` sends the same requests to a real API server.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import cel
import pytest
from tests.support import lease_requests, operator_requests
from tests.support.chart import NAMESPACE, of_kind, one, rendered
from tests.support.lease_requests import VALUES, LeaseRequest
from tests.support.operator_requests import OperatorRequest

from elasticjob.controller.report.journal import COMPONENT
from elasticjob.wire import names
from elasticjob.wire.codec import Json

AGENTS = f"elasticjob-operator.{NAMESPACE}"
OPERATOR = f"{AGENTS}.operator"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


def evaluate(expression: str, variables: Json) -> Any:
    functions = {"format": lambda template, values: template % tuple(map(json.dumps, values))}
    return program(expression).execute(cel.Context(variables=variables, functions=functions))


@cache
def program(expression: str) -> cel.Program:
    return cel.compile(expression)


def refusal(policy: str, request: Json) -> str | None:
    """The message of a policy: None if it does not match, empty if it allows the request."""
    spec = one(rendered(*VALUES), POLICY, policy)["spec"]
    if not all(evaluate(c["expression"], request) for c in spec["matchConditions"]):
        return None
    variables: Json = {}
    for variable in spec["variables"]:
        variables[variable["name"]] = evaluate(
            variable["expression"], {**request, "variables": variables}
        )
    results = [
        (evaluate(rule["expression"], {**request, "variables": variables}), str(rule["message"]))
        for rule in spec["validations"]  # all of them, as none may fail to be evaluated
    ]
    return next((message for allowed, message in results if not allowed), "")


@pytest.mark.parametrize("case", lease_requests.ALLOWED.values(), ids=list(lease_requests.ALLOWED))
def test_an_agent_may(case: LeaseRequest) -> None:
    assert refusal(AGENTS, case.review()) == ""


@pytest.mark.parametrize(
    ("case", "why"), lease_requests.REFUSED.values(), ids=list(lease_requests.REFUSED)
)
def test_an_agent_may_not(case: LeaseRequest, why: str) -> None:
    assert why in (refusal(AGENTS, case.review()) or "")


@pytest.mark.parametrize(
    "case", lease_requests.UNMATCHED.values(), ids=list(lease_requests.UNMATCHED)
)
def test_the_policy_for_agents_does_not_match(case: LeaseRequest) -> None:
    assert refusal(AGENTS, case.review()) is None


@pytest.mark.parametrize(
    "case", operator_requests.ALLOWED.values(), ids=list(operator_requests.ALLOWED)
)
def test_the_operator_may(case: OperatorRequest) -> None:
    assert not refusal(OPERATOR, case.review())
    assert refusal(AGENTS, case.review()) is None or case.resource.plural != "leases"


@pytest.mark.parametrize(
    ("case", "why"), operator_requests.REFUSED.values(), ids=list(operator_requests.REFUSED)
)
def test_the_operator_may_not(case: OperatorRequest, why: str) -> None:
    assert why in (refusal(OPERATOR, case.review()) or "")


def test_no_other_account_is_limited_as_the_operator() -> None:
    for case in (*lease_requests.ALLOWED.values(), *lease_requests.UNMATCHED.values()):
        if case.user != lease_requests.OPERATOR:
            assert refusal(OPERATOR, case.review()) is None


@pytest.mark.parametrize("policy", [AGENTS, OPERATOR])
def test_it_is_enforced_and_fails_closed(policy: str) -> None:
    spec, binding = (one(rendered(), kind, policy)["spec"] for kind in (POLICY, BINDING))
    assert spec["failurePolicy"] == "Fail"
    assert binding == {"policyName": policy, "validationActions": ["Deny"]}
    for rule in spec["matchConstraints"]["resourceRules"]:
        assert rule["operations"] == ["CREATE", "UPDATE", "DELETE"]
        assert "*" not in (*rule["apiGroups"], *rule["apiVersions"], *rule["resources"])


def test_without_a_list_no_account_of_a_template_is_an_agents() -> None:
    spec = one(rendered(), POLICY, AGENTS)["spec"]
    trainer = lease_requests.ALLOWED["an agent with an account of the template renews"]
    (condition,) = spec["matchConditions"]
    assert evaluate(condition["expression"], trainer.review()) is False
    assert "exists" not in condition["expression"]


def test_each_message_is_one_line_that_names_the_field() -> None:
    for policy in of_kind(rendered(), POLICY):
        for rule in policy["spec"]["validations"]:
            assert "\n" not in rule["message"]
            assert re.match(r"(metadata|spec|subjects|roleRef|involvedObject)|.*(token|may not)",
                            rule["message"])  # fmt: skip


def test_with_scope_namespaced_the_policy_covers_the_served_namespaces_only() -> None:
    objects = rendered("scope=namespaced", "namespaces={red,blue}")
    selector = one(objects, BINDING, AGENTS)["spec"]["matchResources"]
    (term,) = selector["namespaceSelector"]["matchExpressions"]
    assert term == {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["red", "blue"],
    }
    assert "matchResources" not in one(objects, BINDING, OPERATOR)["spec"]


def test_they_use_the_names_of_wire() -> None:
    agents = str(one(rendered(), POLICY, AGENTS)["spec"])
    operator = str(one(rendered(), POLICY, OPERATOR)["spec"])
    assert set(re.findall(rf"{names.GROUP}/[\w-]+", agents)) == {
        names.LABEL_JOB, names.LABEL_JOB_UID, names.LABEL_LEASE, names.LABEL_INDEX,
        names.LABEL_GENERATION, names.ANNOTATION_AGENT, names.ANNOTATION_ROUND,
        names.ANNOTATION_REPORT,
    }  # fmt: skip
    assert set(re.findall(rf"{names.GROUP}/[\w-]+", operator)) == {
        names.LABEL_JOB, names.LABEL_JOB_UID, names.LABEL_INDEX, names.LABEL_GENERATION
    }  # fmt: skip
    assert f"'{names.AGENT_CLUSTER_ROLE}'" in operator
    assert f"'{names.KIND}'" in operator
    assert f"'{COMPONENT}'" in operator
    assert names.service_account_name("x") == "elasticjob-x"
    assert names.round_lease_name("x") == "x-round"
    assert names.pod_name("x", 1, 2) == "x-1-2"


def test_the_stated_sizes_are_those_of_wire() -> None:
    """The comments in the policy and docs/operations.md give these numbers."""
    agents = one(rendered(), POLICY, AGENTS)["spec"]
    limits = next(r["expression"] for r in agents["validations"] if "87381" in r["expression"])
    assert len(lease_requests.largest_state().to_json()) < 3000 < 4096
    largest = lease_requests.largest_round().to_json()
    assert 79_000 < len(largest) < 87_381 == 256 * 1024 // 3
    assert "4096" in limits


def test_they_can_be_left_out() -> None:
    objects = rendered("policy.enabled=false")
    assert of_kind(objects, POLICY) == []
    assert of_kind(objects, BINDING) == []
