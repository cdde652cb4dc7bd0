"""The chart installs, the operators are ready, and the quickstart completes on real kubelets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.support.chart import RELEASE
from tests.support.cluster_jobs import ClusterJob, Namespace, restricted
from tests.support.kube import until
from tests.support.release import Release

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"


def test_two_operators_are_ready_and_one_leads(release: Release) -> None:
    release.is_ready()
    assert until("a leader", lambda: release.leader)


def test_helm_test_passes(release: Release) -> None:
    assert "Phase:          Succeeded" in release.helm("test", RELEASE)


@pytest.fixture
def quickstart(team: Namespace) -> ClusterJob:
    """The shipped quickstart with the image of the tests and the `restricted` security context."""
    body = yaml.safe_load(QUICKSTART.read_text())
    pod = body["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = team.image
    body["spec"]["template"]["spec"] = restricted(pod)
    team.kube.post(team.jobs, body)
    return ClusterJob(team, "quickstart")


def test_the_quickstart_completes_with_restricted_pods(
    team: Namespace, quickstart: ClusterJob
) -> None:
    quickstart.ends("Complete")
    for rank in range(4):
        log = quickstart.log(f"quickstart-{rank}-0")
        assert f"I am rank {rank} of 4" in log
        assert f"rank {rank}: step 3/3" in log
    assert quickstart.charged == set()

    def phases() -> set[str]:
        return {pod["status"]["phase"] for pod in quickstart.all_pods}

    until("the pods to end", lambda: phases() == {"Succeeded"})
    header, line = team.kube.kubectl("get", "ejob", "-n", team.name).splitlines()
    assert header.split() == ["NAME", "STATUS", "READY", "MIN", "MAX", "ROUND", "RESTARTS", "AGE"]
    assert line.split()[:5] == ["quickstart", "Complete", "4", "1", "0"]
