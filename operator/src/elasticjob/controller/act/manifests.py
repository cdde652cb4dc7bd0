"""What the operator creates for a job, as pure functions of the job: pods, account, agent.

A pod is the template with the agent in place of the worker container's command. Only that container
is changed, and nothing of what the user wrote in it is lost: the command goes to the agent, the
rest stays. What is added fits a read-only root file system, a user other than root, and the
`restricted` pod security level. Every job given here has passed the rules of the api package.

No owner reference here blocks the owner's deletion: OpenShift lets nobody set that who may not
write the owner's finalizers.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

from elasticjob.api.reserved import AGENT_DIRECTORY, TOKEN_DIRECTORY, VOLUME_PREFIX, WORK_DIRECTORY
from elasticjob.api.rules import worker_container
from elasticjob.controller.act.bundle import FILE_NAME, Bundle
from elasticjob.controller.observe.template import pod_grace_s, template_account, template_hash
from elasticjob.wire import names

Json = dict[str, Any]

# How much longer a pod's grace is than its workers': time for the agent to kill what is left of
# them, reap it, and say how it ended.

_AGENT_VOLUME = f"{VOLUME_PREFIX}agent"
_WORK_VOLUME = f"{VOLUME_PREFIX}work"
_TOKEN_VOLUME = f"{VOLUME_PREFIX}token"
# Kubernetes' own number, an hour and seven seconds: by default the API server makes tokens of just
# this length valid for a year, so an agent survives a kubelet that cannot renew its token
# (service-account-extend-token-expiration).
_TOKEN_SECONDS = 3607
_MANAGED = {
    "app.kubernetes.io/name": "elasticjob-agent",
    "app.kubernetes.io/managed-by": "elasticjob",
}
AGENT_SELECTOR = ",".join(f"{label}={value}" for label, value in _MANAGED.items())
"""Selects the ConfigMaps that hold agents."""


def pod(job: Json, index: int, generation: int, agent_hash: str) -> Json:
    """The pod of one index and generation, running the agent of this hash."""
    spec: Json = copy.deepcopy(job["spec"]["template"]["spec"])
    name = names.pod_name(job["metadata"]["name"], index, generation)
    env = _identity(job, name, index, generation)
    worker = worker_container(job["spec"])
    spec["containers"] = [
        _with_agent(container, env, bool(spec.get("hostNetwork")))
        if container["name"] == worker
        else container
        for container in spec["containers"]
    ]
    spec["volumes"] = [*spec.get("volumes", []), *_volumes(agent_hash)]
    spec["restartPolicy"] = "Never"
    spec["terminationGracePeriodSeconds"] = pod_grace_s(job)
    spec["serviceAccountName"] = account_name(job)
    spec.setdefault("automountServiceAccountToken", False)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _pod_metadata(job, name, index, generation),
        "spec": spec,
    }


def rights(job: Json) -> list[Json]:
    """What lets the job's agents use Leases, in order of creation: account, then its binding.

    An account that the template names exists already, and is bound only.
    """
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _owned_metadata(job),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": names.AGENT_CLUSTER_ROLE,
        },
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": account_name(job),
                "namespace": job["metadata"]["namespace"],
            }
        ],
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _owned_metadata(job),
        "automountServiceAccountToken": False,
    }
    return [binding] if template_account(job) else [account, binding]


def account_name(job: Json) -> str:
    """The account that the job's pods run as: the template's, or one of the job's own."""
    return template_account(job) or names.service_account_name(job["metadata"]["name"])


