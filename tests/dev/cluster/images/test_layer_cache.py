"""Layers are made again only when their sources change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dev.cluster.errors import ClusterError
from dev.cluster.images.layer_cache import Layers
from dev.cluster.images.oci import Layout


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path, Layout(tmp_path / "oci"))


def maker(layers: Layers, content: str, made: list[str]) -> Callable[[], Path]:
    def make() -> Path:
        made.append(content)
        layers.work.mkdir()
        (layers.work / "file").write_text(content)
        return layers.work

    return make


def test_a_layer_is_made_once_for_each_source(layers: Layers) -> None:
    made: list[str] = []
    first = layers.get("app", "source-1", 0, maker(layers, "one", made))
    assert layers.get("app", "source-1", 0, maker(layers, "one", made)) == first
    second = layers.get("app", "source-2", 0, maker(layers, "two", made))
    assert made == ["one", "two"]
    assert layers.digests() == [second.digest]
    assert not layers.work.exists()


def test_a_layer_whose_blob_is_gone_is_made_again(layers: Layers) -> None:
    made: list[str] = []
    blob = layers.get("app", "source", 0, maker(layers, "one", made))
    layers.layout.path(blob.digest).unlink()
    layers.get("app", "source", 0, maker(layers, "one", made))
    assert made == ["one", "one"]


def test_kinds_do_not_replace_each_other(layers: Layers) -> None:
    made: list[str] = []
    blobs = [layers.get(kind, "source", 0, maker(layers, kind, made)) for kind in ("a", "b")]
    assert layers.digests() == [blob.digest for blob in blobs]


def test_a_layer_that_would_fill_the_disk_is_refused(layers: Layers) -> None:
    with pytest.raises(ClusterError, match="Cure: make room"):
        layers.get("app", "source", 1e9, maker(layers, "one", []))
