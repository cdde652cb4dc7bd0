"""Write a directory as an image layer: a sorted tar with deletions as OCI whiteouts."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

OPAQUE = "trusted.overlay.opaque"


def write_layer(tree: Path, target: Path) -> None:
    """Write the tree with numeric owners and real times, on which bytecode files depend."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for directory, names, files in os.walk(tree):
            names.sort()
            here = Path(directory)
            inside = here.relative_to(tree)
            if inside.parts:
                _add(tar, here, inside)
            if _opaque(here):
                _empty(tar, inside / ".wh..wh..opq")
            # os.walk lists symlinks to directories among the directories, and does not enter them
            links = [name for name in names if (here / name).is_symlink()]
            for name in sorted([*files, *links]):
                _add(tar, here / name, inside / name)


def _add(tar: tarfile.TarFile, source: Path, name: Path) -> None:
    status = source.lstat()
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        _empty(tar, name.parent / f".wh.{name.name}")
        return
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or source.is_symlink()):
        return  # devices and sockets: the runtime creates them
    info = tar.gettarinfo(source, str(name))
    info.uname = info.gname = ""
    info.mtime = int(info.mtime)
    if info.isreg():
        with open(source, "rb") as content:
            tar.addfile(info, content)
    else:
        tar.addfile(info)


def _empty(tar: tarfile.TarFile, name: Path) -> None:
    tar.addfile(tarfile.TarInfo(str(name)))


def _opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, OPAQUE) == b"y"
    except OSError:
        return False
