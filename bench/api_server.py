"""The measured kube-apiserver: its users' tokens, its counters, its processes, its outages."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dev import proc
from dev.cluster.bare import WITH_US
from dev.cluster.errors import ClusterError
from dev.cluster.processes import Processes, end
from dev.kube_client import Client, Json
from dev.wait import wait_until

from elasticjob.api.crd import custom_resource_definition
from elasticjob.local.api.server import AGENT_ROLE
from elasticjob.wire.lease import LEASE_API, AgentLease, JobIdentity, job_uid_of, parse_agent
from elasticjob.wire.names import (
    API_VERSION,
    LABEL_JOB,
    LABEL_LEASE,
    LEASE_AGENT,
    PLURAL,
    service_account_name,
)

NAMESPACE = "bench"
TOKEN_S = 7200
WITHIN_S = 60.0
RBAC = "rbac.authorization.k8s.io"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_ROLES = f"/apis/{RBAC}/v1/clusterroles"
ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
BINDINGS = f"/apis/{RBAC}/v1/namespaces/{NAMESPACE}/rolebindings"
LEASES = f"/apis/{LEASE_API}/namespaces/{NAMESPACE}/leases"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOBS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
API_SERVER = "kube-apiserver"

Counts = Counter[tuple[str, str]]
"""Requests by verb and code."""


@dataclass(frozen=True)
class Cpu:
    """CPU seconds used by API server and etcd."""

    api: float
    etcd: float

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.api - other.api, self.etcd - other.etcd)

    @property
    def total(self) -> float:
        """The sum of both."""
        return self.api + self.etcd


class ApiServer:
    """The API server that `python -m dev.cluster bare` has started."""

    def __init__(self, kubeconfig: Path) -> None:
        """Connect with the administrator's kubeconfig."""
        self.kubeconfig = kubeconfig
        self.client = Client.from_kubeconfig(kubeconfig)
        address = urlsplit(self.client.url)
        self.host, self.port = str(address.hostname), int(address.port or 443)
        self.processes = Processes(kubeconfig.parent)

    def install(self) -> None:
        """Create the CRD and the agents' role, as the chart does, and the namespace."""
        self.create(CRDS, custom_resource_definition())
        self.create(CLUSTER_ROLES, AGENT_ROLE)
        self.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        wait_until(lambda: self.client.get(JOBS).code == 200, what="the CRD", within_s=WITHIN_S)

    def create(self, path: str, manifest: Json) -> Json:
        """Create an object; raises RefusedError."""
        created: Json = self.client.post(path, manifest).accepted()
        return created

    def create_account(self, job: str) -> None:
        """Create the ServiceAccount of a job's agents and bind it to their role."""
        name = service_account_name(job)
        self.create(ACCOUNTS, {"metadata": {"name": name}})
        role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": AGENT_ROLE["metadata"]["name"]}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
        self.create(BINDINGS, {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})

    def write_token(self, job: str, directory: Path) -> Path:
        """Write token and ca.crt of a job's ServiceAccount, once the account may list Leases."""
        request = {"spec": {"expirationSeconds": TOKEN_S}}
        reply = self.create(f"{ACCOUNTS}/{service_account_name(job)}/token", request)
        user = self.client.as_user(reply["status"]["token"])
        what = "the rights of the ServiceAccount"
        wait_until(lambda: user.get(LEASES).code == 200, what=what, within_s=WITHIN_S)
        user.close()
        directory.mkdir(parents=True)
        (directory / "token").write_text(user.token)
        (directory / "ca.crt").write_bytes(user.ca)
        return directory

    def requests(self) -> Counts:
        """The requests for Leases that were answered so far."""
        return parse_requests(self.client.get("/metrics").body.decode())

    def cpu(self) -> Cpu:
        """The CPU time that the current processes of both servers have used."""
        found = [self.processes.find(name) for name in (API_SERVER, "etcd")]
        return Cpu(*(proc.cpu_s(process.pid) for process in found if process is not None))

    def agent_leases(self, job: str) -> list[AgentLease]:
        """The Leases of a job's agents."""
        items = self.client.get(LEASES, labelSelector=agent_leases_of(job)).body["items"]
        return [parse_agent(item, JobIdentity(NAMESPACE, job, job_uid_of(item))) for item in items]

    def version(self) -> str:
        """The version of Kubernetes."""
        return str(self.client.get("/version").body["gitVersion"])


def agent_leases_of(job: str) -> str:
    """The label selector of the Leases of a job's agents."""
    return f"{LABEL_JOB}={job},{LABEL_LEASE}={LEASE_AGENT}"


def parse_requests(metrics: str, resource: str = "leases") -> Counts:
    """Read apiserver_request_total of one resource from the text of /metrics."""
    counts: Counts = Counter()
    for row in metrics.splitlines():
        if row.startswith("apiserver_request_total{") and f'resource="{resource}"' in row:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', row))
            counts[labels["verb"], labels["code"]] += int(float(row.rpartition(" ")[2]))
    return counts


class CreationTimes:
    """Wall times at which Leases reached a watch: creationTimestamp has whole seconds only."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._changed = threading.Condition()

    def add(self, name: str) -> None:
        """Record a created Lease."""
        with self._changed:
            self._at.setdefault(name, time.time())
            self._changed.notify_all()

    def wait(self, count: int) -> dict[str, float]:
        """Wait until `count` Leases exist; returns all times by the Lease's name."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._at) >= count, WITHIN_S):
                raise TimeoutError(f"{len(self._at)} of {count} agents have joined")
            return dict(self._at)


@contextmanager
def lease_creations(client: Client, leases: str, selector: str) -> Iterator[CreationTimes]:
    """Watch the Leases at a path that match a label selector."""
    found, opened = CreationTimes(), threading.Event()
    version = client.get(leases).version
    query = {"labelSelector": selector, "resourceVersion": version, "timeoutSeconds": "600"}

    def follow() -> None:
        with client.watch(leases, **query) as events:
            opened.set()
            try:
                for event in events:
                    if event.type == "ADDED":
                        found.add(event.name)
            except (OSError, ValueError, AttributeError):
                return  # the connection was closed

    threading.Thread(target=follow, daemon=True).start()
    opened.wait(WITHIN_S)
    yield found


@contextmanager
def frozen(processes: Processes) -> Iterator[None]:
    """Freeze the API server: it keeps its connections, accepts new ones, and answers nothing."""
    processes.pause(API_SERVER)
    try:
        yield
    finally:
        processes.resume(API_SERVER)


@contextmanager
def stopped(processes: Processes) -> Iterator[None]:
    """Kill the API server, also a frozen one, so that connections are refused; etcd stays.

    A new process starts when the block ends. Its first answer is not awaited.
    """
    found = processes.find(API_SERVER)
    if found is None:
        raise ClusterError(f"{API_SERVER} does not run")
    words = proc.command_line(found.pid)
    end([found])
    try:
        yield
    finally:
        processes.start(API_SERVER, [*WITH_US, *words])
