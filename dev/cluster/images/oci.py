"""An OCI image layout: a directory of blobs named by their digests, and an index of images."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
"""Not compressed: the layers never leave this machine."""
NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Blob:
    """A blob, as a manifest describes it."""

    digest: str
    size: int

    def descriptor(self, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


def config(layers: Iterable[Blob], arch: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return an image's configuration; a diff id is the digest of an uncompressed layer."""
    return {
        "architecture": arch,
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }


def manifest(configuration: Blob, layers: Iterable[Blob]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": configuration.descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER) for layer in layers],
    }


def encode(value: dict[str, Any]) -> bytes:
    """Return canonical JSON: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Layout:
    """An image layout in a directory."""

    directory: Path

    def path(self, digest: str) -> Path:
        """The path of a blob."""
        return self.directory / "blobs" / digest.replace(":", "/")

    def has(self, blob: Blob) -> bool:
        path = self.path(blob.digest)
        return path.exists() and path.stat().st_size == blob.size

    def add(self, data: bytes) -> Blob:
        """Store bytes."""
        blob = Blob(f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
        path = self.path(blob.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(path)
        return blob

    def adopt(self, file: Path) -> Blob:
        """Store a file by moving it."""
        with open(file, "rb") as content:
            digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        blob = Blob(digest, file.stat().st_size)
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        file.replace(path)
        return blob

    def tag(self, name: str, layers: list[Blob], arch: str, settings: dict[str, Any]) -> str:
        """Make an image and add it to the index; returns its digest."""
        configuration = self.add(encode(config(layers, arch, settings)))
        blob = self.add(encode(manifest(configuration, layers)))
        entry = blob.descriptor(MANIFEST)
        entry["annotations"] = {NAME: name}
        entry["platform"] = {"architecture": arch, "os": "linux"}
        others = [e for e in self.entries() if e["annotations"][NAME] != name]
        self._write("index.json", {"schemaVersion": 2, "manifests": [*others, entry]})
        self._write("oci-layout", {"imageLayoutVersion": "1.0.0"})
        return blob.digest

    def _write(self, name: str, value: dict[str, Any]) -> None:
        part = self.directory / f"{name}.part"
        part.write_bytes(encode(value))
        part.replace(self.directory / name)

    def entries(self) -> list[dict[str, Any]]:
        """The entries of the index."""
        try:
            entries: list[dict[str, Any]] = json.loads((self.directory / "index.json").read_text())[
                "manifests"
            ]
        except FileNotFoundError:
            return []
        return entries

    def images(self) -> dict[str, str]:
        """The images' digests by name."""
        return {e["annotations"][NAME]: e["digest"] for e in self.entries()}

    def blobs_of(self, digest: str) -> list[str]:
        """The digests of an image's manifest, configuration and layers."""
        content = json.loads(self.path(digest).read_text())
        layers = [layer["digest"] for layer in content["layers"]]
        return [digest, content["config"]["digest"], *layers]

    def prune(self, keep: Iterable[str] = ()) -> None:
        """Remove blobs of no image; `keep` names layers that a later image may use again."""
        used = {d for digest in self.images().values() for d in self.blobs_of(digest)} | set(keep)
        for path in (self.directory / "blobs" / "sha256").glob("*"):
            if f"sha256:{path.name}" not in used:
                os.unlink(path)

    def archive(self, names: Iterable[str], out: IO[bytes]) -> None:
        """Write some of the images as one tar for `ctr images import`."""
        wanted = set(names)
        entries = [e for e in self.entries() if e["annotations"][NAME] in wanted]
        digests = dict.fromkeys(d for e in entries for d in self.blobs_of(e["digest"]))
        with tarfile.open(fileobj=out, mode="w|") as tar:
            for digest in digests:
                tar.add(self.path(digest), f"blobs/{digest.replace(':', '/')}")
            index = {"schemaVersion": 2, "manifests": entries}
            for name, value in (
                ("index.json", index),
                ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
            ):
                data = encode(value)
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
