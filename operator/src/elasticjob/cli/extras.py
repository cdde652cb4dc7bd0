"""The packages of the extra `local`, which may be missing. This file also runs on Python 3.9."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class MissingPackageError(Exception):
    """A package is not installed; the message names the package and the cure."""


@contextmanager
def imports() -> Iterator[None]:
    """Raise MissingPackageError if an import in this context finds no package of that name."""
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package == "elasticjob":
            raise
        cure = "pip install 'elasticjob[local]'"
        raise MissingPackageError(f"{missing.name} is not installed: {cure}") from missing
