"""What the API server adds to a pod changes nothing in its normal form."""

from __future__ import annotations

from typing import Any

from dev.kube_client import Client

from elasticjob.controller.observe.normal_form import pod_spec

REF = {"fieldRef": {"fieldPath": "metadata.name"}}
PROBE = {"httpGet": {"port": 80}}
LIMIT = {"resourceFieldRef": {"containerName": "a", "resource": "limits.cpu"}}
SPEC: dict[str, Any] = {
    "restartPolicy": "Never",
    "automountServiceAccountToken": False,
    "tolerations": [{"key": "a", "operator": "Equal", "value": "b"}],
    "nodeSelector": {"a": ""},
    "hostNetwork": True,
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {}}
            ]
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "initContainers": [
        {
            "name": "i",
            "image": "i@sha256:" + "0" * 64,
            "command": ["true"],
        }
    ],
    "containers": [
        {
            "name": "a",
            "image": "registry:5000/team/train",
            "command": ["true"],
            "env": [
                {"name": "A", "value": ""},
                {"name": "B", "valueFrom": REF},
                {"name": "C", "valueFrom": LIMIT},
            ],
            "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
            "livenessProbe": PROBE,
            "startupProbe": PROBE,
            "lifecycle": {"preStop": PROBE},
            "volumeMounts": [{"name": "v0", "mountPath": "/v"}],
            "securityContext": {},
        },
        {
            "name": "b",
            "image": "i:1",
            "command": ["true"],
            "resources": {"requests": {"cpu": 0.5}, "limits": {"cpu": "1", "memory": "1e3"}},
        },
    ],
}
SOURCES: list[dict[str, Any]] = [
    {},
    {"emptyDir": {"sizeLimit": "1024Mi"}},
    {"configMap": {"name": "c"}},
    {"secret": {"secretName": "s"}},
    {"downwardAPI": {"items": [{"path": "p", **REF}]}},
    {
        "projected": {
            "sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "c"}}]
        }
    },
    {"hostPath": {"path": "/p"}},
    {"persistentVolumeClaim": {"claimName": "c"}},
    {"nfs": {"server": "s", "path": "/p"}},
    {"iscsi": {"targetPortal": "1.2.3.4", "iqn": "iqn.2015-02.example.com:t", "lun": 0}},
    {"rbd": {"monitors": ["m"], "image": "i"}},
    {"azureDisk": {"diskName": "d", "diskURI": "https://blob/d.vhd"}},
    {
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1024Mi"}},
                }
            }
        }
    },
]
# Admission plugins add these, which depend on the cluster.
ADDED = {"serviceAccountName", "serviceAccount", "priority", "preemptionPolicy", "nodeName"}


def test_a_pod_has_the_normal_form_of_what_was_written(api: Client, pods: str) -> None:
    volumes = [{"name": f"v{n}", **source} for n, source in enumerate(SOURCES)]
    spec = {**SPEC, "volumes": volumes}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    reply = api.post(pods, body)
    assert reply.code == 201, reply.body
    stored = {key: value for key, value in reply.body["spec"].items() if key not in ADDED}
    own = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    stored["tolerations"] = [each for each in stored["tolerations"] if each["key"] not in own]
    stored.pop("terminationGracePeriodSeconds", None)  # the template's part of it is not the spec's
    assert pod_spec(stored) == pod_spec(spec)
