"""Print what the tokens of an agent and of the operator may do: a section of docs/security.md.

The program requests the list of rights from the API server (SelfSubjectRulesReview), and tries each
verb on objects of each kind. It needs a real API server: `make rights`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dev.kube_client import Client, Reply
from tests.support.chart import NAMESPACE, ROOT
from tests.support.cluster_scene import Scene, scene
from tests.support.lease_requests import (
    NOW,
    POD,
    REPORT,
    ROUND_UID,
    SEEN,
    TEAM,
    annotation,
    foreign,
    job,
    state,
)
from tests.support.merge_patch import merge
from tests.support.operator_requests import (
    ELECTION,
    EXISTING,
    THEIR_EVENT,
    config_map,
    election,
    event,
)

from elasticjob.controller import kube
from elasticjob.controller.kube import Resource
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import EndedMark
from elasticjob.wire.member import Pod

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- rights, by make rights -->", "<!-- rights end -->"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
SECRETS = Resource("", "v1", "secrets")
NODES = Resource("", "v1", "nodes")
VERBS = ("get", "list", "watch", "create", "patch", "update", "delete")
OTHER = "default"  # a namespace without jobs
LEADER = "their-leader"
DRY = {"dryRun": "All"}  # authorization and admission decide as usual, and nothing is stored
NOTE: Json = {"metadata": {"annotations": {"example.com/seen": "yes"}}}
RENEWAL = leases.agent_patch(state(2), NOW, "1")
PULSE = leases.pulse_patch(REPORT, NOW, "1")
DESIRED = leases.desired_patch(Desired((Pod(1, 0),)), "1")
MARK = leases.ended_patch(job("demo"), ROUND_UID, EndedMark("Deleted"), "1")


@dataclass(frozen=True)
class Target:
    """An object on which each verb is tried. patch: what `patch` and `update` change."""

    text: str
    resource: Resource
    name: str
    patch: Json
    namespace: str = TEAM
    subresource: str = ""
    verbs: tuple[str, ...] = VERBS


def common() -> list[Target]:
    """Objects that neither token may touch, or only read."""
    status = ("get", "patch", "update")
    account = "elasticjob-demo"
    return [
        Target("the Lease of another controller", kube.LEASES, LEADER, NOTE),
        Target("the same in a namespace without jobs", kube.LEASES, LEADER, NOTE, OTHER),
        Target("an ElasticJob", kube.ELASTIC_JOBS, "demo", NOTE),
        Target("its status", kube.ELASTIC_JOBS, "demo", NOTE, TEAM, "status", status),
        Target("a Secret", SECRETS, "their-secret", NOTE),
        Target(
            "a token of an account",
            kube.SERVICE_ACCOUNTS,
            account,
            NOTE,
            TEAM,
            "token",
            ("create",),
        ),
        Target("a node", NODES, "their-node", NOTE, ""),
    ]


def of_agents() -> list[Target]:
    """The rows of the table of an agent's token."""
    return [
        Target("its Lease, as the agent writes it", kube.LEASES, POD, RENEWAL),
        Target("its Lease: labels, owners or finalizers", kube.LEASES, POD, SEEN),
        Target("its Lease: `ended`", kube.LEASES, POD, annotation("ended", "")),
        Target("its job's Round Lease, as agents write it", kube.LEASES, "demo-round", PULSE),
        Target("its job's Round Lease: `desired`", kube.LEASES, "demo-round", DESIRED),
        Target("the Lease of another pod of its job", kube.LEASES, "demo-2-0", RENEWAL),
        Target("the Lease of a pod of another job", kube.LEASES, "other-1-0", RENEWAL),
        Target("the Round Lease of another job", kube.LEASES, "other-round", PULSE),
        Target("its pod", kube.PODS, POD, NOTE),
        Target("a service account", kube.SERVICE_ACCOUNTS, "elasticjob-demo", NOTE),
        Target("a RoleBinding", kube.ROLE_BINDINGS, "their-binding", NOTE),
        Target("a ConfigMap", kube.CONFIG_MAPS, "their-config-map", NOTE),
        Target("an Event", kube.EVENTS, THEIR_EVENT, NOTE),
        *common(),
    ]


