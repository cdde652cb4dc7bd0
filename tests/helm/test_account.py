"""The operator runs with the account and the Roles of the chart, and each request is recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import pytest
from dev.wait import wait_until
from tests.support.chart import NAMESPACE, of_kind, one, rendered
from tests.support.jobs import elastic_job
from tests.support.local_server import LocalServer, local_server

from elasticjob.controller.watch.cache import WATCHED
from elasticjob.local.api.access import Access
from elasticjob.local.api.call import Call, Target, target_of
from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.server import RunningServer, kubeconfig
from elasticjob.wire import names
from elasticjob.wire.codec import Json

pytestmark = pytest.mark.process

TEAM = "team"
SCOPES: dict[str, tuple[str, ...]] = {
    "cluster": (),
    "namespaced": ("scope=namespaced", f"namespaces={{{TEAM}}}"),
}


@dataclass
class Recorder:
    """Records the requests of one token and those that the Roles forbid.

    The local server calls it as a fault that never applies.
    """

    access: Access
    token: str
    requested: list[Target] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __call__(self, call: Call) -> bool:
        target = target_of(call)
        if target and call.authorization == f"Bearer {self.token}":
            self.requested.append(target)
            try:
                self.access.check(call, target)
            except ApiError as error:
                self.refused.append(error.message)
        return False

    @property
    def watched(self) -> set[str]:
        return {target.plural for target in self.requested if target.verb == "watch"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with local_server(tmp_path / "server") as running:
        yield running


@pytest.mark.parametrize("scope", SCOPES)
def test_the_operator_requests_nothing_that_its_roles_forbid(
    server: LocalServer, scope: str, tmp_path: Path
) -> None:
    objects = rendered(*SCOPES[scope])
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    recorder = server.call(lambda running: installed(running, objects, pod))
    url, ca = server.running.url, server.running.ca_file.read_bytes()
    config = tmp_path / "kubeconfig"
    config.write_bytes(kubeconfig(url, ca, recorder.token))
    args = [*pod["containers"][0]["args"], "--health-port=0", "--kubeconfig", str(config)]
    with Popen([sys.executable, "-m", "elasticjob.controller", *args]) as process:
        try:
            wait_until(lambda: server.call(pods_of_job) == ["demo-0-0", "demo-1-0"])
            wait_until(lambda: Target("create", "", "v1", "events", TEAM) in recorder.requested)
            wait_until(lambda: recorder.watched == {watched.plural for watched in WATCHED})
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert recorder.refused == []


def installed(running: RunningServer, objects: tuple[Json, ...], pod: Json) -> Recorder:
    """Create the objects of the chart that the local server supports, and a job."""
    store = running.store
    for name in (NAMESPACE, TEAM):
        store.create(store.resources["", "namespaces"], "", {"metadata": {"name": name}})
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
        resource = next(r for r in store.resources.values() if r.kind == kind)
        for body in of_kind(objects, kind):
            if body["metadata"]["name"] != names.AGENT_CLUSTER_ROLE:  # it exists already
                store.create(resource, body["metadata"].get("namespace", ""), body)
    job = elastic_job(replicas=2)
    job["metadata"] = {"name": "demo"}
    store.create(store.resources[names.GROUP, names.PLURAL], TEAM, job)
    made = store.create(PODS, NAMESPACE, {"metadata": {"name": "operator"}, "spec": pod})
    uid = made["metadata"]["uid"]
    token = running.mint(NAMESPACE, pod["serviceAccountName"], "operator", uid)
    recorder = Recorder(running.access, token)
    running.faults.refuse(500, recorder, times=None)
    return recorder


def pods_of_job(running: RunningServer) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in running.store.list(PODS, TEAM))
