"""containerd's root: missing images, and the links of a node."""

from __future__ import annotations

import json
from pathlib import Path

from dev.cluster.images.containerd_root import LOADED, link_store, missing
from dev.cluster.images.oci import Layout


def test_an_image_is_missing_or_old_until_it_was_loaded(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "oci")
    digest = layout.tag("localhost/a:dev", [layout.add(b"1")], "amd64", {})
    layout.tag("localhost/b:dev", [layout.add(b"2")], "amd64", {})
    assert missing(layout, tmp_path) == ["localhost/a:dev", "localhost/b:dev"]
    (tmp_path / LOADED).write_text(json.dumps({"localhost/a:dev": digest, "localhost/b:dev": "x"}))
    assert missing(layout, tmp_path) == ["localhost/b:dev"]


def test_a_node_links_the_files_and_copies_the_databases(tmp_path: Path) -> None:
    store, node = tmp_path / "store", tmp_path / "node"
    for path in (store, node):
        path.mkdir()
    (store / "blob").write_text("content")
    (store / "meta.db").write_text("database")
    (store / LOADED).write_text("{}")
    link_store(store, node)
    assert (node / "blob").samefile(store / "blob")
    for name in ("meta.db", LOADED):
        assert (node / name).read_text() == (store / name).read_text()
        assert not (node / name).samefile(store / name)
    (node / "blob").unlink()
    link_store(store, node)
    assert not (node / "blob").exists()


def test_an_empty_root_gives_nothing(tmp_path: Path) -> None:
    link_store(tmp_path / "store", tmp_path)
    assert list(tmp_path.iterdir()) == []
