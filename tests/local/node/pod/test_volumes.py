from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from elasticjob.local.node.pod import volumes
from elasticjob.local.node.pod.unsupported import UnsupportedError
from elasticjob.local.node.pod.volumes import NotReadyError, Sources

BINARY = bytes(range(256))
CONFIG_MAPS: dict[str, dict[str, Any]] = {
    "code": {
        "immutable": True,
        "data": {"train.py": "print(1)\n"},
        "binaryData": {"agent.pyz": base64.b64encode(BINARY).decode()},
    },
    "kube-root-ca.crt": {"data": {"ca.crt": "PEM"}},
    "empty": {},
}
SOURCES = Sources(CONFIG_MAPS.get, lambda: "a-token")


def pod(*declared: dict[str, Any], **container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "worker", **container}], "volumes": list(declared)}
    return {"metadata": {"name": "p", "namespace": "ns", "labels": {"a": "1"}}, "spec": spec}


def made(home: Path, *declared: dict[str, Any]) -> dict[str, bytes]:
    volumes.create(pod(*declared), home, SOURCES)
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"emptyDir": {}}, {}),
        ({"emptyDir": None}, {}),
        ({}, {}),
        ({"configMap": {"name": "code"}}, {"v/train.py": b"print(1)\n", "v/agent.pyz": BINARY}),
        ({"configMap": {"name": "empty"}}, {}),
        ({"configMap": {"name": "absent", "optional": True}}, {}),
        (
            {"configMap": {"name": "code", "items": [{"key": "train.py", "path": "a/b.py"}]}},
            {"v/a/b.py": b"print(1)\n"},
        ),
        (
            {
                "configMap": {
                    "name": "code",
                    "optional": True,
                    "items": [{"key": "absent", "path": "x"}],
                }
            },
            {},
        ),
        (
            {
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                        {
                            "configMap": {
                                "name": "kube-root-ca.crt",
                                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                            }
                        },
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}
                                ]
                            }
                        },
                    ]
                }
            },
            {"v/ca.crt": b"PEM", "v/ns": b"ns", "v/token": b"a-token"},
        ),
        (
            {
                "downwardAPI": {
                    "items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.labels['a']"}}]
                }
            },
            {"v/a": b"1"},
        ),
    ],
)
def test_the_files_of_a_volume(
    tmp_path: Path, volume: dict[str, Any], files: dict[str, bytes]
) -> None:
    assert made(tmp_path, {"name": "v", **volume}) == files
    assert (tmp_path / "v").is_dir()


def test_files_have_the_requested_modes(tmp_path: Path) -> None:
    made(
        tmp_path,
        {
            "name": "v",
            "configMap": {
                "name": "code",
                "defaultMode": 0o500,
                "items": [
                    {"key": "train.py", "path": "train.py"},
                    {"key": "agent.pyz", "path": "agent.pyz", "mode": 0o440},
                ],
            },
        },
    )
    assert (tmp_path / "v/train.py").stat().st_mode & 0o777 == 0o500
    assert (tmp_path / "v/agent.pyz").stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize(
    ("volume", "awaited"),
    [
        ({"configMap": {"name": "absent"}}, 'configmap "absent" not found'),
        (
            {"configMap": {"name": "code", "items": [{"key": "other", "path": "x"}]}},
            'configmap "code" has no key "other"',
        ),
    ],
)
def test_a_missing_source_is_an_error_to_retry(
    tmp_path: Path, volume: dict[str, Any], awaited: str
) -> None:
    with pytest.raises(NotReadyError, match=awaited):
        made(tmp_path, {"name": "v", **volume})
    assert not (tmp_path / "v").exists()


def test_the_pod_waits_for_its_account(tmp_path: Path) -> None:
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    sources = Sources(CONFIG_MAPS.get, lambda: None)
    with pytest.raises(NotReadyError, match='serviceaccount "default" not found'):
        volumes.create(pod(volume), tmp_path, sources)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_a_sub_path_outside_its_volume_is_refused(tmp_path: Path, path: str) -> None:
    mounts = [{"name": "v", "mountPath": "/v", "subPath": path}]
    message = r'^volume "v": .* must be relative and must not contain "\.\."$'
    with pytest.raises(UnsupportedError, match=message):
        volumes.create(pod({"name": "v"}, volumeMounts=mounts), tmp_path, SOURCES)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_an_item_outside_its_volume_is_refused(tmp_path: Path, path: str) -> None:
    items = [{"key": "train.py", "path": path}]
    with pytest.raises(UnsupportedError, match="must be relative"):
        made(tmp_path, {"name": "v", "configMap": {"name": "code", "items": items}})


def test_a_sub_path_is_created_below_its_volume(tmp_path: Path) -> None:
    mounts = [{"name": "v", "mountPath": "/out", "subPath": "a/b"}]
    obj = pod({"name": "v", "emptyDir": {}}, volumeMounts=mounts)
    volumes.create(obj, tmp_path, SOURCES)
    assert (tmp_path / "v/a/b").is_dir()
    paths = volumes.path_map(obj["spec"]["containers"][0], tmp_path, tmp_path / "message")
    assert paths.real("/out/x") == str(tmp_path / "v/a/b/x")


@pytest.mark.parametrize(
    ("container", "path"),
    [({}, "/dev/termination-log"), ({"terminationMessagePath": "/tmp/why"}, "/tmp/why")],
)
def test_the_termination_message_has_a_file(
    tmp_path: Path, container: dict[str, Any], path: str
) -> None:
    paths = volumes.path_map({"name": "worker", **container}, tmp_path, tmp_path / "message")
    assert paths.real(path) == str(tmp_path / "message")
