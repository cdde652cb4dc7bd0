"""What the container image holds, assembled by the list of steps that the Dockerfile runs."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from dev.wait import wait_until
from tests.support.local_server import local_server
from tests.support.mounts import NO_NAMESPACES
from tests.support.operator_log import health_port

ROOT = Path(__file__).parent.parent
INSTALL = ROOT / "dev" / "install-operator.sh"
AS_USER = ("unshare", "--user", "--map-user=65532", "--map-group=65532", "--")
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def can_change_user() -> bool:
    try:
        return subprocess.run([*AS_USER, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def entrypoint(app: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the image's, but for PYTHONDONTWRITEBYTECODE: a file that it writes is to be seen."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "elasticjob.controller", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(app)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def started(app: Path, *arguments: str) -> subprocess.Popen[str]:
    """The same as a user that no passwd names."""
    return subprocess.Popen(
        [*AS_USER, sys.executable, "-P", "-m", "elasticjob.controller", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(app), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


def requires(package: Distribution, name: str) -> bool:
    return name in (package.requires or ())


def files(app: Path) -> set[Path]:
    return {path for path in app.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("image") / "app"
    subprocess.run([INSTALL, target, sys.executable], check=True)
    return target


@pytest.mark.process
def test_starts_from_the_image_alone_and_writes_nothing(app: Path) -> None:
    before = files(app)
    help_ = entrypoint(app, "--help")
    assert help_.returncode == 0
    assert "--health-port" in help_.stdout
    started = entrypoint(app)  # imports everything, and finds no cluster
    assert "no API server is configured" in started.stderr
    assert files(app) == before


@pytest.mark.process
@pytest.mark.skipif(not can_change_user(), reason=NO_NAMESPACES)
def test_runs_as_a_user_without_a_name(app: Path, tmp_path: Path) -> None:
    """kopf asks who it is (getpass), and the user of a container is in no passwd."""
    with local_server(tmp_path) as server:
        config = str(server.running.operator_kubeconfig)
        arguments = ("--kubeconfig", config, "--health-host=127.0.0.1", "--health-port=0")
        with started(app, *arguments) as operator:
            try:
                assert operator.stderr is not None
                port = next(port for line in operator.stderr if (port := health_port(line)))
                wait_until(lambda: ready(port) == 200)
            finally:
                operator.terminate()


@pytest.mark.process
def test_holds_the_operator_and_what_it_needs(app: Path) -> None:
    """The agent is in it because the operator puts it into the pods."""
    packages = {path.name for path in (app / "elasticjob").iterdir() if path.is_dir()}
    assert packages - {"__pycache__"} == {
        "wire",
        "files",
        "rendezvous",
        "agent",
        "api",
        "controller",
    }
    installed = {path.name.partition("-")[0] for path in app.glob("*.dist-info")}
    assert {"kopf", "kubernetes", "structlog"} <= installed
    assert not {"rich", "trustme", "cryptography", "pytest"} & installed
    jsonpatch = [p for p in distributions(path=[str(app)]) if requires(p, "jsonpatch")]
    assert [p.name for p in jsonpatch] == ["kopf"]  # the only reason to have it


@pytest.mark.process
def test_every_user_may_read_it(app: Path) -> None:
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files(app))


def test_the_dockerfile_takes_the_steps_from_the_script() -> None:
    assert "RUN dev/install-operator.sh /app python3" in DOCKERFILE


def test_the_build_sees_every_file_that_the_dockerfile_copies() -> None:
    copied = [
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert copied
    assert [source for source in copied if source not in kept] == []


def test_nothing_enters_the_image_without_a_hash() -> None:
    """Installed are uv by dev/uv.txt, and what uv.lock has. Neither step may take another file."""
    assert "pip install" not in DOCKERFILE
    assert "apt" not in DOCKERFILE
    for script in (INSTALL, INSTALL.with_name("install-uv.sh")):
        lines = script.read_text().replace("\\\n", " ").splitlines()
        installs = [line for line in lines if "pip install" in line and line.strip()[0] != "#"]
        assert len(installs) == 1
        assert "--require-hashes" in installs[0]
        assert "--only-binary :all:" in installs[0]


def test_the_build_of_the_project_uses_locked_packages() -> None:
    """In an isolated build, uv takes the newest build backend that an index offers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert project["tool"]["uv"]["no-build-isolation-package"] == ["elasticjob"]
    for name in ("hatchling", "editables"):
        (package,) = [package for package in locked if package["name"] == name]
        assert all(wheel["hash"].startswith("sha256:") for wheel in package["wheels"])


def test_the_base_image_can_be_pinned_by_its_digest() -> None:
    """A digest cannot be asked for here, so a build names it; both stages take the same base."""
    assert re.search(
        r"^ARG PYTHON=docker\.io/library/python:3\.12\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?$",
        DOCKERFILE,
        re.M,
    )
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) == ["${PYTHON}", "${PYTHON}"]


def test_the_dockerfile_runs_as_an_unprivileged_user_without_a_shell() -> None:
    assert "\nUSER 65532:65532\n" in DOCKERFILE
    assert '\nENTRYPOINT ["python3", "-P", "-m", "elasticjob.controller"]\n' in DOCKERFILE
