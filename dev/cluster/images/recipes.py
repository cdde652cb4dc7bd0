"""The images of the cluster and their layers; a layer is made again when its sources change."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.cache import Cache
from dev.cluster.disk import need_disk
from dev.cluster.errors import ClusterError
from dev.cluster.images.debian import BASE_PACKAGES, PYTHON, SUITE, TIDY, Overlay, bootstrap
from dev.cluster.images.layer_cache import Layers
from dev.cluster.images.oci import Blob, Layout
from dev.cluster.nodes.node_files import PAUSE as PAUSE_IMAGE
from dev.cluster.programs.go_build import built
from dev.cluster.programs.go_program import PAUSE
from dev.cluster.programs.go_toolchain import uv_command
from dev.cluster.progress import Progress
from dev.cluster.shell import run

CHECKOUT = Path(__file__).resolve().parents[3]
MIRROR = "http://deb.debian.org/debian"
PYTHON_IMAGE = "localhost/elasticjob/python:dev"
WORKER_IMAGE = "localhost/elasticjob/worker:dev"
OPERATOR_IMAGE = "localhost/elasticjob/operator:dev"
OLD_PYTHON_IMAGE = "localhost/elasticjob/python38:dev"
SMALL = (PAUSE_IMAGE, PYTHON_IMAGE)
ALL = (*SMALL, OPERATOR_IMAGE, WORKER_IMAGE)
OLD_PYTHON_SKIPS = shutil.ignore_patterns(
    "site-packages", "test", "tests", "__pycache__", "config-*"
)
DISK_GB = {
    PAUSE_IMAGE: 0.1,
    PYTHON_IMAGE: 1.0,
    OPERATOR_IMAGE: 1.0,
    WORKER_IMAGE: 6.0,
    OLD_PYTHON_IMAGE: 0.5,
}
INSTALL = Path("dev/install-operator.sh")
"""The script that the Dockerfile runs too."""
ENV = ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED=1", "LANG=C.UTF-8"]
TOOLS = (
    "mkdir /tmp/bin; ln -s /srv/uv /tmp/bin/uv; PATH=/tmp/bin:$PATH UV_CACHE_DIR=/media; "
    "export PATH UV_CACHE_DIR; "
)
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def digest(*parts: str | bytes) -> str:
    """Return a short digest of sources."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:16]


def operator_files(checkout: Path) -> list[Path]:
    """The sources of the operator's layer, as the Dockerfile copies them."""
    sources = (checkout / "operator" / "src").rglob("*")
    files = sorted(p for p in sources if p.is_file() and p.suffix != ".pyc")
    return [checkout / name for name in ("pyproject.toml", "uv.lock", str(INSTALL))] + files


