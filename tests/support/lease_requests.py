"""Requests for Leases, and the answer of the chart's admission policy for agents to each.

tests/helm evaluates them with the policy's CEL, and tests/attacks sends them to a real API server.
The chart is installed with VALUES.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.support.chart import NAMESPACE
from tests.support.merge_patch import merge

from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.codec import LARGEST, Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import LEASE_API, EndedMark, JobIdentity
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Progress, Recovery, Report
from elasticjob.wire.round import Endpoint, Phase, Round

TEAM = "elasticjob-policy"
VALUES = ("templateServiceAccounts={trainer}",)
OPERATOR = f"system:serviceaccount:{NAMESPACE}:operator-elasticjob"
POD_CLAIM = "authentication.kubernetes.io/pod-name"
POD = "demo-1-0"
NEW = "demo-5-0"  # a pod without a Lease
NOW = "2026-11-30T00:00:00.000000Z"
ROUND_UID = "uid-of-the-round-lease"
VERSION = "1"

BOUND = "the token is not bound to a pod"
JOB = "may only write Leases whose label elasticjob.dev/job is the job of its pod"
ACCOUNT = "an account elasticjob-JOB may only write Leases whose label"
OWN = "may only write the Lease named after its pod, and the Round Lease of its job"
DELETE = "may not delete a Lease"
ROUND = "may not create the Round Lease"
NEW_LABELS = "metadata.labels: a new Lease of an agent must have"
LABELS = "metadata.labels: an agent may not change labels"
NEW_OWNER = "metadata.ownerReferences: the only owner of a new Lease"
OWNERS = "metadata.ownerReferences: an agent may not change owners"
FINALIZERS = "metadata.finalizers: an agent may neither add nor remove"
ANNOTATIONS = "metadata.annotations: an agent may only write"
SIZES = "metadata.annotations: elasticjob.dev/agent may have 4096 bytes"
GENERATED = "metadata.generateName: an agent may not write it"
MANAGED = "metadata.managedFields: an agent may not add entries"
SPEC = "spec: an agent may only write renewTime"
HOLDER = "spec.holderIdentity: an agent may only write the name of its pod"


# ---- the Leases that exist -----------------------------------------------------------------------


def job(name: str) -> JobIdentity:
    """The job of this name."""
    return JobIdentity(TEAM, name, f"uid-of-{name}")


def state(n: int = 1, **fields: Any) -> AgentState:
    """The state of an agent."""
    return AgentState(AgentPhase.RUNNING, n, address="10.0.0.1", **fields)


def agent_lease(name: str, of: str = "demo", index: int = 1) -> Json:
    """The agent Lease of a pod of this job."""
    pod = Pod(index, 0)
    made = leases.agent_manifest(job(of), ROUND_UID, pod, "a-nonce", state(), NOW, 15.0)
    assert made["metadata"]["name"] == name
    return made


def round_lease(of: str) -> Json:
    """The Round Lease of a job, held by its pod 1."""
    members = (Member(Pod(1, 0)), Member(Pod(2, 0)))
    current = Round(1, Phase.ACTIVE, members, Endpoint("10.0.0.1"), starts=1)
    made = leases.round_manifest(job(of), Desired((Pod(1, 0), Pod(2, 0))), current)
    return merge(made, leases.holder_patch(f"{of}-1-0", NOW, VERSION) | {"metadata": {}})


def marked(lease: Json) -> Json:
    """The Lease with the operator's mark."""
    of = job(lease["metadata"]["labels"][names.LABEL_JOB])
    return merge(lease, leases.ended_patch(of, ROUND_UID, EndedMark("Deleted"), VERSION))


def foreign(name: str, **labels: str) -> Json:
    """The Lease of another controller."""
    meta = {"name": name, "namespace": TEAM, "labels": labels}
    return {"apiVersion": LEASE_API, "kind": "Lease", "metadata": meta, "spec": {}}


def without_version(lease: Json) -> Json:
    """The Lease as a client creates it."""
    lease = copy.deepcopy(lease)
    lease["metadata"].pop("resourceVersion", None)
    return lease


