"""The command lines of the control plane, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.cluster.addresses import PODS, SERVICES
from dev.cluster.options import Options

API_SERVERS = {"kube-apiserver": 1, "kube-apiserver-2": 2}
"""The second is not started by `up`: tests of a frozen or lost API server start it."""


@dataclass(frozen=True)
class Placement:
    """The directory, addresses and ports of a control plane."""

    run: Path
    hyperkube: Path
    api_addresses: tuple[str, ...]
    api_port: int
    etcd_port: int
    has_nodes: bool = True
    """False: only etcd, kube-apiserver and kube-controller-manager, on the loopback interface."""

    @property
    def pki(self) -> Path:
        return self.run / "pki"

    @property
    def url(self) -> str:
        """The URL of the first API server."""
        return f"https://{self.api_addresses[0]}:{self.api_port}"

    @property
    def etcd(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of the cluster's own programs."""
        return self.pki / f"{user}.kubeconfig"


def hyperkube(placement: Placement, program: str, **flags: object) -> list[str]:
    """Return a command line of the hyperkube binary; flags with an empty value are left out."""
    words = [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in flags.items()
        if value != ""
    ]
    return [str(placement.hyperkube), program, *words]


def etcd(placement: Placement) -> list[str]:
    """Return the command line of one member that does not sync to disk."""
    peer = f"http://127.0.0.1:{placement.etcd_port + 1}"
    return hyperkube(
        placement,
        "etcd",
        name="etcd",
        data_dir=placement.run / "etcd",
        unsafe_no_fsync=True,
        log_level="warn",
        listen_client_urls=placement.etcd,
        advertise_client_urls=placement.etcd,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"etcd={peer}",
    )


def api_server(placement: Placement, options: Options, number: int = 1) -> list[str]:
    """Return the command line of an API server with Node and RBAC authorization."""
    address = placement.api_addresses[number - 1]
    return hyperkube(
        placement,
        "kube-apiserver",
        etcd_servers=placement.etcd,
        bind_address=address,
        advertise_address=address,
        secure_port=placement.api_port,
        # the loopback address cannot be an endpoint of a Service
        endpoint_reconciler_type="" if placement.has_nodes else "none",
        tls_cert_file=placement.pki / "apiserver.crt",
        tls_private_key_file=placement.pki / "apiserver.key",
        client_ca_file=placement.pki / "ca.crt",
        kubelet_client_certificate=placement.pki / "kubelet-client.crt",
        kubelet_client_key=placement.pki / "kubelet-client.key",
        kubelet_preferred_address_types="InternalIP",
        token_auth_file=placement.pki / "tokens.csv",
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        service_cluster_ip_range=SERVICES,
        service_account_issuer="https://kubernetes.default.svc",
        service_account_key_file=placement.pki / "service-accounts.pub",
        service_account_signing_key_file=placement.pki / "service-accounts.key",
        allow_privileged=True,
        feature_gates=options.feature_gates,
        audit_policy_file=placement.pki / "audit.yaml" if options.audit else "",
        audit_log_path=placement.run / "logs" / "audit.log" if options.audit else "",
    )


def controller_manager(placement: Placement) -> list[str]:
    """Return a command line that detects a lost node after 8 s instead of 40, for tests."""
    return hyperkube(
        placement,
        "kube-controller-manager",
        kubeconfig=placement.kubeconfig("kube-controller-manager"),
        service_account_private_key_file=placement.pki / "service-accounts.key",
        root_ca_file=placement.pki / "ca.crt",
        use_service_account_credentials=True,
        leader_elect=False,
        cluster_cidr=PODS,
        bind_address="127.0.0.1",
        secure_port="" if placement.has_nodes else 0,
        node_monitor_grace_period="8s",
        node_monitor_period="2s",
    )


def scheduler(placement: Placement) -> list[str]:
    return hyperkube(
        placement,
        "kube-scheduler",
        kubeconfig=placement.kubeconfig("kube-scheduler"),
        leader_elect=False,
        bind_address="127.0.0.1",
    )
