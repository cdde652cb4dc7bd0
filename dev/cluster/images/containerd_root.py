"""containerd's root with every image unpacked once; each node starts with hard links to it.

Nothing ever writes to a content blob or a committed snapshot, so sharing them is safe, and a node's
images cost no space and no time. Each node has its copy of the databases.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.images.oci import Layout
from dev.cluster.programs.go_toolchain import last_line
from dev.cluster.shell import run

NAMESPACE = "k8s.io"
LOADED = "elasticjob-loaded.json"
SCRIPT = Path(__file__).parent / "store-import.sh"
IMPORT = ("ctr", "--namespace", NAMESPACE, "images", "import", "-")


def loaded(root: Path) -> dict[str, str]:
    """The images that were loaded into a containerd root, digest by name."""
    try:
        images: dict[str, str] = json.loads((root / LOADED).read_text())
    except FileNotFoundError:
        return {}
    return images


def missing(layout: Layout, root: Path) -> list[str]:
    """The images of the layout that this root lacks, or has in another version."""
    there = loaded(root)
    return sorted(name for name, d in layout.images().items() if there.get(name) != d)


def feed(layout: Layout, names: list[str], command: Sequence[str], root: Path) -> None:
    """Import images into a root with a command, and record them there."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            layout.archive(names, process.stdin)
            process.stdin.close()
        except BrokenPipeError:  # its output gives the reason
            pass
        output = process.stdout.read().decode(errors="replace")
    if process.returncode:
        raise ClusterError(f"containerd cannot import {', '.join(names)}: {last_line(output)}")
    images = layout.images()
    part = root / f"{LOADED}.part"
    part.write_text(json.dumps({**loaded(root), **{name: images[name] for name in names}}))
    part.replace(root / LOADED)


@dataclass(frozen=True)
class Store:
    """The containerd root that nodes link to."""

    root: Path

    def load(self, layout: Layout) -> list[str]:
        """Unpack missing images with a temporary containerd."""
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
    # last, and not linked: its existence means that the rest is complete
    text = (root / LOADED).read_text()
    (target / LOADED).unlink()
    (target / LOADED).write_text(text)
