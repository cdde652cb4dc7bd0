"""The objects of some jobs on a real API server without nodes, and clients with tokens of pods."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dev.kube_client import Client, Reply
from dev.wait import wait_until
from tests.support import installed as chart
from tests.support.chart import NAMESPACE
from tests.support.installed import NAMESPACES
from tests.support.jobs import elastic_job
from tests.support.lease_requests import EXISTING as LEASES
from tests.support.lease_requests import TEAM, VALUES, LeaseRequest
from tests.support.operator_requests import EXISTING, OperatorRequest

from elasticjob.controller import kube
from elasticjob.controller.kube import Resource
from elasticjob.wire import names
from elasticjob.wire.codec import Json

EVERY_VERB = "every-verb"  # a role with all verbs for Leases, to reach the policy with each


@dataclass
class Scene:
    """A namespace in which jobs have pods and Leases. Everything in it is made by its names."""

    admin: Client
    operator: Client
    notes: str
    agents: dict[tuple[str, str | None], Client] = field(default_factory=dict)

    # ---- objects ---------------------------------------------------------------------------------

    def path(self, resource: Resource, name: str = "", namespace: str = TEAM) -> str:
        """The path of an object or a collection."""
        return resource.path(namespace, name)

    def get(self, resource: Resource, name: str) -> Json:
        """The object as it is."""
        found: Json = self.admin.get(self.path(resource, name)).accepted()
        return found

    def reset(self, resource: Resource, name: str) -> None:
        """Make this object as it was at the beginning. A Lease keeps its UID, as others have it."""
        body = self.with_owners(EXISTING[resource, name])
        found = self.admin.get(self.path(resource, name))
        if found.code == 200 and resource == kube.LEASES:
            body["metadata"]["resourceVersion"] = found.version
            self.admin.put(self.path(resource, name), body).accepted()
            return
        self.remove(resource, name)
        self.admin.post(self.path(resource), body).accepted()

    def remove(self, resource: Resource, name: str, namespace: str = TEAM) -> None:
        """Delete an object."""
        self.admin.delete(self.path(resource, name, namespace), gracePeriodSeconds=0)

    def with_owners(self, body: Json) -> Json:
        """The object with the UIDs that its owners have on this server."""
        made = copy.deepcopy(body)
        for owner in made["metadata"].get("ownerReferences", ()):
            kinds = {"Lease": kube.LEASES, names.KIND: kube.ELASTIC_JOBS}
            if owner["uid"].startswith("uid-of-"):
                found = self.get(kinds[owner["kind"]], owner["name"])
                owner["uid"] = found["metadata"]["uid"]
        return made

    def with_version(self, resource: Resource, name: str, patch: Json) -> Json:
        """The patch for the object's current version, if it depends on one."""
        meta = patch.get("metadata", {})
        if "resourceVersion" not in meta:
            return patch
        found = self.admin.get(self.path(resource, name))
        version = found.version if found.code == 200 else meta["resourceVersion"]
        return {**patch, "metadata": {**meta, "resourceVersion": version}}

    # ---- clients ---------------------------------------------------------------------------------

    def agent(self, account: str, pod: str | None) -> Client:
        """A client with a token of this account that is bound to this pod."""
        if (account, pod) not in self.agents:
            bound = None if pod is None else self.pod(pod, account)
            token = chart.token_of(self.admin, TEAM, account, bound)
            self.agents[account, pod] = self.admin.as_user(token)
        return self.agents[account, pod]

    def pod(self, name: str, account: str) -> Json:
        """The pod of this name; one of another account is replaced."""
        found = self.admin.get(self.path(kube.PODS, name))
        if found.code == 200 and found.body["spec"]["serviceAccountName"] == account:
            return dict(found.body)
        self.remove(kube.PODS, name)
        for of in [of for of in self.agents if of[1] == name]:
            self.agents.pop(of).close()
        made: Json = self.admin.post(self.path(kube.PODS), chart.bare_pod(name, account)).accepted()
        return made

    # ---- requests --------------------------------------------------------------------------------

    def send(self, case: LeaseRequest | OperatorRequest) -> Reply:
        """Send a request as its user, and remove the object that it has created."""
        if isinstance(case, OperatorRequest):
            return self._send(self.operator, case.resource, case, case.namespace)
        return self._send(self.agent(case.account, case.pod), kube.LEASES, case, TEAM)

    def _send(
        self, client: Client, resource: Resource, case: LeaseRequest | OperatorRequest, where: str
    ) -> Reply:
        path = self.path(resource, case.name, where)
        if case.operation == "CREATE":
            self.remove(resource, case.name, where)
            assert case.change is not None
            reply = client.post(self.path(resource, namespace=where), self.with_owners(case.change))
            self.remove(resource, case.name, where)
            return reply
        self.reset(resource, case.name)
        if case.change is None:
            return client.delete(path)
        return client.patch(path, self.with_version(resource, case.name, case.change))


@contextmanager
def scene(role: str = EVERY_VERB) -> Iterator[Scene]:
    """Install the chart, and create jobs, accounts, Leases and objects of others.

    role: the ClusterRole of the accounts of agents.
    """
    admin = chart.administrator()
    with chart.installed(admin, TEAM, *VALUES) as notes:
        token = chart.token_of(admin, NAMESPACE, chart.ACCOUNT_OF_OPERATOR)
        made = Scene(admin, admin.as_user(token), notes)
        try:
            _fill(made, role)
            yield made
        finally:
            admin.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{EVERY_VERB}")
            for client in (*made.agents.values(), made.operator):
                client.close()
    admin.close()


def _fill(made: Scene, role: str) -> None:
    admin = made.admin
    for name in ("bare", "demo", "other", "new"):
        body = elastic_job(name, suspend=True)
        body["metadata"] = {"name": name}
        wait_until(lambda: admin.post(made.path(kube.ELASTIC_JOBS), body).code in (201, 409))  # noqa: B023
    every = {
        "metadata": {"name": EVERY_VERB},
        "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}],
    }
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", every).accepted()
    agents = [f"elasticjob-{job}" for job in ("bare", "demo", "demo-1", "first", "other")]
    for account in (*agents, "trainer", "their-controller", "ci"):
        chart.bind(admin, TEAM, account, role)
    made.admin.post(
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TEAM}/roles",
        {"metadata": {"name": names.AGENT_CLUSTER_ROLE}, "rules": []},
    ).accepted()
    for lease in sorted(LEASES, key=lambda name: not name.endswith("-round")):  # owners first
        made.reset(kube.LEASES, lease)
    first = made.agent("ci", None)
    wait_until(lambda: first.get(made.path(kube.LEASES)).code == 200)  # the last binding counts
    assert admin.get(f"{NAMESPACES}/{TEAM}").code == 200
