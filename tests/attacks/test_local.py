"""Attacks on the local mode and on its installation, by other users and by what pods write."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dev.wait import wait_until_async
from tests.support.local_server import LocalServer, local_server

from elasticjob.local.api.objects.builtins import CONFIGMAPS, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.directories import RootError
from elasticjob.local.manifests import ManifestError, parse
from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.local.up import Local, up

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.process


def named(name: str) -> Object:
    return {"metadata": {"name": name}}


def create(local: Local, script: str, name: str = "p", **container: object) -> Object:
    """Create a pod that runs a Python script."""
    found = {"name": "w", "image": "none", "command": ["python3", "-c", script], **container}
    spec = {"restartPolicy": "Never", "containers": [found]}
    return local.server.store.create(PODS, "default", {**named(name), "spec": spec})


async def until_ended(local: Local, name: str = "p") -> Object:
    """Wait until a pod has succeeded or failed; return its status."""

    def status() -> Object:
        found: Object = local.server.store.get(PODS, "default", name)["status"]
        return found

    await wait_until_async(lambda: status()["phase"] in ("Succeeded", "Failed"))
    return status()


# -- the root directory: another user can write to it --------------------------------------------


def planted(root: Path) -> Path:
    """A directory that looks like a root of an earlier run, with a program that pods would run."""
    for directory in (root, root / "pods", root / "pods" / "bin"):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o777)
    (root / "pods" / "lock").touch()
    (root / "pods" / "bin" / "python3").write_text("#!/bin/sh\necho stolen\n")
    return root


async def test_a_root_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    """They replace the program that every pod runs, or read the token of the kubeconfig."""
    root = planted(tmp_path / "root")
    with pytest.raises(RootError, match="other users can write to it"):
        async with up(root):
            pass
    assert not (root / "kubeconfig").exists()


async def test_a_root_below_a_directory_that_others_can_write_to_is_not_used(
    tmp_path: Path,
) -> None:
    """They rename it, and create another in its place."""
    root = planted(tmp_path) / "root"
    with pytest.raises(RootError, match="other users can write to it"):
        async with up(root):
            pass
    assert not root.exists()


async def test_a_link_in_the_place_of_the_pods_is_not_followed(tmp_path: Path) -> None:
    """It was there before the user took the directory back with chmod."""
    root, home = tmp_path / "root", tmp_path / "home"
    async with up(root):
        pass
    (home / "thesis").mkdir(parents=True)
    (home / "lock").touch()
    (root / "pods").rename(tmp_path / "away")
    (root / "pods").symlink_to(home)
    async with up(root):
        assert (home / "thesis").is_dir()
        assert not (root / "pods").is_symlink()


async def test_a_directory_with_other_files_is_not_used(tmp_path: Path) -> None:
    """A typing error, `--root ~`, must not write or remove anything in it."""
    (tmp_path / "pods").mkdir()
    (tmp_path / "kubeconfig").write_text("that of the production cluster")
    with pytest.raises(RootError, match="not empty and not from an earlier run"):
        async with up(tmp_path):
            pass
    assert (tmp_path / "kubeconfig").read_text() == "that of the production cluster"


async def test_a_second_server_does_not_replace_the_kubeconfig_of_the_first(
    tmp_path: Path,
) -> None:
    async with up(tmp_path) as local:
        before = local.server.kubeconfig.read_bytes()
        with pytest.raises(RootError, match="in use by another server"):
            async with up(tmp_path):
                pass
        assert local.server.kubeconfig.read_bytes() == before


# -- what a pod leaves on the disk -----------------------------------------------------------------

DEEP = """
import os
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
"""


async def test_a_tree_of_any_depth_is_removed_with_its_pod(tmp_path: Path) -> None:
    """Each level took a descriptor of the API server, which then accepted no connection."""
    async with up(tmp_path) as local:
        pod = create(local, DEEP)
        await until_ended(local)
        directory = tmp_path / "pods" / pod["metadata"]["uid"][:13]
        assert directory.is_dir()
        local.server.store.delete(PODS, "default", "p")
        await wait_until_async(lambda: not directory.exists())


@pytest.mark.parametrize(
    ("mount", "volume"),
    [
        ({"subPath": "{outside}"}, {"emptyDir": {}}),
        ({"subPath": "../../../outside"}, {"emptyDir": {}}),
        ({}, {"configMap": {"name": "c", "items": [{"key": "k", "path": "{outside}/file"}]}}),
    ],
)
async def test_a_volume_does_not_reach_outside_of_its_pod(
    tmp_path: Path, mount: Object, volume: Object
) -> None:
    text = json.dumps([mount, volume]).replace("{outside}", str(tmp_path / "outside"))
    mount, volume = json.loads(text)
    async with up(tmp_path / "root") as local:
        local.server.store.create(CONFIGMAPS, "default", {**named("c"), "data": {"k": "v"}})
        mounts = [{"name": "v", "mountPath": "/v", **mount}]
        container = {"name": "w", "image": "none", "command": ["true"], "volumeMounts": mounts}
        spec = {"containers": [container], "volumes": [{"name": "v", **volume}]}
        with pytest.raises(ApiError, match=r"must be a relative path|must not contain"):
            local.server.store.create(PODS, "default", {**named("p"), "spec": spec})


def test_a_small_manifest_does_not_become_a_large_object() -> None:
    """Ten lines were 10**10 values, of which the JSON did not fit into memory."""
    below = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]
    head = ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: c}", "a0: &a0 [x, x, x, x]"]
    with pytest.raises(ManifestError, match=r"^job.yaml: more than .* values: use fewer aliases"):
        parse("\n".join([*head, *below]), "job.yaml")
    with pytest.raises(ManifestError, match=r"^job.yaml: values are nested more than"):
        parse("a: " + "[" * 100_000, "job.yaml")


# -- what other users see --------------------------------------------------------------------------


async def test_no_token_is_on_a_command_line_or_in_an_environment(tmp_path: Path) -> None:
    """/proc shows the command lines of all users."""
    operator = [sys.executable, "-m", "elasticjob.controller"]
    operator += ["--health-host", "127.0.0.1", "--health-port", "0"]
    async with up(tmp_path / "root", operator=operator) as local:
        create(local, "input()")
        marker = f"{tmp_path}/root/pods/"
        await wait_until_async(lambda: any(b"controller" in text for text in shown(marker)))
        tokens = [local.server.token.encode(), local.server.operator_token.encode()]
        assert [text for text in shown(marker) for token in tokens if token in text] == []


def shown(marker: str) -> list[bytes]:
    """The command lines and environments of the processes of pods."""
    found = []
    for pid in pids_with_env(MARKER, marker):
        for file in ("cmdline", "environ"):
            try:
                found.append(Path(f"/proc/{pid}/{file}").read_bytes())
            except OSError:
                pass  # it has ended
    return found


# -- the API server: another user connects to it --------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with local_server(tmp_path / "root", definitions=[], admission=[]) as found:
        yield found


def connect(server: LocalServer) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=server.running.ca_file)
    plain = socket.create_connection(("127.0.0.1", urlsplit(server.running.url).port or 0), 10)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_no_body_is_read_without_a_valid_token(server: LocalServer) -> None:
    """Each one took 3 MiB of memory, for as long as its sender wished."""
    head = "POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with connect(server) as connection:
        connection.sendall(f"{head}Content-Length: 3000000\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_idle_connections_do_not_add_up(server: LocalServer) -> None:
    """They took the descriptors of the server, so that agents could not renew their Leases."""
    with ExitStack() as stack:
        first, *_ = [stack.enter_context(connect(server)) for _ in range(120)]
        try:
            assert first.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            pass  # aborted


# -- the installation ------------------------------------------------------------------------------


def counterfeit_uv(directory: Path) -> None:
    """A wheel with the name and version of the uv that we install, and other content."""
    locked = (REPOSITORY / "dev" / "uv.txt").read_text()
    version = next(line for line in locked.splitlines() if line.startswith("uv==")).split()[0][4:]
    metadata = f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n"
    tag = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(directory / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("uv_stolen.py", "")
        wheel.writestr(f"uv-{version}.dist-info/METADATA", metadata)
        wheel.writestr(f"uv-{version}.dist-info/WHEEL", tag)
        wheel.writestr(f"uv-{version}.dist-info/RECORD", "")


def test_a_counterfeit_uv_is_not_installed(tmp_path: Path) -> None:
    """The build of the image runs this installation as root."""
    counterfeit_uv(tmp_path)
    found = subprocess.run(
        [REPOSITORY / "dev" / "install-uv.sh", sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "DO NOT MATCH THE HASHES" in found.stderr
    assert list((tmp_path / ".tools").rglob("uv_stolen.py")) == []
