"""Render the Helm chart with the Helm that `tests/support/programs.py` finds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import yaml
from tests.support import programs

from elasticjob.wire.codec import Json

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "elasticjob"
RELEASE, NAMESPACE = "elasticjob", "elasticjob-system"
KUBE_VERSION = "1.34.0"
IMAGE = "image.repository=registry.example.com/elasticjob-operator"


@cache
def helm() -> str:
    """The path of Helm; skips the test if there is none."""
    found = programs.helm()
    if not found:
        pytest.skip("no helm: run make programs, install it, or set HELM")
    return found


def run_helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Helm; return its output and exit code."""
    return subprocess.run([helm(), *words], capture_output=True, text=True, check=False)


@cache
def rendered(
    *settings: str, with_image: bool = True, apis: tuple[str, ...] = ()
) -> tuple[Json, ...]:
    """The objects of a release. settings: as after --set."""
    words = [word for setting in settings for word in ("--set", setting)]
    words += ["--set", IMAGE] if with_image else []
    words += [f"--api-versions={api}" for api in apis]
    place = (RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION)
    done = run_helm("template", *place, *words)
    if done.returncode:
        raise ChartError(done.stderr)
    return tuple(body for body in yaml.load_all(done.stdout, yaml.CSafeLoader) if body)


class ChartError(Exception):
    """Helm refused the values; the message is Helm's."""


def of_kind(objects: Iterable[Json], kind: str) -> list[Json]:
    """Those of a kind."""
    return [body for body in objects if body["kind"] == kind]


def one(objects: Iterable[Json], kind: str, name: str = "") -> Json:
    """The only one of a kind, or of a kind and name."""
    found = [b for b in of_kind(objects, kind) if not name or b["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]
