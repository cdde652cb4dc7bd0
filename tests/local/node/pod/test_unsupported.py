from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.node.pod.unsupported import UnsupportedError, ignored, refuse


def pod(*declared: dict[str, Any], **container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "worker", **container}], "volumes": list(declared)}
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


def test_what_a_pod_of_ours_uses_is_not_refused() -> None:
    token = {"serviceAccountToken": {"path": "token"}}
    refuse(
        pod(
            {"name": "work", "emptyDir": {}},
            {"name": "code", "configMap": {"name": "code"}},
            {"name": "token", "projected": {"sources": [token, {"configMap": {"name": "ca"}}]}},
            volumeMounts=[{"name": "work", "mountPath": "/work", "subPath": "a"}],
        )
    )


@pytest.mark.parametrize(
    ("volume", "named"),
    [
        (
            {"persistentVolumeClaim": {"claimName": "c"}},
            'volume "v": persistentVolumeClaim is not supported here, only emptyDir, configMap',
        ),
        ({"hostPath": {"path": "/"}}, "hostPath is not supported"),
        ({"secret": {"secretName": "s"}}, "secret is not supported"),
        ({"projected": {"sources": [{"secret": {}}]}}, "projected secret is not supported"),
    ],
)
def test_other_kinds_are_refused_by_name(volume: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        refuse(pod({"name": "v", **volume}))


@pytest.mark.parametrize(
    ("container", "named"),
    [
        ({"envFrom": [{"configMapRef": {"name": "c"}}]}, "envFrom is not supported"),
        ({"restartPolicy": "Always"}, "restartPolicy is not supported here"),
        ({"volumeDevices": [{"name": "v"}]}, "volumeDevices"),
        ({"volumeMounts": [{"name": "w", "mountPath": "/w"}]}, 'there is no volume "w"'),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/w", "subPathExpr": "$(A)"}]},
            "subPathExpr",
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/w", "subPath": "a/../b"}]},
            "must not contain",
        ),
    ],
)
def test_what_a_container_cannot_have_is_refused_by_name(
    container: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnsupportedError, match=named):
        refuse(pod({"name": "v", "emptyDir": {}}, **container))


def test_what_is_left_out_is_named() -> None:
    obj = pod(
        resources={"limits": {"nvidia.com/gpu": 8}}, livenessProbe={"exec": {}}, securityContext={}
    )
    obj["spec"].update(nodeSelector={"gpu": "yes"}, hostNetwork=False)
    assert ignored(obj) == ["spec.nodeSelector", "worker.livenessProbe", "worker.resources"]