@dataclass(frozen=True)
class Images:
    """The image layout in the cache, and a recipe for each image."""

    cache: Cache
    progress: Progress
    environ: Mapping[str, str]

    @property
    def layout(self) -> Layout:
        return Layout(self.cache.images / "oci")

    @property
    def layers(self) -> Layers:
        return Layers(self.cache.images, self.layout)

    @property
    def arch(self) -> str:
        return ARCH[platform.machine()]

    @property
    def mirror(self) -> str:
        return self.environ.get("DEBIAN_MIRROR") or MIRROR

    def make(self, names: tuple[str, ...]) -> None:
        """Make the images that are missing or out of date."""
        makers: dict[str, Callable[[], None]] = {
            PAUSE_IMAGE: self._pause,
            PYTHON_IMAGE: self._python,
            WORKER_IMAGE: self._worker,
            OPERATOR_IMAGE: self._operator,
            OLD_PYTHON_IMAGE: self._old_python,
        }
        for name in names:
            makers[name]()
        self.layout.prune(self.layers.digests())

    # -- the images

    def _pause(self) -> None:
        program = built(self.cache, PAUSE, self.progress)

        def make() -> Path:
            tree = self.layers.work / "pause"
            shutil.rmtree(tree, ignore_errors=True)
            tree.mkdir(parents=True)
            shutil.copy(program, tree / "pause")
            return tree

        layer = self.layers.get("pause", PAUSE.key(), DISK_GB[PAUSE_IMAGE], make)
        self._tag(PAUSE_IMAGE, [layer], {"Entrypoint": ["/pause"], "User": "65535:65535"})

    def _python(self) -> None:
        self._tag(PYTHON_IMAGE, [self._base()], {"Env": ENV, "Cmd": ["python3"]})

    def _worker(self) -> None:
        wheel = self.environ.get("TORCH_WHEEL", "")
        layer = self._torch_wheel(Path(wheel)) if wheel else self._torch_debian()
        self._tag(WORKER_IMAGE, [self._base(), layer], {"Env": ENV, "Cmd": ["python3"]})

    def _operator(self) -> None:
        settings = {
            "Env": [*ENV, "PYTHONPATH=/app", "PYTHONDONTWRITEBYTECODE=1"],
            "User": "65532:65532",
            "WorkingDir": "/",
            "Entrypoint": ["python3", "-P", "-m", "elasticjob.controller"],
        }
        self._tag(OPERATOR_IMAGE, [self._base(), self._app()], settings)

    def _old_python(self) -> None:
        """Make an image with this machine's Python 3.8; Debian has none."""
        prefix = Path(self.environ["OLD_PYTHON"])
        if not (prefix / "bin" / "python3.8").is_file():
            raise ClusterError(f"OLD_PYTHON={prefix} is not the prefix of a Python 3.8")

        def make() -> Path:
            tree = self.layers.work / "python38"
            shutil.rmtree(tree, ignore_errors=True)
            kept = tree / "opt" / "python"
            shutil.copytree(prefix / "lib", kept / "lib", symlinks=True, ignore=OLD_PYTHON_SKIPS)
            (kept / "bin").mkdir()
            shutil.copy(prefix / "bin" / "python3.8", kept / "bin" / "python3")
            return tree

        layer = self.layers.get("python38", str(prefix), DISK_GB[OLD_PYTHON_IMAGE], make)
        here = ["PATH=/opt/python/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=/opt/python/lib"]
        self._tag(OLD_PYTHON_IMAGE, [self._base(), layer], {"Env": here})

    # -- their layers

    @property
    def _base_key(self) -> str:
        return f"{SUITE}-{digest(*BASE_PACKAGES, TIDY, self.mirror)}"

    def _root(self) -> Path:
        """The root file system below every layer but pause's."""
        root = self.cache.images / "roots" / self._base_key
        if not root.exists():
            need_disk(self.cache.home, DISK_GB[PYTHON_IMAGE], "the base of the images")
            bootstrap(root, self.mirror, self.progress)
        return root

    def _base(self) -> Blob:
        return self.layers.get("base", self._base_key, DISK_GB[PYTHON_IMAGE], self._root)

    def _torch_debian(self) -> Blob:
        install = "apt-get install -qy --no-install-recommends python3-torch"
        script = f"apt-get update -qq; {install}"
        what = "python3-torch from Debian (148 MB, about 75 s, once)"
        return self._changed("torch", digest(script), WORKER_IMAGE, what, script, {})

    def _torch_wheel(self, wheel: Path) -> Blob:
        tag = f"cp{PYTHON.replace('.', '')}"
        if not wheel.is_file():
            raise ClusterError(f"TORCH_WHEEL={wheel} is not a file")
        if f"-{tag}-" not in wheel.name:
            raise ClusterError(
                f"TORCH_WHEEL={wheel.name} is not for {tag}, the Python of the images."
                f" Cure: a wheel with -{tag}- in its name, or none for Debian's torch"
            )
        status = wheel.stat()
        site = f"/usr/local/lib/python{PYTHON}/dist-packages"
        script = (
            f"uv pip install --quiet --link-mode copy --python /usr/bin/python3 --target {site}"
        )
        script += f" /opt/{wheel.name} numpy; python3 -m compileall -qq {site} || true"
        return self._changed(
            "torch",
            digest(wheel.name, f"{status.st_size} {status.st_mtime_ns}", script),
            WORKER_IMAGE,
            f"{wheel.name} and what it requires (about 60 s, once)",
            script,
            {str(wheel.resolve().parent): "/opt"},
        )

    def _app(self) -> Blob:
        """The operator and its locked dependencies, installed by the image's own Python."""
        files = operator_files(CHECKOUT)
        content = [f"{p.relative_to(CHECKOUT)}".encode() + p.read_bytes() for p in files]
        return self._changed(
            "operator",
            digest(*content),
            OPERATOR_IMAGE,
            "the operator and its locked dependencies (about 20 s)",
            f"cd /opt; {INSTALL} /app python3",
            {str(CHECKOUT): "/opt"},
        )

    # -- how a layer is made

    def _changed(
        self, kind: str, source: str, image: str, what: str, script: str, binds: Mapping[str, str]
    ) -> Blob:
        """The layer of what a script changes in the base; `source` is its digest."""

        def make() -> Path:
            self.progress.print(what)
            overlay = Overlay(self._root(), self.layers.work)
            overlay.prepare()
            seen = {**self._tools(), **binds}
            overlay.run(f"{TOOLS}{script}; {TIDY}", image, self.progress, seen)
            return overlay.upper

        return self.layers.get(kind, f"{self._base_key} {source}", DISK_GB[image], make)

    def _tools(self) -> dict[str, str]:
        """The mounts of uv and its cache, which leave nothing in the layer."""
        uv = Path(uv_command())
        cache = Path(run([str(uv), "cache", "dir"]).strip())
        cache.mkdir(parents=True, exist_ok=True)
        return {str(uv.resolve().parent): "/srv", str(cache): "/media"}

    def _tag(self, name: str, layers: list[Blob], settings: dict[str, Any]) -> None:
        before = self.layout.images().get(name)
        after = self.layout.tag(name, layers, self.arch, settings)
        if before != after:
            self.progress.done(f"image {name} is {after[:19]}")


def wanted(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The images to make; with OLD_PYTHON also one with Python 3.8."""
    return (*ALL, OLD_PYTHON_IMAGE) if environ.get("OLD_PYTHON") else ALL


def images(cache: Cache, progress: Progress) -> Images:
    """The images of this cache, with this program's environment."""
    return Images(cache, progress, os.environ)
