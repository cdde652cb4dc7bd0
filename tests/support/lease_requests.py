"""Requests for Leases, and the answer of the chart's admission policy to each.

test_policy evaluates them with the policy's CEL, and test_install sends them to a real API server.
"""

from __future__ import annotations

from typing import Any

from tests.support.chart import NAMESPACE

from elasticjob.wire import names
from elasticjob.wire.codec import Json

TEAM = "elasticjob-policy"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:operator-elasticjob"
AGENT = f"system:serviceaccount:{TEAM}:elasticjob-demo"
POD = "demo-1-0"
POD_CLAIM = "authentication.kubernetes.io/pod-name"

BOUND = "the token is not bound to a pod"
LABEL = "may only write Leases that have the label of its job"
OWN = "may only write the Lease named after its pod, and the Round Lease of its job"
ROUND = "may neither create nor delete the Round Lease"
KEPT = "may not change the annotations of the operator"


def lease(name: str = POD, job: str | None = "demo", **annotations: str) -> Json:
    labels = {} if job is None else {"labels": {names.LABEL_JOB: job}}
    notes = {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
    return {"metadata": {"name": name, **labels, **({"annotations": notes} if notes else {})}}


def request(
    operation: str, old: Json | None, new: Json | None, user: str = AGENT, pod: str | None = POD,
    namespace: str = TEAM,
) -> Json:  # fmt: skip
    extra = {} if pod is None else {"extra": {POD_CLAIM: [pod]}}
    attributes = {
        "operation": operation,
        "namespace": namespace,
        "userInfo": {"username": user, **extra},
    }
    return {"request": attributes, "object": new, "oldObject": old}


def create(new: Json, **who: Any) -> Json:
    return request("CREATE", None, new, **who)


def update(old: Json, new: Json | None = None, **who: Any) -> Json:
    return request("UPDATE", old, new or old, **who)


def delete(old: Json, **who: Any) -> Json:
    return request("DELETE", old, None, **who)


ROUND_LEASE = lease("demo-round", desired='{"max":1}')
ELECTION = lease("their-leader", job=None)
ALLOWED = {
    "an agent joins": create(lease()),
    "an agent renews": update(lease()),
    "an agent renews a marked Lease": update(lease(ended="x"), lease(ended="x", agent="y")),
    "an agent deletes the Lease of an older job of this name": delete(lease()),
    "an agent writes the next round": update(
        ROUND_LEASE, lease("demo-round", desired='{"max":1}', round="r")),
    "an agent of a job with numbers in its name": create(
        lease("a-1-0-0", "a-1"), user=f"system:serviceaccount:{TEAM}:elasticjob-a-1", pod="a-1-0-0"
    ),
    "an agent with an account of the template": create(
        lease(), user=f"system:serviceaccount:{TEAM}:trainer"
    ),
}  # fmt: skip
REFUSED = {
    "a token that is bound to no pod": (update(lease(), pod=None), BOUND),
    "another pod's Lease": (update(lease("demo-2-0")), OWN),
    "another pod's Lease, created": (create(lease("demo-2-0")), OWN),
    "the Lease of another generation": (delete(lease("demo-1-1")), OWN),
    "another job's Lease": (update(lease("other-1-0", "other")), LABEL),
    "another job's Round Lease": (update(lease("other-round", "other")), LABEL),
    "another job's Round Lease, labelled as this job's": (update(lease("other-round")), OWN),
    "a job whose name begins with this job's": (
        update(lease("demo-1-round", "demo-1")), LABEL),
    "a job whose name this job's begins with": (
        update(lease("a-round", "a"), pod="a-1-0-0"), LABEL),
    "another controller's election": (update(ELECTION), LABEL),
    "another controller's election, relabelled": (
        update(ELECTION, lease("their-leader")), LABEL),
    "another controller's election, deleted": (delete(ELECTION), LABEL),
    "another controller's Lease with the name of the Round Lease": (
        update(lease("demo-round", None), lease("demo-round")), LABEL),
    "a new Lease without the label": (create(lease(job=None)), LABEL),
    "its own Lease, relabelled for another job": (update(lease(), lease(job="other")), LABEL),
    "the Round Lease, created": (create(lease("demo-round")), ROUND),
    "the Round Lease, deleted": (delete(ROUND_LEASE), ROUND),
    "the budget, raised": (update(ROUND_LEASE, lease("demo-round", desired='{"max":9}')), KEPT),
    "the budget, removed": (update(ROUND_LEASE, lease("demo-round")), KEPT),
    "the operator's mark, removed": (update(lease(ended="x"), lease()), KEPT),
    "the operator's mark, created": (create(lease(ended="x")), KEPT),
    "a pod of another account at a job's Lease": (
        update(lease("demo-2-0"), user=f"system:serviceaccount:{TEAM}:ci", pod="ci-runner"), LABEL),
    "a pattern as label": (create(lease(job="d.mo")), LABEL),
}  # fmt: skip
CONTROLLER_USER = f"system:serviceaccount:{TEAM}:their-controller"
UNMATCHED = {
    "another controller's election in the job's namespace": update(
        ELECTION, user=CONTROLLER_USER, pod="their-controller-7f9c-x"),
    "another controller's election, created": create(
        ELECTION, user=CONTROLLER_USER, pod="their-controller-7f9c-x"),
    "another controller's Lease without labels or annotations": delete(
        {"metadata": {"name": "x"}}, user=CONTROLLER_USER, pod=None),
    "a node": update(ELECTION, user="system:node:n1", pod=None, namespace="kube-node-lease"),
    "the controller manager": update(
        ELECTION, user="system:kube-controller-manager", pod=None, namespace="kube-system"),
    "the garbage collector": delete(
        lease(), user="system:serviceaccount:kube-system:generic-garbage-collector", pod=None),
    "the namespace controller, in its own": delete(
        ELECTION, user="system:serviceaccount:kube-system:namespace-controller", pod=None,
        namespace="kube-system"),
    "a person": delete(lease(), user="jane", pod=None),
    "the operator": update(ROUND_LEASE, lease("demo-round"), user=OPERATOR, pod="operator-5d-x"),
    "the operator, of a job in its own namespace": delete(
        lease(), user=OPERATOR, pod="operator-5d-x", namespace=NAMESPACE),
    "a script outside of the cluster": delete(
        lease(), user=f"system:serviceaccount:{TEAM}:ci", pod=None),
}  # fmt: skip
