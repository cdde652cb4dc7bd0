"""The cluster for the tests, the release of the chart in it, and a namespace for each test.

make e2e                        the cluster of `make cluster`, whose nodes can be killed
make e2e KUBECONFIG=...         any cluster; IMAGE_REGISTRY names the registry of the images
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dev.cluster.cache import Cache
from dev.kube_client import Json
from tests.support.cluster_jobs import Namespace
from tests.support.kube import Kube, until
from tests.support.machine import Machine
from tests.support.release import Release

from elasticjob.wire import names

HERE = Path(__file__).parent
FAILED = pytest.StashKey[bool]()
STRICT = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
PREFIX = "e2e-"
RECOVERIES: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder without a cluster."""
    here = [item for item in items if item.path.is_relative_to(HERE)]
    for item in here:
        item.add_marker(pytest.mark.cluster)
        if "E2E_KUBECONFIG" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="needs a cluster: make e2e"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Record which test failed, so that the fixture prints its namespace."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the recovery times from the status of the jobs."""
    if RECOVERIES:
        terminalreporter.section("recoveries, in ms, by status.lastRecovery")
        for line in RECOVERIES:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    kube = Kube(Path(os.environ["E2E_KUBECONFIG"]), os.environ["E2E_KUBECTL"].split())
    yield kube
    kube.close()


@pytest.fixture(scope="session")
def release(kube: Kube) -> Iterator[Release]:
    """Install the chart with two operators; uninstall it when all test namespaces are deleted."""
    release = Release.of(os.environ, kube)
    release.install()
    yield release
    ours = f"{PREFIX}test=true"
    until("namespaces to go", lambda: not kube.items("/api/v1/namespaces", labelSelector=ours))
    release.uninstall()


@pytest.fixture
def team(kube: Kube, release: Release, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """Create a namespace that admits restricted pods only. Print its content after a failure."""
    name = f"{PREFIX}{secrets.token_hex(4)}"
    metadata = {"name": name, "labels": {**STRICT, f"{PREFIX}test": "true"}}
    kube.post("/api/v1/namespaces", {"metadata": metadata})
    team = Namespace(kube, name, os.environ["E2E_IMAGE"], collector(request.node.name))
    until("its account", lambda: kube.exists(f"{team.path('serviceaccounts')}/default"))
    yield team
    if request.node.stash.get(FAILED, False):
        dump(team, release)
    kube.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The nodes on this machine, all of which run before and after the test."""
    if Path(os.environ["E2E_KUBECONFIG"]) != Cache.of(os.environ).kubeconfig:
        pytest.skip("stops nodes of `make cluster`: make e2e without KUBECONFIG")
    machine = Machine.here()
    machine.is_well()
    yield machine
    machine.is_well()


def collector(test: str) -> Callable[[str, Json], None]:
    """Return a function that records the recoveries of a test."""

    def record(what: str, recovery: Json) -> None:
        parts = ("total", "detect", "rendezvous", "start", "stop")
        times = "  ".join(f"{part} {recovery.get(f'{part}Millis', 0):>6}" for part in parts)
        RECOVERIES.append(f"{what:<34.34}  {times}")

    return record


def dump(team: Namespace, release: Release) -> None:
    """Print the state of a namespace, which pytest shows with the failed test."""
    here = ("-n", team.name)
    for words in (
        ("get", names.PLURAL, "-o", "yaml", *here),
        ("get", "pods,leases", "-o", "wide", *here),
        ("get", "leases", "-l", names.LABEL_JOB, "-o", "json", *here),
        ("describe", "pods", *here),
        ("get", "events", "--sort-by=.lastTimestamp", *here),
        ("logs", "--all-containers", "--prefix", "--tail=60", "-l", names.LABEL_JOB, *here),
        release.log_words(),
    ):
        text = team.kube.kubectl(*words, check=False)
        print(f"\n---- kubectl {' '.join(words)}\n{annotations(text)}")


def annotations(text: str) -> str:
    """Shorten Leases in JSON to name, annotations and spec."""
    if not text.startswith("{"):
        return text
    items = json.loads(text)["items"]
    return "\n".join(
        f"{lease['metadata']['name']} {json.dumps(lease['metadata'].get('annotations'))}"
        f" {json.dumps(lease['spec'])}"
        for lease in items
    )
