from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from elasticjob.local import volumes
from elasticjob.local.unsupported import UnsupportedError
from elasticjob.local.volumes import NotReadyError, Sources

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
SOURCES = Sources(CONFIG_MAPS.get, lambda lifetime_s: f"token-for-{lifetime_s}")


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
            {"v/ca.crt": b"PEM", "v/ns": b"ns", "v/token": b"token-for-3607"},
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
def test_contents(tmp_path: Path, volume: dict[str, Any], files: dict[str, bytes]) -> None:
    assert made(tmp_path, {"name": "v", **volume}) == files
    assert (tmp_path / "v").is_dir()


def test_modes_are_those_asked_for(tmp_path: Path) -> None:
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
def test_what_is_not_there_yet_is_waited_for(
    tmp_path: Path, volume: dict[str, Any], awaited: str
) -> None:
    with pytest.raises(NotReadyError, match=awaited):
        made(tmp_path, {"name": "v", **volume})
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_an_item_stays_in_its_volume(tmp_path: Path, path: str) -> None:
    items = [{"key": "train.py", "path": path}]
    with pytest.raises(UnsupportedError, match="must be relative"):
        made(tmp_path, {"name": "v", "configMap": {"name": "code", "items": items}})


def test_a_sub_path_is_below_its_volume_and_made_when_absent(tmp_path: Path) -> None:
    mounts = [{"name": "v", "mountPath": "/out", "subPath": "a/b"}]
    obj = pod({"name": "v", "emptyDir": {}}, volumeMounts=mounts)
    container = obj["spec"]["containers"][0]
    directories = volumes.create(obj, tmp_path, SOURCES)
    volumes.make_sub_paths(container, directories)
    paths = volumes.path_map(container, directories, ("/dev/termination-log", tmp_path / "t"))
    assert paths.real("/out/x") == str(tmp_path / "v/a/b/x")
    assert (tmp_path / "v/a/b").is_dir()
    assert paths.real("/dev/termination-log") == str(tmp_path / "t")


def test_tokens_are_renewed_in_place(tmp_path: Path) -> None:
    sources = [{"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}]
    obj = pod({"name": "v", "projected": {"sources": sources}})
    minted = iter(["first", "second"])
    volatile = Sources(CONFIG_MAPS.get, lambda _: next(minted))
    volumes.create(obj, tmp_path, volatile)
    volumes.renew_tokens(obj, tmp_path, volatile)
    assert (tmp_path / "v/token").read_text() == "second"
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["token"]
    assert volumes.token_lifetime_s(obj) == 600
    assert volumes.token_lifetime_s(pod()) is None
