"""The API server that is measured: its address, its users' tokens, its counters, its processes."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.lab import cpu_s
from dev.cluster.processes import Processes
from tests.support.api_client import Client, Reply

from elasticjob.api.crd import custom_resource_definition
from elasticjob.local.api.server import AGENT_ROLE
from elasticjob.wire.lease import LEASE_API, AgentLease, Job, job_uid_of, parse_agent
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
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
BINDINGS = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings"
LEASES = f"/apis/{LEASE_API}/namespaces/{NAMESPACE}/leases"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SERVERS = ("kube-apiserver", "etcd")

Json = dict[str, Any]
Counts = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Cpu:
    """CPU seconds used by API server and etcd."""

    api: float
    etcd: float

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.api - other.api, self.etcd - other.etcd)

    @property
    def total(self) -> float:
        return self.api + self.etcd


class Patient(Client):
    """An idle connection is closed by the server: then the request is made again."""

    def request(self, *words: Any, **more: Any) -> Reply:
        try:
            return super().request(*words, **more)
        except RemoteDisconnected:
            return super().request(*words, **more)


class Site:
    """What `python -m dev.cluster bare` has started. kubeconfig: the administrator's."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.client = Patient.from_kubeconfig(kubeconfig)
        place = urlsplit(self.client.url)
        self.host, self.port = str(place.hostname), int(place.port or 443)
        self.processes = Processes(kubeconfig.parent)

    def install(self) -> None:
        """What the chart would: the kind of the job and the agents' role; and a namespace."""
        self.made(CRDS, custom_resource_definition())
        self.made(CLUSTER_ROLES, AGENT_ROLE)
        self.made("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        until("the CRD", lambda: self.client.get(jobs_path()).code == 200)

    def made(self, path: str, manifest: Json) -> Json:
        """Creates an object; raises RuntimeError with the server's word if it is refused."""
        reply = self.client.post(path, manifest)
        if reply.code != 201:
            raise RuntimeError(f"POST {path}: {reply.code} {reply.body}")
        made: Json = reply.body
        return made

    def account(self, job: str) -> None:
        """An account for a job's agents, allowed to use Leases."""
        name = service_account_name(job)
        self.made(ACCOUNTS, {"metadata": {"name": name}})
        role = AGENT_ROLE["metadata"]["name"]
        group = "rbac.authorization.k8s.io"
        self.made(
            BINDINGS,
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
            },
        )

    def token(self, job: str, directory: Path) -> Path:
        """The directory with token and ca.crt of a job's account, once the account may list."""
        request = {"spec": {"expirationSeconds": TOKEN_S}}
        reply = self.made(f"{ACCOUNTS}/{service_account_name(job)}/token", request)
        token = reply["status"]["token"]
        user = self.client.as_user(token)
        until("the rights of the account", lambda: user.get(LEASES).code == 200)
        user.close()
        directory.mkdir(parents=True)
        (directory / "token").write_text(token)
        (directory / "ca.crt").write_bytes(self.client.ca)
        return directory

    def requests(self) -> Counts:
        """Requests for Leases answered so far, by verb and code."""
        return parse_requests(self.client.get("/metrics").body.decode())

    def cpu(self) -> Cpu:
        """CPU time of both servers so far, by the processes that they are now."""
        found = [self.processes.find(name) for name in SERVERS]
        return Cpu(*(cpu_s(who.pid) for who in found if who is not None))

    def agent_leases(self, job: str) -> list[AgentLease]:
        """The Leases of a job's agents."""
        selector = f"{LABEL_JOB}={job},{LABEL_LEASE}={LEASE_AGENT}"
        items = self.client.get(LEASES, labelSelector=selector).body["items"]
        return [parse_agent(item, Job(NAMESPACE, job, job_uid_of(item))) for item in items]

    def version(self) -> str:
        """Of Kubernetes."""
        return str(self.client.get("/version").body["gitVersion"])


def jobs_path() -> str:
    """Of the ElasticJobs in our namespace."""
    return f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"


def parse_requests(metrics: str, resource: str = "leases") -> Counts:
    """apiserver_request_total of one resource, from the text of /metrics."""
    counts: Counts = Counter()
    for row in metrics.splitlines():
        if row.startswith("apiserver_request_total{") and f'resource="{resource}"' in row:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', row))
            counts[labels["verb"], labels["code"]] += int(float(row.rpartition(" ")[2]))
    return counts


def until(what: str, holds: Callable[[], bool]) -> None:
    """Looks every 50 ms; raises TimeoutError."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {WITHIN_S:.0f} s in vain for {what}")
        time.sleep(0.05)
