"""`elasticjob`: the command. This file also runs on Python 3.9, to name the cure there."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence

from elasticjob.cli.extras import MissingPackageError, imports

EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if sys.version_info < (3, 11):
        return _refuse(f"needs Python 3.11 or later; this is Python {platform.python_version()}")
    try:
        with imports():
            from elasticjob.cli.commands import run
        return run(arguments)
    except MissingPackageError as missing:
        return _refuse(str(missing))


def _refuse(why: str) -> int:
    print(f"elasticjob: {why}", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
