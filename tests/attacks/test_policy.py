"""What agents and the operator may write, on a real API server with the tokens of real pods.

The requests are those that tests/helm evaluates with the policies' CEL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dev.kube_client import JSON_PATCH
from dev.wait import wait_until
from tests.support import lease_requests, operator_requests
from tests.support.chart import NAMESPACE
from tests.support.cluster_scene import Scene, scene
from tests.support.installed import needs_a_real_server
from tests.support.lease_requests import POD, TEAM, LeaseRequest, largest_report, largest_round
from tests.support.operator_requests import OperatorRequest

from elasticjob.controller import kube
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired

pytestmark = [*needs_a_real_server]

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
APPLY = "application/apply-patch+yaml"
DENIED = "denied request: "


@pytest.fixture(scope="module")
def real() -> Iterator[Scene]:
    with scene() as made:
        yield made


def of_accounts(cases: dict[str, Any]) -> dict[str, Any]:
    """The cases whose user is a service account of the namespace of the jobs."""
    here = f"system:serviceaccount:{TEAM}:"
    pairs = {name: case if isinstance(case, tuple) else (case, "") for name, case in cases.items()}
    return {
        name: cases[name]
        for name, (case, _) in pairs.items()
        if case.user.startswith(here) and not case.account.startswith("operator-")
    }


UNMATCHED = of_accounts(lease_requests.UNMATCHED)


def test_the_policies_have_no_type_errors(real: Scene) -> None:
    for name in (f"elasticjob-operator.{NAMESPACE}", f"elasticjob-operator.{NAMESPACE}.operator"):
        path = f"{POLICIES}/{name}"
        status = wait_until(lambda: real.admin.get(path).body.get("status"))  # noqa: B023
        assert status["typeChecking"] == {}, name


# ---- agents --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", lease_requests.ALLOWED.values(), ids=list(lease_requests.ALLOWED))
def test_an_agent_may(real: Scene, case: LeaseRequest) -> None:
    assert real.send(case).accepted()


@pytest.mark.parametrize("case", UNMATCHED.values(), ids=list(UNMATCHED))
def test_another_account_may(real: Scene, case: LeaseRequest) -> None:
    assert real.send(case).accepted()


@pytest.mark.parametrize(
    ("case", "why"), lease_requests.REFUSED.values(), ids=list(lease_requests.REFUSED)
)
def test_an_agent_may_not(real: Scene, case: LeaseRequest, why: str) -> None:
    reply = real.send(case)
    assert reply.code == 403
    assert why in reply.body["message"].partition(DENIED)[2]


def test_the_largest_round_lease_stays_below_the_cost_limits(real: Scene) -> None:
    """Its three annotations list 10,000 pods each: nearly all that the API server accepts."""
    round_ = largest_round()
    pods = tuple(member.pod for member in round_.members)
    path = real.path(kube.LEASES, "demo-round")
    real.reset(kube.LEASES, "demo-round")

    def patched(client: Any, change: Json) -> Json:
        body = real.with_version(kube.LEASES, "demo-round", change)
        found: Json = client.patch(path, body).accepted()
        return found

    agent = real.agent("elasticjob-demo", POD)
    patched(real.operator, leases.desired_patch(Desired(pods), "1"))
    patched(agent, leases.round_patch(round_, "1", largest_report()))
    body = patched(agent, leases.pulse_patch(largest_report(), lease_requests.NOW, "1"))
    assert sum(map(len, body["metadata"]["annotations"].values())) > 230_000
    fields = {"metadata": {"labels": {"seen": "yes"}}}
    assert lease_requests.LABELS in agent.patch(path, fields).body["message"]


def test_thousands_of_annotations_are_refused(real: Scene) -> None:
    notes = {f"k{number}": "" for number in range(30_000)}
    path = real.path(kube.LEASES, POD)
    reply = real.agent("elasticjob-demo", POD).patch(path, {"metadata": {"annotations": notes}})
    assert lease_requests.ANNOTATIONS in reply.body["message"]


def test_field_managers_cannot_fill_a_lease(real: Scene) -> None:
    """The API server keeps an entry for each manager of a server-side apply, without a limit."""
    real.reset(kube.LEASES, POD)
    path, agent = real.path(kube.LEASES, POD), real.agent("elasticjob-demo", POD)
    meta = {"name": POD, "namespace": TEAM, "annotations": {names.ANNOTATION_AGENT: "{}"}}
    body = {"apiVersion": leases.LEASE_API, "kind": "Lease", "metadata": meta}

    def applied(manager: str) -> Any:
        options = {"fieldManager": manager, "force": "true"}
        return agent.request("PATCH", path, body, content_type=APPLY, **options)

    replies = [applied(f"manager-{number}") for number in range(20)]
    assert replies[0].code == 200
    assert replies[-1].code == 403
    assert "metadata.managedFields" in replies[-1].body["message"]


def test_what_others_wrote_to_a_lease_does_not_stop_its_agent(real: Scene) -> None:
    """An entry of a field manager that is longer than an agent's may be."""
    real.reset(kube.LEASES, POD)
    path, agent = real.path(kube.LEASES, POD), real.agent("elasticjob-demo", POD)
    notes = {f"example.com/{'note' * 10}-{number}": "" for number in range(150)}
    real.admin.patch(path, {"metadata": {"annotations": notes}}).accepted()
    renewal = leases.agent_patch(lease_requests.state(2), lease_requests.NOW, "1")
    agent.patch(path, real.with_version(kube.LEASES, POD, renewal)).accepted()
    reply = agent.patch(path, lease_requests.managed("x" * 5000))
    assert lease_requests.MANAGED in reply.body["message"]
    real.remove(kube.LEASES, POD)
    real.reset(kube.LEASES, POD)


