"""The command lines of the control plane: pure, so that a table can be their test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.cluster.addresses import PODS, SERVICES
from dev.cluster.options import Options

API_SERVERS = {"kube-apiserver": 1, "kube-apiserver-2": 2}
"""The second is not started by `up`: tests of a frozen or lost API server start it."""


@dataclass(frozen=True)
class Site:
    """Where a control plane runs: its directory, its addresses and ports."""

    run: Path
    hyperkube: Path
    api_addresses: tuple[str, ...]
    api_port: int
    etcd_port: int
    nodes_follow: bool = True
    """False: only etcd, kube-apiserver and kube-controller-manager, on the loopback interface."""

    @property
    def pki(self) -> Path:
        return self.run / "pki"

    @property
    def url(self) -> str:
        """Of the first API server."""
        return f"https://{self.api_addresses[0]}:{self.api_port}"

    @property
    def etcd(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of the cluster's own programs."""
        return self.pki / f"{user}.kubeconfig"


def hyperkube(site: Site, program: str, **flags: object) -> list[str]:
    """A command line; flags without a value in this setting are left out."""
    words = [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in flags.items()
        if value != ""
    ]
    return [str(site.hyperkube), program, *words]


def etcd(site: Site) -> list[str]:
    """One member. It does not sync to disk: what a crash of the machine loses is a test's."""
    peer = f"http://127.0.0.1:{site.etcd_port + 1}"
    return hyperkube(
        site,
        "etcd",
        name="etcd",
        data_dir=site.run / "etcd",
        unsafe_no_fsync=True,
        log_level="warn",
        listen_client_urls=site.etcd,
        advertise_client_urls=site.etcd,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"etcd={peer}",
    )


def api_server(site: Site, options: Options, number: int = 1) -> list[str]:
    """An API server: Node and RBAC authorization, real ServiceAccount tokens."""
    address = site.api_addresses[number - 1]
    return hyperkube(
        site,
        "kube-apiserver",
        etcd_servers=site.etcd,
        bind_address=address,
        advertise_address=address,
        secure_port=site.api_port,
        # the loopback address cannot be an endpoint of a Service
        endpoint_reconciler_type="" if site.nodes_follow else "none",
        tls_cert_file=site.pki / "apiserver.crt",
        tls_private_key_file=site.pki / "apiserver.key",
        client_ca_file=site.pki / "ca.crt",
        kubelet_client_certificate=site.pki / "kubelet-client.crt",
        kubelet_client_key=site.pki / "kubelet-client.key",
        kubelet_preferred_address_types="InternalIP",
        token_auth_file=site.pki / "tokens.csv",
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        service_cluster_ip_range=SERVICES,
        service_account_issuer="https://kubernetes.default.svc",
        service_account_key_file=site.pki / "service-accounts.pub",
        service_account_signing_key_file=site.pki / "service-accounts.key",
        allow_privileged=True,
        feature_gates=options.feature_gates,
        audit_policy_file=site.pki / "audit.yaml" if options.audit else "",
        audit_log_path=site.run / "logs" / "audit.log" if options.audit else "",
    )


def controller_manager(site: Site) -> list[str]:
    """Finds a lost node after 8 s instead of 40, so that tests need not wait."""
    return hyperkube(
        site,
        "kube-controller-manager",
        kubeconfig=site.kubeconfig("kube-controller-manager"),
        service_account_private_key_file=site.pki / "service-accounts.key",
        root_ca_file=site.pki / "ca.crt",
        use_service_account_credentials=True,
        leader_elect=False,
        cluster_cidr=PODS,
        bind_address="127.0.0.1",
        secure_port="" if site.nodes_follow else 0,
        node_monitor_grace_period="8s",
        node_monitor_period="2s",
    )


def scheduler(site: Site) -> list[str]:
    return hyperkube(
        site,
        "kube-scheduler",
        kubeconfig=site.kubeconfig("kube-scheduler"),
        leader_elect=False,
        bind_address="127.0.0.1",
    )
