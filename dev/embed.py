"""Put a script into a manifest, as the block under `args: - |`, so that one file is enough.

usage: dev/embed.py SCRIPT MANIFEST
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

BLOCK = "- |\n"


def embedded(script: str, manifest: str) -> str:
    """The manifest with the script as its block."""
    if "$(" in script:
        raise ValueError("Kubernetes would expand $( in arguments: write it another way")
    head, _, rest = manifest.partition(BLOCK)
    margin = len(head) - len(head.rstrip(" "))
    lines = rest.splitlines(keepends=True)
    end = next((at for at, line in enumerate(lines) if _is_outside(line, margin)), len(lines))
    block = textwrap.indent(script, " " * (margin + 2))
    return f"{head}{BLOCK}{block}{''.join(lines[end:])}"


def _is_outside(line: str, margin: int) -> bool:
    """Whether a line is after the block: its indentation is at most that of the dash."""
    return bool(line.strip()) and len(line) - len(line.lstrip(" ")) <= margin


if __name__ == "__main__":
    script, manifest = map(Path, sys.argv[1:])
    manifest.write_text(embedded(script.read_text(), manifest.read_text()))