EXISTING: dict[str, Json] = {
    body["metadata"]["name"]: without_version(body)
    for body in (
        round_lease("demo"),
        agent_lease("demo-1-0"),
        agent_lease("demo-2-0", index=2),
        marked(agent_lease("demo-3-0", index=3)),
        round_lease("other"),
        agent_lease("other-1-0", "other"),
        foreign("their-leader"),
        foreign("demo-4-0"),  # named like a pod of the job
        foreign("first-round", seen="yes"),  # named like a Round Lease
    )
}


# ---- requests ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeaseRequest:
    """A request of an account of TEAM. change: a new Lease, a merge patch, or None for a delete."""

    operation: str
    name: str
    change: Json | None
    account: str = "elasticjob-demo"
    pod: str | None = POD  # to which its token is bound
    namespace: str = TEAM

    @property
    def user(self) -> str:
        """The name of the user."""
        prefix = f"system:serviceaccount:{self.namespace}:"
        return self.account if ":" in self.account else prefix + self.account

    def review(self) -> Json:
        """The request as the CEL of a policy sees it."""
        old = None if self.operation == "CREATE" else EXISTING[self.name]
        new = self.change
        if self.operation == "UPDATE":
            assert old is not None
            assert self.change is not None
            new = merge(old, self.change)
        extra = {} if self.pod is None else {"extra": {POD_CLAIM: [self.pod]}}
        attributes = {
            "operation": self.operation,
            "namespace": self.namespace,
            "resource": {"group": "coordination.k8s.io", "version": "v1", "resource": "leases"},
            "userInfo": {"username": self.user, **extra},
        }
        return {"request": attributes, "object": new, "oldObject": old}


def create(body: Json, **who: Any) -> LeaseRequest:
    return LeaseRequest("CREATE", body["metadata"]["name"], body, **({"pod": NEW} | who))


def update(name: str, patch: Json, **who: Any) -> LeaseRequest:
    return LeaseRequest("UPDATE", name, patch, **who)


def delete(name: str, **who: Any) -> LeaseRequest:
    return LeaseRequest("DELETE", name, None, **who)


def new_lease(change: Callable[[Json], object] = lambda lease: None) -> Json:
    """A new agent Lease, after this change."""
    made = agent_lease(NEW, index=5)
    change(made)
    return made


def meta(**fields: Any) -> Json:
    return {"metadata": fields}


def annotation(key: str, value: str | None) -> Json:
    return meta(annotations={f"{names.GROUP}/{key}": value})


def label(key: str, value: str | None) -> Json:
    return meta(labels={f"{names.GROUP}/{key}": value})


def owner(**fields: Any) -> Json:
    found: Json = new_lease()["metadata"]["ownerReferences"][0]
    return {**found, **fields}


