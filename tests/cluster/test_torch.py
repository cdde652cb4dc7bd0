"""The example trains with real torch, loses a worker, and continues from its checkpoint."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from tests.support.cluster_jobs import ClusterJob, Namespace, restricted
from tests.support.kube import until

CHARLM = Path(__file__).parents[2] / "examples" / "charlm.yaml"
STEPS = 150


def test_charlm_completes_and_survives_a_killed_worker(team: Namespace) -> None:
    body = yaml.safe_load(CHARLM.read_text())
    pod = body["spec"]["template"]["spec"]
    worker = pod["containers"][0]
    worker["image"] = os.environ["E2E_TORCH_IMAGE"]
    worker["env"].append({"name": "STEPS", "value": str(STEPS)})
    # torch needs a place for temporary files, as the root file system is read-only.
    worker["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})
    pod["volumes"].append({"name": "tmp", "emptyDir": {}})
    worker["resources"]["requests"] = {"cpu": "50m", "memory": "256Mi"}
    body["spec"]["template"]["spec"] = restricted(pod)
    team.kube.post(team.jobs, body)
    job = ClusterJob(team, "charlm")

    def step() -> int:
        return int((job.status.get("progress") or {}).get("step") or 0)

    first = job.runs(4, within_s=180)
    until("some steps", lambda: step() >= 30, within_s=120)
    before = step()
    job.kill_worker(2)
    job.recovered("charlm, kill -9 of a worker", 4, first.n)
    job.ends("Complete", within_s=240)
    assert step() == STEPS
    assert job.status["counted"] == 1
    log = job.log("charlm-0-0")
    found = re.findall(r"continuing after step (\d+)", log)
    assert len(found) == 1
    assert int(found[0]) >= before - 10
    assert f"step {STEPS}/{STEPS}" in log
    assert "it writes:" in log
