"""Layers that are made again only when their sources change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.disk import need_disk
from dev.cluster.images.layer_tar import write_layer
from dev.cluster.images.oci import Blob, Layout


@dataclass(frozen=True)
class Layers:
    """Layers in a layout, each under a key of its kind and its sources."""

    directory: Path
    layout: Layout

    @property
    def work(self) -> Path:
        """The directory for a layer's tree while the layer is made."""
        return self.directory / "work"

    def get(self, kind: str, source: str, gigabytes: float, make: Callable[[], Path]) -> Blob:
        """The layer; `make` creates its tree if the layer does not exist."""
        key, made = f"{kind} {source}", self._made()
        if key in made and self.layout.has(blob := Blob(**made[key])):
            return blob
        need_disk(self.directory, gigabytes, f"making the images' layer {kind!r}")
        tree = make()
        part = self.directory / "layer.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        write_layer(tree, part)
        blob = self.layout.adopt(part)
        shutil.rmtree(self.work, ignore_errors=True)
        self._remember(kind, key, blob)
        return blob

    def digests(self) -> list[str]:
        """The digests of all recorded layers."""
        return [Blob(**value).digest for value in self._made().values()]

    @property
    def _file(self) -> Path:
        return self.directory / "layers.json"

    def _made(self) -> dict[str, Any]:
        try:
            made: dict[str, Any] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return made

    def _remember(self, kind: str, key: str, blob: Blob) -> None:
        """Record a layer, and drop the record of an older one of its kind."""
        made = {k: v for k, v in self._made().items() if k.split()[0] != kind}
        made[key] = {"digest": blob.digest, "size": blob.size}
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(made, indent=1))
        part.replace(self._file)
