"""Layers that are made once for what they are made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.disk import need_disk
from dev.cluster.layer import write_layer
from dev.cluster.oci import Blob, Layout


@dataclass(frozen=True)
class Layers:
    """Layers in a layout, each under a key: its kind, and what it is made from."""

    directory: Path
    layout: Layout

    @property
    def work(self) -> Path:
        """Where a layer's tree is made; removed when it has been."""
        return self.directory / "work"

    def get(self, kind: str, source: str, gigabytes: float, make: Callable[[], Path]) -> Blob:
        """The layer; `make` gives its tree if it has to be made now."""
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
        """Of all layers that may be asked for again."""
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
        """Note a layer; one of its kind that was made from older sources is forgotten."""
        made = {k: v for k, v in self._made().items() if k.split()[0] != kind}
        made[key] = {"digest": blob.digest, "size": blob.size}
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(made, indent=1))
        part.replace(self._file)
