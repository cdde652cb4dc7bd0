"""The API server: its parts, its initial objects, and its HTTPS endpoint on loopback."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml

from elasticjob.local.api.access import Access
from elasticjob.local.api.connections import HttpServer, Limits
from elasticjob.local.api.faults import Faults
from elasticjob.local.api.handler import Handler
from elasticjob.local.api.kinds import jobs, pods, validation
from elasticjob.local.api.kinds.accounts import ServiceAccounts
from elasticjob.local.api.kinds.definitions import Definitions
from elasticjob.local.api.objects.builtins import BUILTINS, CLUSTERROLES, CRDS, NAMESPACES
from elasticjob.local.api.objects.collector import Collector
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Admission, Store
from elasticjob.local.api.verbs import LogSource, Verbs
from elasticjob.local.api.watch import Watches
from elasticjob.local.directories import own_directory
from elasticjob.wire.names import AGENT_CLUSTER_ROLE

HOST = "127.0.0.1"
DEFAULT_LIMITS = Limits()
INITIAL_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
AGENT_ROLE: Object = {
    "metadata": {"name": AGENT_CLUSTER_ROLE},
    "rules": [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["create", "get", "list", "patch", "watch"],
        }
    ],
}
"""The ClusterRole that the Helm chart installs on a cluster."""


@dataclass(frozen=True)
class RunningServer:
    """A server that serves, with its parts and the files that clients need."""

    url: str
    ca_file: Path
    kubeconfig: Path
    operator_kubeconfig: Path
    store: Store
    access: Access
    watches: Watches
    faults: Faults
    verbs: Verbs

    @property
    def token(self) -> str:
        """The user's bearer token, as in `kubeconfig`."""
        return self.access.admin_token

    @property
    def operator_token(self) -> str:
        """The operator's bearer token, as in `operator_kubeconfig`."""
        return self.access.operator_token

    def mint(self, namespace: str, service_account: str, pod_name: str, pod_uid: str) -> str | None:
        """Issue a token for the projected volume of a pod; None without the account."""
        return self.access.mint(namespace, service_account, pod_name, pod_uid)

    def serve_logs(self, source: LogSource) -> None:
        """Serve `/log` of pods from this source."""
        self.verbs.logs = source


@asynccontextmanager
async def serve(
    root: Path,
    *,
    port: int = 0,
    faults: Faults | None = None,
    definitions: Iterable[Object] | None = None,
    admission: Sequence[Admission] | None = None,
    watch_list: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[RunningServer]:
    """Serve until the context ends. Objects are in memory; `root` gets the CA and kubeconfigs.

    `definitions` and `admission` replace those of ElasticJob. Without `watch_list`, the server
    refuses `sendInitialEvents`, as servers before 1.34 do.
    """
    authority, loop = trustme.CA(organization_name="ElasticJob local"), asyncio.get_running_loop()
    ca = authority.cert_pem.bytes()
    store = new_store(ca.decode(), jobs.admission() if admission is None else admission)
    access, watches, faults = Access(store), Watches(store), faults or Faults()
    Collector(store, loop.call_soon)
    preload(store, jobs.definitions() if definitions is None else definitions)
    verbs = Verbs(store, watches, watch_list=watch_list)
    http = HttpServer(Handler(verbs, access, faults, limits.time_s), limits)
    listener = await loop.create_server(
        http,
        HOST,
        port,
        backlog=128,
        ssl=_tls_context(authority),
        ssl_handshake_timeout=limits.time_s,
    )
    try:
        url = f"https://{HOST}:{listener.sockets[0].getsockname()[1]}"
        files = _write_files(root, url, ca, access)
        yield RunningServer(url, *files, store, access, watches, faults, verbs)
    finally:
        listener.close()
        await http.abort()
        await http.shutdown(timeout=1)


def new_store(ca: str, admission: Sequence[Admission]) -> Store:
    """A store with its admission and its controllers, in the order of a real server."""
    store = Store(BUILTINS)
    store.admission += [pods.admit, validation.admit]
    Definitions(store)
    ServiceAccounts(store, ca)
    store.admission += admission
    return store


def preload(store: Store, definitions: Iterable[Object]) -> None:
    """Create the initial objects. kopf exits if it watches a resource that is not defined."""
    for name in INITIAL_NAMESPACES:
        store.create(NAMESPACES, "", {"metadata": {"name": name}})
    store.create(CLUSTERROLES, "", AGENT_ROLE)
    for definition in definitions:
        store.create(CRDS, "", definition)


def kubeconfig(url: str, ca: bytes, token: str) -> bytes:
    """A kubeconfig that contains the CA and the token."""
    name = "elasticjob-local"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": url,
                        "certificate-authority-data": base64.b64encode(ca).decode(),
                    },
                }
            ],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}
            ],
        }
    ).encode()


def _tls_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = (HOST, "localhost", "kubernetes.default.svc")
    authority.issue_cert(*names).configure_cert(context)
    return context


def _write_files(root: Path, url: str, ca: bytes, access: Access) -> tuple[Path, Path, Path]:
    root = own_directory(root)
    return (
        _write_private(root / "ca.crt", ca),
        _write_private(root / "kubeconfig", kubeconfig(url, ca, access.admin_token)),
        _write_private(root / "operator.kubeconfig", kubeconfig(url, ca, access.operator_token)),
    )


def _write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read: its token permits to run programs as the owner."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path