def agent_config_map(namespace: str, bundle: Bundle) -> Json:
    """The agent for the pods of a namespace. No job owns it: all jobs of this agent share it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": agent_config_map_name(bundle.hash),
            "namespace": namespace,
            "labels": dict(_MANAGED),
        },
        "immutable": True,
        "binaryData": {FILE_NAME: base64.b64encode(bundle.data).decode("ascii")},
    }


def agent_config_map_name(agent_hash: str) -> str:
    """Name of the ConfigMap that holds the agent of this hash."""
    return f"{_AGENT_VOLUME}-{agent_hash}"


# ---- the pod -------------------------------------------------------------------------------------


def _pod_metadata(job: Json, name: str, index: int, generation: int) -> Json:
    meta = job["spec"]["template"].get("metadata") or {}
    labels = {
        **_job_labels(job),
        names.LABEL_INDEX: str(index),
        names.LABEL_GENERATION: str(generation),
    }
    return {
        "name": name,
        "namespace": job["metadata"]["namespace"],
        "labels": {**(meta.get("labels") or {}), **labels},
        "annotations": {
            **(meta.get("annotations") or {}),
            names.ANNOTATION_TEMPLATE_HASH: template_hash(job),
        },
        "ownerReferences": [_owner(job)],
    }


def _with_agent(container: Json, identity: list[Json], host_network: bool) -> Json:
    """The worker container with the agent as its process. `args` still follow the command."""
    log = container.get("terminationMessagePath", "/dev/termination-log")
    env = [*identity, _value("ELASTICJOB_TERMINATION_LOG", log)]
    if host_network:
        env.append(_value("ELASTICJOB_HOST_NETWORK", "1"))
    python = ["python3", "-I", "-S", f"{AGENT_DIRECTORY}/{FILE_NAME}", "--"]
    return {
        **container,
        "command": [*python, *container["command"]],
        # Ours first, so that the user's values may refer to them: $(ELASTICJOB_INDEX).
        "env": [*env, *container.get("env", [])],
        "volumeMounts": [*container.get("volumeMounts", []), *_mounts()],
    }


def _identity(job: Json, name: str, index: int, generation: int) -> list[Json]:
    """Who the agent is, and where its files are."""
    meta = job["metadata"]
    return [
        _value("ELASTICJOB_NAMESPACE", meta["namespace"]),
        _value("ELASTICJOB_NAME", meta["name"]),
        _value("ELASTICJOB_UID", meta["uid"]),
        _value("ELASTICJOB_POD_NAME", name),
        _field("ELASTICJOB_POD_UID", "metadata.uid"),
        _field("ELASTICJOB_POD_IP", "status.podIP"),
        _field("ELASTICJOB_NODE_NAME", "spec.nodeName"),
        _value("ELASTICJOB_INDEX", str(index)),
        _value("ELASTICJOB_GENERATION", str(generation)),
        _value("ELASTICJOB_NPROC", str(job["spec"]["nprocPerNode"])),
        _value("ELASTICJOB_DIR", WORK_DIRECTORY),
        _value("ELASTICJOB_TOKEN_DIR", TOKEN_DIRECTORY),
    ]


def _value(name: str, value: str) -> Json:
    return {"name": name, "value": value}


def _field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _mounts() -> list[Json]:
    return [
        {"name": _AGENT_VOLUME, "mountPath": AGENT_DIRECTORY, "readOnly": True},
        {"name": _WORK_VOLUME, "mountPath": WORK_DIRECTORY},
        {"name": _TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True},
    ]


def _volumes(agent_hash: str) -> list[Json]:
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}}
    ca = {
        "configMap": {
            "name": "kube-root-ca.crt",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
    }
    return [
        {"name": _AGENT_VOLUME, "configMap": {"name": agent_config_map_name(agent_hash)}},
        {"name": _WORK_VOLUME, "emptyDir": {}},
        {"name": _TOKEN_VOLUME, "projected": {"sources": [token, ca]}},
    ]


# ---- what all have in common ---------------------------------------------------------------------


def _owned_metadata(job: Json) -> Json:
    return {
        "name": names.service_account_name(job["metadata"]["name"]),
        "namespace": job["metadata"]["namespace"],
        "labels": _job_labels(job),
        "ownerReferences": [_owner(job)],
    }


def _job_labels(job: Json) -> dict[str, str]:
    meta = job["metadata"]
    return {names.LABEL_JOB: meta["name"], names.LABEL_JOB_UID: meta["uid"]}


def _owner(job: Json) -> Json:
    meta = job["metadata"]
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
