"""containerd's root with every image unpacked once; each node starts with hard links to it.

Nothing ever writes to a content blob or a committed snapshot, so sharing them is safe, and a node's
images cost no room and no time. The databases are the node's own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.commands import run
from dev.cluster.errors import ClusterError
from dev.cluster.oci import Layout
from dev.cluster.toolchain import last_line

NAMESPACE = "k8s.io"
LOADED = "elasticjob-loaded.json"
SCRIPT = Path(__file__).parent / "store-import.sh"
IMPORT = ("ctr", "--namespace", NAMESPACE, "images", "import", "-")


def loaded(root: Path) -> dict[str, str]:
    """The images in a containerd root, digest by name, as far as they were loaded by us."""
    try:
        images: dict[str, str] = json.loads((root / LOADED).read_text())
    except FileNotFoundError:
        return {}
    return images


def missing(layout: Layout, root: Path) -> list[str]:
    """The images of the layout that this root has not, or has in another version."""
    there = loaded(root)
    return sorted(name for name, d in layout.images().items() if there.get(name) != d)


def feed(layout: Layout, names: list[str], command: Sequence[str], root: Path) -> None:
    """Give the images to a command that imports them into a root, and note them there."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            layout.archive(names, process.stdin)
            process.stdin.close()
        except BrokenPipeError:  # it says why
            pass
        said = process.stdout.read().decode(errors="replace")
    if process.returncode:
        raise ClusterError(f"containerd cannot import {', '.join(names)}: {last_line(said)}")
    images = layout.images()
    part = root / f"{LOADED}.part"
    part.write_text(json.dumps({**loaded(root), **{name: images[name] for name in names}}))
    part.replace(root / LOADED)


@dataclass(frozen=True)
class Store:
    """The root that nodes link to."""

    root: Path

    def load(self, layout: Layout) -> list[str]:
        """Unpack what is missing, by a containerd of its own that ends with it."""
        names = missing(layout, self.root)
        if names:
            self.root.mkdir(parents=True, exist_ok=True)
            alone = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--")
            feed(layout, names, [*alone, "bash", str(SCRIPT), str(self.root)], self.root)
        return names


def link_store(root: Path, target: Path) -> None:
    """Fill a node's empty containerd root."""
    if (target / LOADED).exists() or not (root / LOADED).exists():
        return
    run(["cp", "-al", f"{root}/.", str(target)])
    for path in target.rglob("*.db"):
        own = path.with_suffix(".own")
        shutil.copy(path, own)
        own.replace(path)
    # last, and not linked: it says that the rest is complete
    text = (root / LOADED).read_text()
    (target / LOADED).unlink()
    (target / LOADED).write_text(text)