def of_operator() -> list[Target]:
    """The rows of the table of the operator's token."""
    agent, mine = config_map()["metadata"]["name"], event()["metadata"]["name"]
    return [
        Target("the Round Lease of a job", kube.LEASES, "demo-round", DESIRED),
        Target("an agent's Lease", kube.LEASES, "demo-2-0", MARK),
        Target("the Lease of its election", kube.LEASES, ELECTION, NOTE, NAMESPACE),
        Target("a pod of a job", kube.PODS, "demo-8-0", NOTE),
        Target("another pod", kube.PODS, "their-pod", NOTE),
        Target("the account of a job", kube.SERVICE_ACCOUNTS, "elasticjob-older", NOTE),
        Target("another account", kube.SERVICE_ACCOUNTS, "their-account", NOTE),
        Target("the RoleBinding of a job", kube.ROLE_BINDINGS, "elasticjob-older", NOTE),
        Target("another RoleBinding", kube.ROLE_BINDINGS, "their-binding", NOTE),
        Target("the ConfigMap of an agent", kube.CONFIG_MAPS, agent, NOTE),
        Target("another ConfigMap", kube.CONFIG_MAPS, "their-config-map", NOTE),
        Target("its Event on a job", kube.EVENTS, mine, NOTE),
        Target("another Event", kube.EVENTS, THEIR_EVENT, NOTE),
        *common(),
    ]


def attempt(made: Scene, client: Client, verb: str, target: Target) -> str:
    """The answer to one verb: `yes`, `policy` (an admission policy refuses it), or `-` (RBAC)."""
    resource, where, name = target.resource, target.namespace, target.name
    collection, path = resource.path(where), resource.path(where, name, target.subresource)
    only = {"fieldSelector": f"metadata.name={name}"}
    patch = made.with_version(resource, name, target.patch)
    tries: dict[str, Callable[[], Reply]] = {
        "get": lambda: client.get(path),
        "list": lambda: client.get(collection, **only),
        "watch": lambda: client.get(collection, watch="1", timeoutSeconds="1", **only),
        "create": lambda: client.post(
            path if target.subresource else collection, _new(made, target), **DRY
        ),
        "patch": lambda: client.patch(path, patch, **DRY),
        "update": lambda: client.put(path, merge(made.admin.get(path).body, patch), **DRY),
        "delete": lambda: client.delete(path, **DRY),
    }
    reply = tries[verb]()
    if reply.code == 403:
        return "policy" if "denied request" in reply.body["message"] else "-"
    assert reply.code in (200, 201) or (verb == "create" and reply.code == 409), reply.body
    return "yes"


def _new(made: Scene, target: Target) -> Json:
    if target.namespace == NAMESPACE:
        return election()
    if (target.resource, target.name) in EXISTING and target.namespace == TEAM:
        return made.with_owners(EXISTING[target.resource, target.name])
    return {"metadata": {"name": target.name}}


def tried(made: Scene, client: Client, targets: list[Target]) -> Iterator[str]:
    """The table of the answers to each verb on each object."""
    yield f"| tried on | {' | '.join(VERBS)} |"
    yield f"|---|{'---|' * len(VERBS)}"
    for target in targets:
        cells = [attempt(made, client, v, target) if v in target.verbs else "" for v in VERBS]
        yield f"| {target.text} | {' | '.join(cells)} |"


def listed(client: Client) -> Iterator[str]:
    """The table of the rights that the API server lists for a token in the jobs' namespace."""
    status = client.post(REVIEW, {"spec": {"namespace": TEAM}}).accepted()["status"]
    assert status["incomplete"] is False
    rows = []
    for rule in status["resourceRules"]:
        only = " " + ", ".join(rule["resourceNames"]) if rule.get("resourceNames") else ""
        for resource in (
            f"{r}.{g}".rstrip(".") for g in rule["apiGroups"] for r in rule["resources"]
        ):
            rows.append(f"| `{resource}`{only} | {', '.join(sorted(rule['verbs']))} |")
    yield from ("| resource | verbs |", "|---|---|", *sorted(set(rows)))


def section(made: Scene) -> str:
    """The part of docs/security.md between BEGIN and END."""
    path = kube.LEASES.path(OTHER, LEADER)
    made.admin.post(kube.LEASES.path(OTHER), {**foreign(LEADER), "metadata": {"name": LEADER}})
    made.admin.post(kube.LEASES.path(NAMESPACE), election())
    for resource, name in EXISTING:
        made.reset(resource, name)
    agent = made.agent("elasticjob-demo", POD)
    lines = (
        "An agent's token:", "", *listed(agent), "", *tried(made, agent, of_agents()), "",
        "The operator's token:", "", *listed(made.operator), "",
        *tried(made, made.operator, of_operator()),
    )  # fmt: skip
    made.admin.delete(path)
    return "\n".join(lines)


def of_page() -> str:
    """The section that docs/security.md contains."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    """Write the section into docs/security.md."""
    with scene(names.AGENT_CLUSTER_ROLE) as made:
        found = section(made)
    print(found)
    if BEGIN in (text := PAGE.read_text()):
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
