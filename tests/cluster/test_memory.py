"""A worker that uses all memory of its container: the pod is lost, and the cause is OOMKilled.

With cgroups of version 2 the kernel kills the whole container with the agent, because kubelets
configure it so. With version 1 it kills the worker only, which is an ordinary crash; there, the
test also kills the agent, as version 2 would.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.cluster_jobs import SAY, Namespace, python
from tests.support.kube import until
from tests.support.machine import Machine, agent_pid

from elasticjob.wire.member import Pod

# Only the first generation of pod 1 does so in round 1; its replacements run.
USES_ALL_MEMORY = f"""{SAY}
if os.environ["ELASTICJOB_ROUND"] == "1" and os.environ["RANK"] == "1":
    used = []
    while True:
        used.append(b"x" * 1_000_000)
signal.pause()
"""


def test_the_cause_of_a_pod_that_ran_out_of_memory(team: Namespace, machine: Machine) -> None:
    limits = {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}}
    pod = python(team.image, USES_ALL_MEMORY, resources=limits)
    job = team.start("hungry", pod=pod, replicas=2)
    uid = until("two pods", lambda: len(job.pods) == 2 and job.pods[1]["metadata"]["uid"])
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        second = job.runs(2, after=1)
        assert second.cause is not None
        assert second.cause.signal == signal.SIGKILL
        os.kill(agent_pid(uid), signal.SIGKILL)
    whole = job.recovered("a container out of memory", 2, after=1)
    whole = whole if Pod(1, 1) in whole.pods else job.recovered("its replacement", 2, whole.n)
    assert whole.pods == {Pod(0, 0), Pod(1, 1)}
    failure = until("the cause", lambda: _named(job.status.get("lastFailure") or {}))
    assert failure["pod"] == "hungry-1-0"


def _named(failure: dict[str, object]) -> dict[str, object]:
    return failure if failure.get("reason") == "OOMKilled" else {}
