"""Images: their sources, and refused settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from dev.cluster.cache import Cache
from dev.cluster.errors import ClusterError
from dev.cluster.images.debian import bootstrap_command, inside_environ
from dev.cluster.images.recipes import (
    ALL,
    CHECKOUT,
    INSTALL,
    OLD_PYTHON_IMAGE,
    WORKER_IMAGE,
    Images,
    digest,
    operator_files,
    wanted,
)
from dev.cluster.progress import Progress


def test_a_digest_distinguishes_parts() -> None:
    assert digest("a", "b") == digest("a", b"b")
    assert len({digest("ab"), digest("a", "b"), digest("b", "a"), digest("a", "b", "")}) == 4


def test_the_operators_layer_has_the_sources_that_the_dockerfile_copies() -> None:
    files = operator_files(CHECKOUT)
    names = {str(path.relative_to(CHECKOUT)) for path in files}
    assert {"pyproject.toml", "uv.lock", str(INSTALL)} <= names
    assert "operator/src/elasticjob/controller/__main__.py" in names
    assert not any("__pycache__" in name for name in names)
    assert all(path.exists() for path in files)
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    for name in ("pyproject.toml", "uv.lock", str(INSTALL), "operator/src"):
        assert name in dockerfile


@pytest.mark.parametrize(
    ("wheel", "message"),
    [
        ("torch-2.13.0-cp311-cp311-linux_x86_64.whl", "is not a file"),
        ("torch-2.13.0-cp312-cp312-linux_x86_64.whl", "is not for cp311"),
    ],
)
def test_a_wheel_that_cannot_be_used_is_named(tmp_path: Path, wheel: str, message: str) -> None:
    if "cp312" in wheel:
        (tmp_path / wheel).touch()
    images = Images(Cache(tmp_path), Progress(), {"TORCH_WHEEL": str(tmp_path / wheel)})
    with pytest.raises(ClusterError, match=message):
        images.make((WORKER_IMAGE,))


def test_an_image_with_an_old_python_is_made_if_one_is_named(tmp_path: Path) -> None:
    assert wanted({}) == wanted({"OLD_PYTHON": ""}) == ALL
    assert wanted({"OLD_PYTHON": "/opt/3.8"}) == (*ALL, OLD_PYTHON_IMAGE)
    images = Images(Cache(tmp_path), Progress(), {"OLD_PYTHON": str(tmp_path)})
    with pytest.raises(ClusterError, match=r"is not the prefix of a Python 3\.8"):
        images.make((OLD_PYTHON_IMAGE,))


def test_debian_comes_from_the_mirror_that_is_named() -> None:
    images = Images(Cache(Path("/c")), Progress(), {"DEBIAN_MIRROR": "http://mirror"})
    assert images.mirror == "http://mirror"
    assert bootstrap_command(Path("/r"), images.mirror)[-3:] == ["bookworm", "/r", "http://mirror"]


def test_scripts_keep_only_registry_settings_of_the_environment() -> None:
    environ = inside_environ({"UV_INDEX_URL": "u", "https_proxy": "p", "SECRET": "s", "PATH": "x"})
    assert (environ["UV_INDEX_URL"], environ["https_proxy"]) == ("u", "p")
    assert "SECRET" not in environ
    assert environ["PATH"].startswith("/usr/local/bin")