def test_a_json_patch_passes_no_other_door(real: Scene) -> None:
    path, agent = real.path(kube.LEASES, POD), real.agent("elasticjob-demo", POD)
    real.reset(kube.LEASES, POD)
    change = [{"op": "remove", "path": "/metadata/ownerReferences/0"}]
    assert lease_requests.OWNERS in agent.patch(path, change, JSON_PATCH).body["message"]


def test_a_lease_with_a_wrong_owner_is_deleted_with_its_mark(real: Scene) -> None:
    """The policy cannot verify the owner's UID. Garbage collection removes such a Lease, so an
    agent can lose its own Lease in this way, and no other."""
    body = lease_requests.new_lease(
        lambda x: x["metadata"].update(ownerReferences=[lease_requests.owner(uid="no-such-uid")])
    )
    agent = real.agent("elasticjob-demo", lease_requests.NEW)
    assert agent.post(real.path(kube.LEASES), body).code == 201
    path = real.path(kube.LEASES, lease_requests.NEW)
    wait_until(lambda: real.admin.get(path).code == 404)


# ---- the operator --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", operator_requests.ALLOWED.values(), ids=list(operator_requests.ALLOWED)
)
def test_the_operator_may(real: Scene, case: OperatorRequest) -> None:
    assert real.send(case).accepted()


@pytest.mark.parametrize(
    ("case", "why"), operator_requests.REFUSED.values(), ids=list(operator_requests.REFUSED)
)
def test_the_operator_may_not(real: Scene, case: OperatorRequest, why: str) -> None:
    reply = real.send(case)
    assert reply.code == 403
    assert why in reply.body["message"].partition(DENIED)[2]


def test_the_operator_binds_the_agents_role_also_if_that_has_more_rights(real: Scene) -> None:
    """Another release of the chart, of another version, may have created the role."""
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{names.AGENT_CLUSTER_ROLE}"
    role = real.admin.get(path).accepted()
    more = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}]
    real.admin.patch(path, {"rules": more}).accepted()
    assert real.send(operator_requests.ALLOWED["the binding of a job"]).accepted()
    real.admin.patch(path, {"rules": role["rules"]}).accepted()


def test_the_operator_binds_no_role_that_has_more_rights(real: Scene) -> None:
    case = operator_requests.create(
        operator_requests.binding(lambda x: x["roleRef"].update(name="cluster-admin"))
    )
    reply = real.send(case)
    assert reply.code == 403
    assert "attempting to grant RBAC permissions not currently held" in reply.body["message"]
