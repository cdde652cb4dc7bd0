"""Requests of the operator, and the answer of the chart's admission policy for it to each.

tests/helm evaluates them with the policy's CEL, and tests/attacks sends them to a real API server.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.support import lease_requests
from tests.support.chart import NAMESPACE
from tests.support.jobs import elastic_job, worker
from tests.support.lease_requests import OPERATOR, ROUND_UID, TEAM, VERSION
from tests.support.merge_patch import merge

from elasticjob.controller import kube
from elasticjob.controller.act import manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.kube import Resource
from elasticjob.controller.lead import candidate
from elasticjob.controller.observe import parse
from elasticjob.controller.report import journal
from elasticjob.controller.report.journal import Entry, Note
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import EndedMark
from elasticjob.wire.member import Pod

LABELS = "metadata.labels: the operator of ElasticJob may only write objects with the label"
EVENT = "involvedObject: the operator of ElasticJob may only write its own Events"
NAME = "metadata.name: the operator of ElasticJob may only create"
ACCOUNT = "spec.serviceAccountName: the operator of ElasticJob may only create pods with"
ROLE = "roleRef: the operator of ElasticJob may only bind the ClusterRole elasticjob-agent"
SUBJECTS = "subjects: the operator of ElasticJob may only bind one account"
ELECTION = "elasticjob-operator"

BUNDLE = Bundle(b"an agent")
AT = datetime(2026, 11, 30, tzinfo=UTC)
NOTE = Entry("demo.0123456789abcdef", Note("PodsCreated", "created demo-1-0"))
MARK = EndedMark("Deleted")


def stored_job(name: str = "demo", **spec: object) -> Json:
    """The job as the API server stores it."""
    body = elastic_job(name, **spec)  # type: ignore[arg-type]
    body["metadata"] |= {"namespace": TEAM, "resourceVersion": VERSION}
    return body


def rights(kind: str, job: Json | None = None) -> Json:
    """The ServiceAccount or RoleBinding of a job."""
    return next(b for b in manifests.rights(job or stored_job()) if b["kind"] == kind)


def pod(index: int = 1, job: Json | None = None) -> Json:
    """The pod of a job."""
    return manifests.pod(job or stored_job(), index, 0, BUNDLE.hash)


def event(change: Callable[[Json], object] = lambda event: None) -> Json:
    """An Event of the operator, after this change."""
    made = journal.manifest(parse.job(stored_job()), NOTE, AT)
    change(made)
    return made


def config_map(name: str = manifests.agent_config_map_name(BUNDLE.hash)) -> Json:
    """The ConfigMap of an agent."""
    made = manifests.agent_config_map(TEAM, BUNDLE)
    made["metadata"]["name"] = name
    return made


def unlabelled(body: Json, name: str) -> Json:
    """The same object of another owner."""
    made = copy.deepcopy(body)
    made["metadata"] = {"name": name, "namespace": TEAM}
    return made


def of_an_older_job(body: Json, *, without: str = "") -> Json:
    """The same object with other labels; `without` one."""
    made = copy.deepcopy(body)
    made["metadata"]["labels"][names.LABEL_JOB_UID] = "an-older-uid"
    made["metadata"]["labels"].pop(without, None)
    made["metadata"].pop("ownerReferences", None)
    return made


RESOURCES = {
    "Lease": kube.LEASES,
    "Pod": kube.PODS,
    "ServiceAccount": kube.SERVICE_ACCOUNTS,
    "RoleBinding": kube.ROLE_BINDINGS,
    "ConfigMap": kube.CONFIG_MAPS,
    "Event": kube.EVENTS,
}
KUBELETS = {"reportingComponent": "kubelet", "source": {"component": "kubelet"}}
THEIR_EVENT = "demo.their-event"
EXISTING: dict[tuple[Resource, str], Json] = {
    (RESOURCES[body["kind"]], body["metadata"]["name"]): body
    for body in (
        *lease_requests.EXISTING.values(),
        rights("ServiceAccount"),
        rights("RoleBinding"),
        unlabelled(rights("ServiceAccount"), "their-account"),
        unlabelled(rights("RoleBinding"), "their-binding"),
        of_an_older_job(rights("ServiceAccount", stored_job("older"))),
        of_an_older_job(rights("RoleBinding", stored_job("older"))),
        of_an_older_job(lease_requests.round_lease("older"), without=names.LABEL_JOB_UID),
        of_an_older_job(lease_requests.agent_lease("older-1-0", "older"), without=names.LABEL_JOB),
        pod(8),
        unlabelled(pod(8), "their-pod"),
        config_map(),
        unlabelled(config_map(), "their-config-map"),
        config_map("their-labelled-config-map"),
        event(),
        event(lambda x: x.update(KUBELETS, metadata={"name": THEIR_EVENT, "namespace": TEAM})),
    )
}


@dataclass(frozen=True)
class OperatorRequest:
    """A request of the operator. change: a new object, a merge patch, or None for a delete."""

    operation: str
    resource: Resource
    name: str
    change: Json | None
    namespace: str = TEAM

    @property
    def old(self) -> Json | None:
        """The object before the request."""
        return None if self.operation == "CREATE" else EXISTING[self.resource, self.name]

    def review(self) -> Json:
        """The request as the CEL of a policy sees it."""
        old, new = self.old, self.change
        if old is not None and new is not None:
            new = merge(old, new)
        where = {"group": self.resource.group, "version": "v1", "resource": self.resource.plural}
        attributes = {
            "operation": self.operation,
            "namespace": self.namespace,
            "resource": where,
            "userInfo": {"username": OPERATOR},
        }
        return {"request": attributes, "object": new, "oldObject": old}


def create(body: Json, namespace: str = TEAM) -> OperatorRequest:
    resource = RESOURCES[body["kind"]]
    return OperatorRequest("CREATE", resource, body["metadata"]["name"], body, namespace)


def update(resource: Resource, name: str, patch: Json) -> OperatorRequest:
    return OperatorRequest("UPDATE", resource, name, patch)


def delete(resource: Resource, name: str) -> OperatorRequest:
    return OperatorRequest("DELETE", resource, name, None)


def binding(change: Callable[[Json], object]) -> Json:
    """The RoleBinding of a new job, after this change."""
    made = rights("RoleBinding", stored_job("new"))
    change(made)
    return made


def election_like_a_pod(job: str, index: str, generation: str) -> Json:
    """The election of another controller, with the labels of a pod of this name."""
    labels = {names.LABEL_JOB: job, names.LABEL_INDEX: index, names.LABEL_GENERATION: generation}
    return lease_requests.foreign(f"{job}-{index}-{generation}", **labels)


def new_pod(change: Callable[[Json], object] = lambda pod: None) -> Json:
    """A pod that does not exist, after this change."""
    made = pod(6)
    change(made)
    return made


def election() -> Json:
    """The Lease by which the operators elect their leader."""
    me = candidate.Candidate("me", candidate.LeaseTimes())
    made = candidate.manifest(ELECTION, me, lease_requests.NOW)
    made["metadata"]["namespace"] = NAMESPACE
    return made


DEMO = lease_requests.job("demo")
NEW = lease_requests.job("new")
TRAINER = stored_job("new", pod={"containers": [worker()], "serviceAccountName": "trainer"})
ALLOWED = {
    "the account of a job": create(rights("ServiceAccount", stored_job("new"))),
    "the binding of a job": create(rights("RoleBinding", stored_job("new"))),
    "the binding of an account of a template": create(rights("RoleBinding", TRAINER)),
    "a pod": create(new_pod()),
    "a pod with an account of a template": create(pod(1, TRAINER)),
    "an agent": create(config_map("elasticjob-agent-0123456789")),
    "a Round Lease": create(
        leases.round_manifest(NEW, Desired((Pod(0, 0),)), lease_requests.NEXT)),
    "a marked Lease": create(leases.ended_manifest(DEMO, ROUND_UID, Pod(7, 0), MARK, 1)),
    "an Event": create(event(lambda x: x["metadata"].update(name="demo.another"))),
    "an Event, repeated": update(
        kube.EVENTS, event()["metadata"]["name"], journal.repeat(
            merge(event(), {"metadata": {"resourceVersion": VERSION}}), NOTE, AT)),
    "the desired state": update(
        kube.LEASES, "demo-round", leases.desired_patch(Desired((Pod(1, 0),)), VERSION)),
    "the holder, cleared": update(
        kube.LEASES, "demo-round", leases.holder_patch("", "", VERSION)),
    "the mark of a pod that has ended": update(
        kube.LEASES, "demo-2-0", leases.ended_patch(DEMO, ROUND_UID, MARK, VERSION)),
    "a pod, deleted": delete(kube.PODS, "demo-8-0"),
    "a Lease, deleted": delete(kube.LEASES, "demo-3-0"),
    "an agent, deleted": delete(kube.CONFIG_MAPS, config_map()["metadata"]["name"]),
    "the account of an older job, deleted": delete(kube.SERVICE_ACCOUNTS, "elasticjob-older"),
    "the binding of an older job, deleted": delete(kube.ROLE_BINDINGS, "elasticjob-older"),
    "a Round Lease without the UID of its job, deleted": delete(kube.LEASES, "older-round"),
    "a Lease without the name of its job, deleted": delete(kube.LEASES, "older-1-0"),
    "the election, created": create(election(), NAMESPACE),
}  # fmt: skip


def subject(**fields: str) -> Json:
    found: Json = binding(lambda x: None)["subjects"][0]
    return {**found, **fields}


REFUSED = {
    "a binding of its own role": (
        create(binding(lambda x: x["roleRef"].update(name=f"{ELECTION}.{NAMESPACE}"))), ROLE),
    "a binding of a role of the namespace": (
        create(binding(lambda x: x["roleRef"].update(kind="Role"))), ROLE),
    "a binding for another account": (
        create(binding(lambda x: x.update(subjects=[subject(name="default")]))), SUBJECTS),
    "a binding for the account of another job": (
        create(binding(lambda x: x.update(subjects=[subject(name="elasticjob-demo")]))), SUBJECTS),
    "a binding for an account of another namespace": (
        create(binding(lambda x: x.update(subjects=[subject(namespace="default")]))), SUBJECTS),
    "a binding for two accounts": (
        create(binding(lambda x: x["subjects"].append(subject(name="trainer")))), SUBJECTS),
    "a binding for a group": (
        create(binding(lambda x: x.update(subjects=[
            {"kind": "Group", "name": "elasticjob-new",
             "apiGroup": "rbac.authorization.k8s.io"}]))), SUBJECTS),
    "a binding for nobody": (create(binding(lambda x: x.update(subjects=[]))), SUBJECTS),
    "a binding of another name": (
        create(binding(lambda x: x["metadata"].update(name="another"))), NAME),
    "a binding without labels": (
        create(binding(lambda x: x["metadata"].pop("labels"))), LABELS),
    "a binding of another owner, deleted": (delete(kube.ROLE_BINDINGS, "their-binding"), LABELS),
    "an account of another name": (
        create(merge(rights("ServiceAccount"), {"metadata": {"name": "another"}})), NAME),
    "an account of another owner, deleted": (
        delete(kube.SERVICE_ACCOUNTS, "their-account"), LABELS),
    "a pod with another account": (
        create(new_pod(lambda x: x["spec"].update(serviceAccountName="default"))), ACCOUNT),
    "a pod with the account of another job": (
        create(new_pod(lambda x: x["spec"].update(serviceAccountName="elasticjob-other"))),
        ACCOUNT),
    "a pod with the account of the namespace": (
        create(new_pod(lambda x: x["spec"].pop("serviceAccountName"))), ACCOUNT),
    "a pod without labels": (create(unlabelled(new_pod(), "demo-6-0")), LABELS),
    "a pod of another name": (
        create(new_pod(lambda x: x["metadata"].update(name="another"))), NAME),
    "a pod whose index is no number": (
        create(new_pod(lambda x: x["metadata"].update(
            name="demo-core-dns",
            labels={**x["metadata"]["labels"], names.LABEL_INDEX: "core",
                    names.LABEL_GENERATION: "dns"}))), NAME),
    "a pod of another owner, deleted": (delete(kube.PODS, "their-pod"), LABELS),
    "another controller's election": (
        update(kube.LEASES, "their-leader", lease_requests.ELECTED), LABELS),
    "another controller's election, labelled": (
        update(kube.LEASES, "their-leader", lease_requests.label("job", "demo")), LABELS),
    "another controller's election, deleted": (delete(kube.LEASES, "their-leader"), LABELS),
    "another controller's election, created": (
        create(lease_requests.foreign("their-other-leader", **{names.LABEL_JOB: "demo"})), NAME),
    "another controller's election, created with the labels of a pod": (
        create(election_like_a_pod("their", "other", "leader-election")), NAME),
    "another controller's election, created with the index of a pod": (
        create(election_like_a_pod("their", "1", "leader")), NAME),
    "a Lease like its election in another namespace": (
        create(lease_requests.foreign(ELECTION)), LABELS),
    "a ConfigMap of another name": (create(config_map("kube-root-ca.crt")), NAME),
    "a ConfigMap without labels": (
        create(unlabelled(config_map(), "elasticjob-agent-0123456789")), LABELS),
    "a ConfigMap of another owner, deleted": (
        delete(kube.CONFIG_MAPS, "their-config-map"), LABELS),
    "a ConfigMap with the label and without the name of an agent, deleted": (
        delete(kube.CONFIG_MAPS, "their-labelled-config-map"), NAME),
    "an Event on a pod": (
        create(event(lambda x: x["involvedObject"].update(kind="Pod", apiVersion="v1"))), EVENT),
    "an Event of another component": (create(event(lambda x: x.update(KUBELETS))), EVENT),
    "its Event, changed to one on a pod": (
        update(kube.EVENTS, event()["metadata"]["name"], {"involvedObject": {"kind": "Pod"}}),
        EVENT),
    "its Event, changed to one of another component": (
        update(kube.EVENTS, event()["metadata"]["name"], KUBELETS), EVENT),
    "another component's Event, changed": (
        update(kube.EVENTS, THEIR_EVENT, {"message": "x"}), EVENT),
}  # fmt: skip
