"""Notations that mean the same have one normal form, and all others have another."""

from __future__ import annotations

import copy
import inspect
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import worker

from elasticjob.controller.observe import pod_defaults
from elasticjob.controller.observe.normal_form import pod_spec
from elasticjob.wire.codec import Json

LATEST = {"image": "registry:5000/team/train"}
DIGEST = {"image": "registry:5000/team/train@sha256:00"}


def pod(fields: Json | None = None, /, **container: Any) -> Json:
    """The spec of a pod with these fields and one container with those."""
    return {"containers": [worker(**container)], **(fields or {})}


def limits(**amounts: Any) -> Json:
    return {"resources": {"limits": amounts}}


def claim(**spec: Any) -> Json:
    return pod({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}]})


def volume(**source: Any) -> Json:
    return pod({"volumes": [{"name": "v", **source}]})


def term(**fields: Any) -> Json:
    terms = [{"topologyKey": "zone", **fields}]
    return pod(
        {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}
    )


SAME: list[tuple[str, Json, Json]] = [
    ("order of keys", pod(), {"containers": [dict(reversed(worker().items()))]}),
    ("cores", pod(**limits(cpu="1000m")), pod(**limits(cpu="1"))),
    ("cores as a number", pod(**limits(cpu=1)), pod(**limits(cpu="1"))),
    ("cores as a fraction", pod(**limits(cpu=0.5)), pod(**limits(cpu="500m"))),
    ("memory", pod(**limits(memory="1024Mi")), pod(**limits(memory="1Gi"))),
    ("memory with an exponent", pod(**limits(memory="1e9")), pod(**limits(memory="1G"))),
    ("less than a billionth", pod(**limits(cpu="0.0000000001")), pod(**limits(cpu="1n"))),
    ("size of a directory", volume(emptyDir={"sizeLimit": "1024Mi"}),
     volume(emptyDir={"sizeLimit": "1Gi"})),
    ("resources of an init container", pod({"initContainers": [{"name": "i", **limits(cpu="2")}]}),
     pod({"initContainers": [{"name": "i", **limits(cpu="2000m")}]})),
    ("resources of the pod", pod(limits(cpu="2")), pod(limits(cpu="2000m"))),
    ("overhead", pod({"overhead": {"cpu": "1"}}), pod({"overhead": {"cpu": "1000m"}})),
    ("a claim", claim(resources={"requests": {"storage": "1Gi"}}),
     claim(resources={"requests": {"storage": "1024Mi"}}, volumeMode="Filesystem")),
    ("a request of its limit", pod(**limits(cpu="1")),
     pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1000m"}})),
    ("empty lists", pod(), pod({"volumes": [], "tolerations": []}, env=[], args=[], ports=[])),
    ("empty objects", pod(), pod({"securityContext": {}, "affinity": {"podAffinity": {}}},
                                 resources={"limits": {}}, securityContext={})),
    ("nulls", pod(), pod({"priorityClassName": None}, env=None, resources=None)),
    ("an empty value", pod(env=[{"name": "A"}]), pod(env=[{"name": "A", "value": ""}])),
    ("defaults of a pod", pod(),
     pod({"restartPolicy": "Never", "dnsPolicy": "ClusterFirst", "hostNetwork": False,
          "schedulerName": "default-scheduler", "enableServiceLinks": True,
          "automountServiceAccountToken": False})),
    ("defaults of a container", pod(),
     pod(terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File",
         imagePullPolicy="IfNotPresent", tty=False,
         resizePolicy=[{"resourceName": "cpu", "restartPolicy": "NotRequired"}])),
    ("pull policy without a tag", pod(**LATEST), pod(**LATEST, imagePullPolicy="Always")),
    ("pull policy with a digest", pod(**DIGEST), pod(**DIGEST, imagePullPolicy="IfNotPresent")),
    ("protocol", pod(ports=[{"containerPort": 80}]),
     pod(ports=[{"containerPort": 80, "protocol": "TCP"}])),
    ("port of the node", pod({"hostNetwork": True}, ports=[{"containerPort": 80}]),
     pod({"hostNetwork": True}, ports=[{"containerPort": 80, "hostPort": 80}])),
    ("a field of the pod", pod(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]),
     pod(env=[{"name": "A",
               "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "x"}}}])),
    ("mounts", pod(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
     pod(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": False, "subPath": ""}])),
    ("a probe", pod(livenessProbe={"httpGet": {"port": 80}}),
     pod(livenessProbe={"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                        "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3})),
    ("mode of files", volume(configMap={"name": "c"}),
     volume(configMap={"name": "c", "defaultMode": 420, "optional": False})),
    ("a volume without a source", volume(), volume(emptyDir={})),
    ("a whole number", pod({"priority": 5.0}), pod({"priority": 5})),
    ("a toleration", pod({"tolerations": [{"key": "gpu", "value": "a"}]}),
     pod({"tolerations": [{"key": "gpu", "operator": "Equal", "value": "a"}]})),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [c[1:] for c in SAME], ids=[c[0] for c in SAME])
def test_notations_of_the_same_meaning(one: Json, other: Json) -> None:
    assert pod_spec(one) == pod_spec(other)


OTHER: list[tuple[str, Json, Json]] = [
    ("cores", pod(**limits(cpu="1")), pod(**limits(cpu="100m"))),
    ("binary and decimal", pod(**limits(memory="1Gi")), pod(**limits(memory="1G"))),
    ("a request below its limit", pod(**limits(cpu="1")),
     pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}})),
    ("a request of nothing", pod(**limits(cpu="1")),
     pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "0"}})),
    ("order of variables", pod(env=[{"name": "A"}, {"name": "B"}]),
     pod(env=[{"name": "B"}, {"name": "A"}])),
    ("order of arguments", pod(args=["a", "b"]), pod(args=["b", "a"])),
    ("an empty argument", pod(args=["a"]), pod(args=["a", ""])),
    ("a text and a number", pod(args=["1"]), pod(args=["01"])),
    ("pull policy", pod(**LATEST), pod(**LATEST, imagePullPolicy="IfNotPresent")),
    ("pull policy of a tag", pod(), pod(imagePullPolicy="Always")),
    ("privileges", pod(), pod(securityContext={"allowPrivilegeEscalation": False})),
    ("a user other than root", pod(), pod(securityContext={"runAsNonRoot": False})),
    ("no links of services", pod(), pod({"enableServiceLinks": False})),
    ("a token", pod(), pod({"automountServiceAccountToken": True})),
    ("a port of the node", pod(ports=[{"containerPort": 80}]),
     pod(ports=[{"containerPort": 80, "hostPort": 80}])),
    ("a selector of all pods", term(), term(labelSelector={})),
    ("a selector of all namespaces", term(), term(namespaceSelector={})),
    ("no storage class", claim(), claim(storageClassName="")),
    ("an empty source", volume(), volume(projected={})),
    ("mode of files", volume(configMap={"name": "c"}),
     volume(configMap={"name": "c", "defaultMode": 0o400})),
    ("a label of nodes", pod({"nodeSelector": {"gpu": ""}}), pod({"nodeSelector": {}})),
    ("a value that reads as a default", pod({"nodeSelector": {"protocol": "TCP"}}), pod()),
    ("a quantity that is too long", pod(**limits(cpu="1" * 50)), pod(**limits(cpu="1" * 51))),
    ("a large exponent", pod(**limits(cpu="1e999")), pod(**limits(cpu="1e998"))),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [c[1:] for c in OTHER], ids=[c[0] for c in OTHER])
def test_notations_of_another_meaning(one: Json, other: Json) -> None:
    assert pod_spec(one) != pod_spec(other)


def test_a_normal_form_is_its_own_and_leaves_the_spec_as_it_is() -> None:
    for name, *specs in (*SAME, *OTHER):
        for spec in specs:
            before = copy.deepcopy(spec)
            found = pod_spec(spec)
            assert spec == before, name
            assert pod_spec(found) == found, name


WORDS = sorted(
    set(re.findall(r'"([a-zA-Z]{3,})":', inspect.getsource(pod_defaults))) | {"limits", "requests"}
)
LEAVES = st.sampled_from([None, True, 0, 1.5, "", "x", "1Gi", "NotRequired", [], {}])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6), VALUES, VALUES)
def test_a_spec_that_no_api_server_accepts_has_a_normal_form(
    spec: Json, one: Any, other: Any
) -> None:
    """The CRD checks few fields of a pod."""
    resources = {"limits": one, "requests": other}
    container = worker(resources=resources, resizePolicy=one, ports=other, image=one)
    wrong = {"hostNetwork": True, "containers": [container], "initContainers": one}
    json.dumps(pod_spec({**spec, **wrong}), allow_nan=False)
