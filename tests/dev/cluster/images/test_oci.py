"""Image layouts: digests and archives."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from dev.cluster.images.oci import NAME, Blob, Layout

EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "oci")


def layer(layout: Layout, content: bytes) -> Blob:
    return layout.add(content)


def test_blobs_are_named_by_their_digest(layout: Layout, tmp_path: Path) -> None:
    added = layout.add(b"text")
    assert added == Blob("sha256:" + hashlib.sha256(b"text").hexdigest(), 4)
    assert layout.path(added.digest).read_bytes() == b"text"
    file = tmp_path / "file"
    file.write_bytes(b"text")
    assert layout.adopt(file) == added
    assert not file.exists()
    assert layout.has(added)
    assert not layout.has(Blob(added.digest, 5))
    assert not layout.has(Blob(EMPTY, 0))


def test_equal_contents_give_equal_images(layout: Layout) -> None:
    one = layer(layout, b"one")
    first = layout.tag("localhost/a:dev", [one], "amd64", {"Cmd": ["x"], "Env": ["A=1"]})
    again = layout.tag("localhost/a:dev", [one], "amd64", {"Env": ["A=1"], "Cmd": ["x"]})
    assert first == again
    assert layout.images() == {"localhost/a:dev": first}
    assert layout.tag("localhost/a:dev", [one], "amd64", {"Cmd": ["y"]}) != first


def test_manifest_and_configuration_name_the_layers(layout: Layout) -> None:
    layers = [layer(layout, content) for content in (b"one", b"two")]
    digest = layout.tag("localhost/a:dev", layers, "arm64", {"User": "1"})
    manifest = json.loads(layout.path(digest).read_text())
    assert [Blob(x["digest"], x["size"]) for x in manifest["layers"]] == layers
    config = json.loads(layout.path(manifest["config"]["digest"]).read_text())
    assert config["rootfs"]["diff_ids"] == [blob.digest for blob in layers]
    assert (config["architecture"], config["config"]) == ("arm64", {"User": "1"})
    assert layout.blobs_of(digest) == [
        digest,
        manifest["config"]["digest"],
        *(blob.digest for blob in layers),
    ]


def test_an_archive_has_the_named_images_and_each_blob_once(layout: Layout) -> None:
    shared, own = layer(layout, b"shared"), layer(layout, b"own")
    layout.tag("localhost/a:dev", [shared], "amd64", {})
    wanted = layout.tag("localhost/b:dev", [shared, own], "amd64", {})
    out = io.BytesIO()
    layout.archive(["localhost/b:dev"], out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        names = tar.getnames()
        index = json.load(tar.extractfile("index.json") or io.BytesIO())
    assert [e["annotations"][NAME] for e in index["manifests"]] == ["localhost/b:dev"]
    blobs = [f"blobs/{digest.replace(':', '/')}" for digest in layout.blobs_of(wanted)]
    assert names == [*blobs, "index.json", "oci-layout"]


def test_pruning_removes_blobs_of_no_image_unless_they_are_kept(layout: Layout) -> None:
    old, new, kept = (layer(layout, content) for content in (b"old", b"new", b"kept"))
    layout.tag("localhost/a:dev", [old], "amd64", {})
    layout.tag("localhost/a:dev", [new], "amd64", {})
    layout.prune([kept.digest])
    assert [layout.has(blob) for blob in (old, new, kept)] == [False, True, True]