def managed(field: str) -> Json:
    """The entry of a field manager, as a client may send it."""
    entry = {
        "manager": "me",
        "operation": "Update",
        "apiVersion": LEASE_API,
        "time": NOW[:19] + "Z",
    }
    fields = {"fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {f"f:{field}": {}}}}
    return meta(managedFields=[{**entry, **fields}])


def largest_round() -> Round:
    """A round of 10,000 members, with the longest text that fits three times into one object."""
    members = tuple(Member(Pod(i, 10 + i % 2), 8) for i in range(10_000))
    failure = Cause(CauseKind.WORKER_SIGNALED, "p" * 253, "n" * 253, message="é" * 128)
    return Round(LARGEST, Phase.ACTIVE, members, Endpoint("10.0.0.1"), failure)


def largest_report() -> Report:
    """The report on the largest round."""
    pods = tuple(member.pod for member in largest_round().members)
    return Report(LARGEST, pods, Recovery(LARGEST), Progress(LARGEST, LARGEST), outside=True)


def largest_state() -> AgentState:
    """The longest state that an agent can report."""
    number, host = LARGEST, "h" * 253
    cause = Cause(
        CauseKind.WORKER_SIGNALED, host, host, number, number, number, "é" * 128, number, number
    )
    return AgentState(
        AgentPhase.RUNNING, number, leaving=True, pod_uid="u" * 36, node=host, address="f" * 39,
        port_base=65535, workers=number, role="r" * 63, cause=cause, start_ms=number,
        stop_ms=number, progress=Progress(number, number),
    )  # fmt: skip


NEXT = replace(largest_round(), members=(Member(Pod(1, 0)),))
REPORT = Report(1, (Pod(1, 0),))
LONG = "x" * 5000
CLAIM = leases.holder_patch("demo-2-0", NOW, VERSION)
ALLOWED = {
    "an agent joins": create(new_lease()),
    "an agent renews": update(POD, leases.agent_patch(state(2), NOW, VERSION)),
    "an agent renews its marked Lease": update(
        "demo-3-0", leases.agent_patch(state(2), NOW, VERSION), pod="demo-3-0"),
    "an agent reports the longest state": update(
        POD, leases.agent_patch(largest_state(), NOW, VERSION)),
    "an agent writes the next round": update("demo-round", leases.round_patch(NEXT, VERSION)),
    "an agent writes the last round": update(
        "demo-round", leases.round_patch(NEXT, VERSION, REPORT)),
    "an agent writes the largest round": update(
        "demo-round", leases.round_patch(largest_round(), VERSION, largest_report())),
    "the holder writes its pulse": update(
        "demo-round", leases.pulse_patch(REPORT, NOW, VERSION)),
    "the holder gives up its role": update("demo-round", leases.holder_patch("", NOW, VERSION)),
    "an agent claims the role": update("demo-round", CLAIM, pod="demo-2-0"),
    "an agent claims the role and writes the next round": update(
        "demo-round", {**CLAIM, **leases.round_patch(NEXT, VERSION)}, pod="demo-2-0"),
    "an agent with an account of the template renews": update(
        POD, leases.agent_patch(state(2), NOW, VERSION), account="trainer"),
}  # fmt: skip

SEEN = label("seen", "yes")
ELECTED = {"spec": {"holderIdentity": "me"}}
MANY = {f"k{number}": "" for number in range(100)}
REFUSED = {
    # Which Lease.
    "a token that is bound to no pod": (update(POD, ELECTED, pod=None), BOUND),
    "another pod's Lease": (update("demo-2-0", ELECTED), OWN),
    "another pod's Lease, created": (create(new_lease(), pod=POD), OWN),
    "another job's Lease": (update("other-1-0", ELECTED), JOB),
    "another job's Round Lease": (update("other-round", ELECTED), JOB),
    "another job's Round Lease, labelled as this job's": (
        update("other-round", label("job", "demo")), JOB),
    "another job's Lease with the account of this job": (
        update("other-1-0", ELECTED, pod="other-1-0"), ACCOUNT),
    "a Lease of a job whose name this job's begins with": (
        update("demo-round", ELECTED, account="elasticjob-demo-1", pod="demo-1-0-0"), JOB),
    "another controller's election": (update("their-leader", ELECTED), JOB),
    "another controller's election, labelled": (
        update("their-leader", label("job", "demo")), JOB),
    "another controller's election, created": (create(foreign("their-other-leader")), JOB),
    "another controller's election, deleted": (delete("their-leader"), JOB),
    "another controller's Lease with the name of a pod": (
        update("demo-4-0", label("job", "demo"), pod="demo-4-0"), JOB),
    "another controller's Lease with the name of the Round Lease": (
        update("first-round", label("job", "first"), account="elasticjob-first", pod="first-0-0"),
        JOB),
    "a pattern as label": (
        create(new_lease(lambda x: x["metadata"]["labels"].update({names.LABEL_JOB: "d.mo"}))),
        JOB),
    "an election, by an account of the template": (
        update("their-leader", ELECTED, account="trainer"), JOB),
    "an election, by an account of the template without a pod": (
        delete("their-leader", account="trainer", pod=None), BOUND),
    "an election, created by an account of the template": (
        create(foreign("their-other-leader"), account="trainer"), JOB),
    "its own Lease, deleted": (delete(POD), DELETE),
    "its own Lease, deleted to remove the operator's mark": (
        delete("demo-3-0", pod="demo-3-0"), DELETE),
    "the Round Lease, deleted": (delete("demo-round"), DELETE),
    "the Round Lease, created": (
        create(round_lease("bare"), account="elasticjob-bare", pod="bare-1-0"),
        ROUND),
    # Metadata.
    "its own Lease, labelled for another job": (update(POD, label("job-uid", "victim")), LABELS),
    "its own Lease, labelled for another name": (update(POD, label("job", "victim")), LABELS),
    "its own Lease with one more label": (update(POD, SEEN), LABELS),
    "its own Lease without a label": (update(POD, label("lease", None)), LABELS),
    "the Round Lease with one more label": (update("demo-round", SEEN), LABELS),
    "its own Lease without an owner": (update(POD, meta(ownerReferences=None)), OWNERS),
    "its own Lease with another owner": (
        update(POD, meta(ownerReferences=[owner(uid="another")])), OWNERS),
    "the Round Lease with an owner that does not exist": (
        update("demo-round", meta(ownerReferences=[owner(uid="another")])), OWNERS),
    "the Round Lease without an owner": (
        update("demo-round", meta(ownerReferences=None)), OWNERS),
    "a finalizer on the Round Lease": (
        update("demo-round", meta(finalizers=["example.com/stay"])), FINALIZERS),
    "a finalizer on its own Lease": (
        update(POD, meta(finalizers=["example.com/stay"])), FINALIZERS),
    "a long prefix of a name that the API server shall choose": (
        update(POD, meta(generateName=LONG)), GENERATED),
    "a long prefix on the Round Lease": (update("demo-round", meta(generateName=LONG)), GENERATED),
    "a long field of a manager": (update(POD, managed(LONG)), MANAGED),
    "a long field of a manager on the Round Lease": (update("demo-round", managed(LONG)), MANAGED),
    # Annotations.
    "the operator's mark, removed": (
        update("demo-3-0", annotation("ended", None), pod="demo-3-0"), ANNOTATIONS),
    "the operator's mark, emptied": (
        update("demo-3-0", annotation("ended", ""), pod="demo-3-0"), ANNOTATIONS),
    "the operator's mark, set": (update(POD, annotation("ended", "x")), ANNOTATIONS),
    "the operator's mark, set to nothing": (update(POD, annotation("ended", "")), ANNOTATIONS),
    "the budget, raised": (update("demo-round", annotation("desired", "{}")), ANNOTATIONS),
    "the budget, removed": (update("demo-round", annotation("desired", None)), ANNOTATIONS),
    "the round, removed": (update("demo-round", annotation("round", None)), ANNOTATIONS),
    "its state, removed": (update(POD, annotation("agent", None)), ANNOTATIONS),
    "a round on its own Lease": (update(POD, annotation("round", "{}")), ANNOTATIONS),
    "an annotation of another program": (
        update(POD, meta(annotations={"example.com/x": ""})), ANNOTATIONS),
    "many annotations": (update(POD, meta(annotations=MANY)), ANNOTATIONS),
    "a long state": (update(POD, annotation("agent", "x" * 4097)), SIZES),
    "a state with many bytes": (update(POD, annotation("agent", "\u00e9" * 2049)), SIZES),
    "a round with many bytes": (
        update("demo-round", annotation("round", "\u00e9" * 43_691)), SIZES),
    "a long round": (update("demo-round", annotation("round", "x" * 87_382)), SIZES),
    "a long report": (update("demo-round", annotation("report", "x" * 87_382)), SIZES),
    "the longest annotation that the API server accepts": (
        update(POD, annotation("agent", "x" * 260_000)), SIZES),
    # The spec.
    "another incarnation on its own Lease": (
        update(POD, {"spec": {"holderIdentity": "another"}}), SPEC),
    "the duration of its own Lease": (update(POD, {"spec": {"leaseDurationSeconds": 1}}), SPEC),
    "the time of its own Lease, removed": (update(POD, {"spec": {"renewTime": None}}), SPEC),
    "the transitions of the Round Lease": (
        update("demo-round", {"spec": {"leaseTransitions": 1}}), SPEC),
    "another pod as the holder": (
        update("demo-round", {"spec": {"holderIdentity": "demo-2-0"}}), HOLDER),
    "a long name as the holder": (
        update("demo-round", {"spec": {"holderIdentity": "x" * 200_000}}), HOLDER),
    "another pod's role, given up": (
        update("demo-round", {"spec": {"holderIdentity": None}}, pod="demo-2-0"), HOLDER),
    # A new Lease.
    "a new Lease without the UID of the job": (
        create(new_lease(lambda x: x["metadata"]["labels"].pop(names.LABEL_JOB_UID))), NEW_LABELS),
    "a new Lease with an empty UID of the job": (
        create(new_lease(lambda x: x["metadata"]["labels"].update({names.LABEL_JOB_UID: ""}))),
        NEW_LABELS),
    "a new Lease with one more label": (
        create(new_lease(lambda x: x["metadata"]["labels"].update(seen="yes"))), NEW_LABELS),
    "a new Lease with another index": (
        create(new_lease(lambda x: x["metadata"]["labels"].update({names.LABEL_INDEX: "1"}))),
        NEW_LABELS),
    "a new Lease labelled as a Round Lease": (
        create(new_lease(lambda x: x["metadata"]["labels"].update(
            {names.LABEL_LEASE: names.LEASE_ROUND}))), NEW_LABELS),
    "a new Lease without an owner": (
        create(new_lease(lambda x: x["metadata"].pop("ownerReferences"))), NEW_OWNER),
    "a new Lease with two owners": (
        create(new_lease(lambda x: x["metadata"]["ownerReferences"].append(owner(uid="2")))),
        NEW_OWNER),
    "a new Lease of another Round Lease": (
        create(new_lease(lambda x: x["metadata"].update(
            ownerReferences=[owner(name="other-round")]))), NEW_OWNER),
    "a new Lease of another kind of owner": (
        create(new_lease(lambda x: x["metadata"].update(
            ownerReferences=[owner(apiVersion="v1", kind="ConfigMap", uid="a")]))), NEW_OWNER),
    "a new Lease with a long UID of its owner": (
        create(new_lease(lambda x: x["metadata"].update(ownerReferences=[owner(uid=LONG)]))),
        NEW_OWNER),
    "a new Lease with a prefix of its name": (
        create(new_lease(lambda x: x["metadata"].update(generateName="demo-"))), GENERATED),
    "a new Lease that blocks its owner's deletion": (
        create(new_lease(lambda x: x["metadata"].update(
            ownerReferences=[owner(blockOwnerDeletion=True)]))), NEW_OWNER),
    "a new Lease with a finalizer": (
        create(new_lease(lambda x: x["metadata"].update(finalizers=["example.com/stay"]))),
        FINALIZERS),
    "a new Lease with a mark": (create(marked(new_lease())), ANNOTATIONS),
    "a new Lease with an empty mark": (
        create(merge(new_lease(), annotation("ended", ""))), ANNOTATIONS),
    "a new Lease with a long state": (
        create(merge(new_lease(), annotation("agent", "x" * 4097))), SIZES),
    "a new Lease with transitions": (
        create(merge(new_lease(), {"spec": {"leaseTransitions": 1}})), SPEC),
    "a new Lease with a long incarnation": (
        create(merge(new_lease(), {"spec": {"holderIdentity": "x" * 65}})), HOLDER),
}  # fmt: skip

UNMATCHED = {
    "another controller's election in the job's namespace": update(
        "their-leader", ELECTED, account="their-controller", pod="their-controller-7f9c-x"),
    "another controller's election, created": create(
        foreign("their-other-leader"), account="their-controller", pod="their-controller-7f9c-x"),
    "another controller's election, deleted without a pod": delete(
        "their-leader", account="their-controller", pod=None),
    "a script with rights that an administrator gave it": delete(POD, account="ci", pod=None),
    "a node": update("their-leader", ELECTED, account="system:node:n1", pod=None),
    "the controller manager": update(
        "their-leader", ELECTED, account="system:kube-controller-manager", pod=None),
    "the garbage collector": delete(
        POD, account="system:serviceaccount:kube-system:generic-garbage-collector", pod=None),
    "a person": delete(POD, account="example:jane", pod=None),
    "the operator": update(POD, SEEN, account=OPERATOR, pod="operator-5d-x"),
    "an operator in the namespace of its jobs": delete(
        POD, account="operator-elasticjob", pod="operator-5d-x"),
}  # fmt: skip
