"""The commands of `elasticjob`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version

from elasticjob.cli import local


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    command: local.Command = options.command
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="elasticjob", description="PyTorch's elastic agent, native to Kubernetes."
    )
    parser.add_argument("--version", action="version", version=version("elasticjob"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    local.add_to(commands)
    return parser
