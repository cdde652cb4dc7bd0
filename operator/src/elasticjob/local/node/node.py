"""The Node object of the local node and its status."""

from __future__ import annotations

import os
import platform

from elasticjob.local.api.objects.resource import Object

NAME = "local"
HOST_IP = "127.0.0.1"
VERSION = "elasticjob-local"
"""The kubeletVersion, which shows that this is no kubelet of Kubernetes."""


def node() -> Object:
    """The Node object, without its status."""
    labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux"}
    return {"metadata": {"name": NAME, "labels": labels}}


def status(max_pods: int, ready: Object) -> Object:
    """The status of the node with its only condition, Ready."""
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


def ready_condition(now: str) -> Object:
    """The condition Ready of a node that reports."""
    return {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "pods run as processes of this machine",
        "lastTransitionTime": now,
    }


def unknown_condition(now: str) -> Object:
    """The condition Ready of a node that has stopped reporting."""
    return {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastTransitionTime": now,
    }
