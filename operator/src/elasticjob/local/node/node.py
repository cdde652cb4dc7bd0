"""The one node: what it is called and what it says of itself."""

from __future__ import annotations

import os
import platform

from elasticjob.local.api.objects.resource import Object

NAME = "local"
HOST_IP = "127.0.0.1"
VERSION = "elasticjob-local"
"""In the place of a kubelet's version, so that nobody takes this for one."""


def node() -> Object:
    """The Node object, without its status."""
    labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux"}
    return {"metadata": {"name": NAME, "labels": labels}}


def status(max_pods: int, ready: Object) -> Object:
    """Its status; `ready` is the one condition."""
    room = {"cpu": str(os.cpu_count() or 1), "pods": str(max_pods)}
    return {
        "addresses": [
            {"type": "InternalIP", "address": HOST_IP},
            {"type": "Hostname", "address": NAME},
        ],
        "capacity": room,
        "allocatable": room,
        "conditions": [ready],
        "nodeInfo": {
            "architecture": platform.machine(),
            "containerRuntimeVersion": "process://none",
            "kernelVersion": platform.release(),
            "kubeletVersion": VERSION,
            "operatingSystem": "linux",
            "osImage": "this machine",
        },
    }


def ready(now: str) -> Object:
    """The node reports."""
    return {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "pods run as processes of this machine",
        "lastTransitionTime": now,
    }


def unknown(now: str) -> Object:
    """What a cluster says of a node that has stopped to report."""
    return {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastTransitionTime": now,
    }
