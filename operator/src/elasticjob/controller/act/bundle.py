"""The agent as one file: a zip that any Python from 3.9 on can run.

Pods mount it from a ConfigMap that is named after its hash, and check the hash before they run it.
So every build must produce the same bytes: names are sorted, times are fixed, and nothing is
compressed, because compressors differ between builds of zlib. This module reads the agent's files
and imports none of them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FILE_NAME = "agent.pyz"

_PACKAGE = Path(__file__).parents[2]
_PARTS = ("wire", "files", "rendezvous", "agent")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_UNIX = 3
_READ_ONLY_FILE = 0o100444 << 16


@dataclass(frozen=True)
class Bundle:
    """The agent's zip."""

    data: bytes

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the content."""
        return hashlib.sha256(self.data).hexdigest()


def build(package: Path = _PACKAGE) -> Bundle:
    """Build the zip from the elasticjob package at this path: the agent and what it imports."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(_files(package)):
            archive.writestr(_entry(name), path.read_bytes())
    return Bundle(out.getvalue())


def _files(package: Path) -> Iterator[tuple[str, Path]]:
    """Names in the zip, each with the path of its content."""
    yield "__main__.py", package / "agent" / "__main__.py"
    yield "elasticjob/__init__.py", package / "__init__.py"
    for part in _PARTS:
        for path in (package / part).rglob("*.py"):
            yield f"elasticjob/{path.relative_to(package).as_posix()}", path


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = _READ_ONLY_FILE
    return entry


def main(arguments: Sequence[str]) -> None:
    """Write the bundle to a file and print its hash."""
    program = "python -m elasticjob.controller.act.bundle"
    parser = argparse.ArgumentParser(prog=program, description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    output: Path = parser.parse_args(arguments).output
    bundle = build()
    output.write_bytes(bundle.data)
    print(bundle.hash)


if __name__ == "__main__":
    main(sys.argv[1:])
