"""The objects that the operator creates for a job, as pure functions: pods, account, agent.

A pod is the template with the agent in place of the worker container's command. This container
keeps all that the user wrote in it: the agent receives the command as arguments. The others do not
change, but the kubelet reports the end of the log of an init container that fails.
The additions work with a read-only root file system, a user other than root, and the `restricted`
level of pod security. Every job has passed the rules of the api package.

No owner reference blocks the deletion of its owner: OpenShift allows this only to accounts that may
write the owner's finalizers.
"""

from __future__ import annotations

import base64
import copy

from elasticjob.api.reserved import AGENT_DIRECTORY, TOKEN_DIRECTORY, VOLUME_PREFIX, WORK_DIRECTORY
from elasticjob.api.rules import worker_container
from elasticjob.controller.act import launcher
from elasticjob.controller.act.bundle import FILE_NAME, Bundle
from elasticjob.controller.observe.pod_defaults import MESSAGE_POLICY
from elasticjob.controller.observe.template import (
    pod_grace_s,
    template_account,
    template_fields,
    template_hash,
)
from elasticjob.wire import names
from elasticjob.wire.codec import Json

_AGENT_VOLUME = f"{VOLUME_PREFIX}agent"
_NAME_DIGITS = 10  # of the hash, in the name of the ConfigMap
_WORK_VOLUME = f"{VOLUME_PREFIX}work"
_TOKEN_VOLUME = f"{VOLUME_PREFIX}token"
# The value of Kubernetes, an hour and seven seconds: by default the API server extends tokens of
# exactly this length to a year, so that an agent works on if the kubelet cannot renew its token
# (service-account-extend-token-expiration).
_TOKEN_SECONDS = 3607
_MANAGED = {
    "app.kubernetes.io/name": "elasticjob-agent",
    "app.kubernetes.io/managed-by": "elasticjob",
}
AGENT_SELECTOR = ",".join(f"{label}={value}" for label, value in _MANAGED.items())
"""Selects the ConfigMaps that contain agents."""


def pod(job: Json, index: int, generation: int, agent_hash: str) -> Json:
    """The pod of one index and generation, running the agent of this hash."""
    spec: Json = copy.deepcopy(job["spec"]["template"]["spec"])
    name = names.pod_name(job["metadata"]["name"], index, generation)
    env = _identity(job, name, index, generation)
    worker = worker_container(job["spec"])
    spec["containers"] = [
        _with_agent(container, agent_hash, env, bool(spec.get("hostNetwork")))
        if container["name"] == worker
        else container
        for container in spec["containers"]
    ]
    if isinstance(inits := spec.get("initContainers"), list):  # the CRD does not check them
        spec["initContainers"] = [_with_policy(x) if isinstance(x, dict) else x for x in inits]
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
    """The account of the job's agents and its RoleBinding for Leases, in order of creation.

    An account that the template names exists already, and is only bound.
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
    """The account that the job's pods run as: the template's, or one for this job."""
    return template_account(job) or names.service_account_name(job["metadata"]["name"])


def agent_config_map(namespace: str, bundle: Bundle) -> Json:
    """The ConfigMap with the agent for a namespace. No job owns it, as jobs share it."""
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
    """The name of the ConfigMap that contains the agent of this hash."""
    return f"{_AGENT_VOLUME}-{agent_hash[:_NAME_DIGITS]}"


def is_agent_config_map_name(name: str) -> bool:
    """Whether a ConfigMap has the name of one that contains an agent. Labels do not show it, as
    another client may have written them."""
    return name.startswith(f"{_AGENT_VOLUME}-")


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
            names.ANNOTATION_TEMPLATE_FIELDS: template_fields(job),
        },
        "ownerReferences": [_owner(job)],
    }


def _with_agent(container: Json, agent_hash: str, identity: list[Json], host_network: bool) -> Json:
    """The worker container with the agent as its process; `args` follow the command as before."""
    log = container.get("terminationMessagePath") or "/dev/termination-log"
    env = [*identity, _value("ELASTICJOB_TERMINATION_LOG", log)]
    if host_network:
        env.append(_value("ELASTICJOB_HOST_NETWORK", "1"))
    agent = launcher.command(f"{AGENT_DIRECTORY}/{FILE_NAME}", agent_hash)
    return {
        **_with_policy(container),
        "command": [*agent, *container["command"]],
        # Before the user's, whose values may refer to them: $(ELASTICJOB_INDEX).
        "env": [*env, *container.get("env", [])],
        "volumeMounts": [*container.get("volumeMounts", []), *_mounts()],
    }


def _with_policy(container: Json) -> Json:
    """The container whose kubelet puts the end of the log into the pod's status when it fails,
    unless the template has another policy.

    Of an init container, and of an agent that could not start, this is the only cause there is: a
    bucket that does not exist, an image whose loader fails, arguments that are too long.
    """
    policy = container.get("terminationMessagePolicy") or MESSAGE_POLICY
    return {**container, "terminationMessagePolicy": policy}


def _identity(job: Json, name: str, index: int, generation: int) -> list[Json]:
    """The variables that identify the agent and locate its files."""
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
    ca = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return [
        {"name": _AGENT_VOLUME, "configMap": {"name": agent_config_map_name(agent_hash)}},
        {"name": _WORK_VOLUME, "emptyDir": {}},
        {"name": _TOKEN_VOLUME, "projected": {"sources": [token, ca]}},
    ]


# ---- common parts --------------------------------------------------------------------------------


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
