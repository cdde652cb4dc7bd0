"""The configuration files of a node's programs, as pure functions."""

from __future__ import annotations

import json
from typing import Any

from dev.cluster.addresses import DOMAIN, PODS, Lan, pods_of

PAUSE = "localhost/elasticjob/pause:dev"
DISABLED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.tracing.processor.v1.otlp",
)


def cni(number: int) -> dict[str, Any]:
    """Configure the pod network of a node: a bridge, the node's address range, host ports."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": pods_of(number)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def containerd(runc: str, plugins: str) -> str:
    """Configure containerd with overlayfs and runc.

    restrict_oom_score_adj: root in a container or a sandbox may lack CAP_SYS_RESOURCE, and without
    it no pod starts ("can't get final child's PID from pipe: EOF").
    """
    return f"""\
version = 2
disabled_plugins = {json.dumps(list(DISABLED))}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/run/node/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "{runc}"
"""


def kubelet(cgroup: str, lan: Lan) -> dict[str, Any]:
    """Configure a kubelet that lets the API server authorize its clients, and keeps every image.

    Eviction by disk is off: a kubelet in a mount namespace does not find its file system's device.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/run/node/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "clusterDNS": [lan.dns],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "enforceNodeAllocatable": ["pods"],
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "nodeLeaseDurationSeconds": 8,
        "nodeStatusUpdateFrequency": "5s",
        # A disconnected kubelet must report soon after it is connected again.
        "nodeStatusReportFrequency": "15s",
        "resolvConf": "/run/node/resolv.conf",
        "serializeImagePulls": False,
        "volumePluginDir": "/run/volume-plugins",
    }


def kube_proxy(node: str) -> dict[str, Any]:
    """Configure Services by iptables, without changing the machine's connection tracking."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": "/run/node/kube-proxy.kubeconfig"},
        "clusterCIDR": PODS,
        "hostnameOverride": node,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
    }
