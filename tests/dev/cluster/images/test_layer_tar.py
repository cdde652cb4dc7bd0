"""Layers: a directory as a tar, in order."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

from dev.cluster.images.layer_tar import write_layer


def fill(tree: Path) -> None:
    (tree / "b").mkdir(parents=True)
    (tree / "b" / "file").write_text("text")
    (tree / "b" / "file").chmod(0o640)
    (tree / "b" / "same").hardlink_to(tree / "b" / "file")
    (tree / "a").symlink_to("b")
    for path in (tree / "b" / "file", tree / "b"):
        os.utime(path, (1_700_000_000.5, 1_700_000_000.5))


def test_a_layer_contains_everything_in_order(tmp_path: Path) -> None:
    fill(tmp_path / "tree")
    write_layer(tmp_path / "tree", tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == ["a", "b", "b/file", "b/same"]
    link, directory, file, same = members
    assert (link.issym(), link.linkname) == (True, "b")
    assert directory.isdir()
    assert (file.mode, file.mtime, file.uname, file.gname) == (0o640, 1_700_000_000, "", "")
    assert (same.islnk(), same.linkname) == (True, "b/file")


def test_equal_trees_give_equal_layers(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        fill(tmp_path / name)
        os.utime(tmp_path / name / "a", (0, 0), follow_symlinks=False)
        write_layer(tmp_path / name, tmp_path / "layer")
        digests.add(hashlib.sha256((tmp_path / "layer").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_sockets_and_pipes_are_left_out(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mkfifo(tree / "pipe")
    write_layer(tree, tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as tar:
        assert tar.getnames() == []
