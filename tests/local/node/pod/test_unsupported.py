from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.node.pod.unsupported import UnsupportedError, check_supported, ignored_fields


def pod(*declared: dict[str, Any], **container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "worker", **container}], "volumes": list(declared)}
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


def test_a_pod_of_an_elasticjob_is_supported() -> None:
    token = {"serviceAccountToken": {"path": "token"}}
    check_supported(
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
            'volume "v": persistentVolumeClaim is not supported by the local mode; use emptyDir',
        ),
        ({"hostPath": {"path": "/"}}, "hostPath is not supported"),
        ({"secret": {"secretName": "s"}}, "secret is not supported"),
        ({"projected": {"sources": [{"secret": {}}]}}, "projected secret is not supported"),
    ],
)
def test_an_unsupported_volume_is_named(volume: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        check_supported(pod({"name": "v", **volume}))


@pytest.mark.parametrize(
    ("container", "named"),
    [
        ({"envFrom": [{"configMapRef": {"name": "c"}}]}, "envFrom is not supported"),
        ({"restartPolicy": "Always"}, "restartPolicy is not supported"),
        ({"volumeDevices": [{"name": "v"}]}, "volumeDevices"),
        ({"volumeMounts": [{"name": "w", "mountPath": "/w"}]}, 'there is no volume "w"'),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/w", "subPathExpr": "$(A)"}]},
            "subPathExpr",
        ),
    ],
)
def test_an_unsupported_field_of_a_container_is_named(
    container: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnsupportedError, match=named):
        check_supported(pod({"name": "v", "emptyDir": {}}, **container))


def test_ignored_fields_are_named() -> None:
    obj = pod(
        resources={"limits": {"nvidia.com/gpu": 8}}, livenessProbe={"exec": {}}, securityContext={}
    )
    obj["spec"].update(nodeSelector={"gpu": "yes"}, hostNetwork=False)
    assert ignored_fields(obj) == ["spec.nodeSelector", "worker.livenessProbe", "worker.resources"]
