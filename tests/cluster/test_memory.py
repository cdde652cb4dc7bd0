"""A worker that eats all memory of its container: the pod is lost, and the cause is OOMKilled.

With cgroups of version 2 the kernel kills the whole container, agent included, as kubelets ask for
it. With version 1 it kills the worker alone, which is an ordinary crash; there, the test ends the
agent as well, as version 2 would have done.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.cluster_jobs import SAY, Namespace, python
from tests.support.kube import until
from tests.support.machine import Machine, agent_pid

from elasticjob.wire.member import Pod

# Only the first life of the first pod eats: its heirs run.
EATS = f"""{SAY}
if os.environ["ELASTICJOB_ROUND"] == "1" and os.environ["RANK"] == "1":
    eaten = []
    while True:
        eaten.append(b"x" * 1_000_000)
signal.pause()
"""


def test_the_cause_of_a_pod_that_ran_out_of_memory(team: Namespace, machine: Machine) -> None:
    limits = {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}}
    pod = python(team.image, EATS, resources=limits)
    job = team.start("hungry", pod=pod, replicas=2)
    uid = until("two pods", lambda: len(job.pods) == 2 and job.pods[1]["metadata"]["uid"])
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        second = job.runs(2, after=1)
        assert second.cause is not None
        assert second.cause.signal == signal.SIGKILL
        os.kill(agent_pid(uid), signal.SIGKILL)
    whole = job.recovered("a container out of memory", 2, after=1)
    whole = whole if Pod(1, 1) in whole.pods else job.recovered("its heir", 2, whole.n)
    assert whole.pods == {Pod(0, 0), Pod(1, 1)}
    failure = until("the cause", lambda: _named(job.status.get("lastFailure") or {}))
    assert failure["pod"] == "hungry-1-0"


def _named(failure: dict[str, object]) -> dict[str, object]:
    return failure if failure.get("reason") == "OOMKilled" else {}
