"""The local mode for the attacks, as for the end-to-end tests."""

from __future__ import annotations

from tests.e2e.conftest import cluster, local, pytest_pyfunc_call, python, runner

__all__ = ["cluster", "local", "pytest_pyfunc_call", "python", "runner"]
