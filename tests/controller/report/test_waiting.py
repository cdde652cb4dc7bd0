"""When the operator reads the Events of which pod."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.support.snapshots import NOW, observed_pod, remembered, snapshot

from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.pod_events import PodEvents, PodWarning
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import waiting
from elasticjob.rendezvous.now import Now
from elasticjob.wire.round import Round

CREATES = WorkerContainer(ContainerState.WAITING, "ContainerCreating")
WARNING = (PodWarning("FailedMount", "m", ""),)


def waits(*waited_s: float, known: PodEvents | None = None) -> Snapshot:
    """Pods that have waited on their nodes for these times."""
    pods = [observed_pod(index, container=CREATES) for index in range(len(waited_s))]
    since = {
        Since(Lasting.NOT_STARTING, pod.uid): NOW - waited
        for pod, waited in zip(pods, waited_s, strict=True)
    }
    found = snapshot(*pods, round_=Round(), memory=remembered(since=since))
    return replace(found, pod_events=known)


def read(index: int, ago_s: float, reads: int = 1, warns: bool = False) -> PodEvents:
    return PodEvents(f"uid-demo-{index}-0", NOW - ago_s, reads, WARNING if warns else ())


@pytest.mark.parametrize(
    ("s", "expected", "again_s"),
    [
        (waits(4.0), None, 1.0),
        (waits(5.0), "demo-0-0", math.inf),
        (waits(1.0, 6.0), "demo-1-0", math.inf),  # that which has waited longest
        (waits(9.0, known=read(0, 4.0)), None, 6.0),
        (waits(15.0, known=read(0, 10.0)), "demo-0-0", math.inf),
        (waits(15.0, known=read(0, 10.0, reads=2)), None, 10.0),
        (waits(9000.0, known=read(0, 299.0, reads=60)), None, 1.0),
        (waits(9000.0, known=read(0, 300.0, reads=60)), "demo-0-0", math.inf),
        (waits(20.0, 20.0, known=read(0, 10.0, warns=True)), "demo-0-0", math.inf),
        (waits(20.0, 20.0, known=read(0, 10.0)), "demo-1-0", math.inf),
        (waits(20.0, 20.0, known=read(1, 10.0)), "demo-0-0", math.inf),
        (waits(20.0, known=read(7, 10.0, warns=True)), "demo-0-0", math.inf),  # it has started
        (waits(20.0, known=read(7, 5.0, reads=3)), None, 35.0),  # and does not reset the waits
        (waits(6.0, known=read(7, 7.0, reads=60)), "demo-0-0", math.inf),  # no pod waited then
    ],
)
def test_which_pod_is_read_when(s: Snapshot, expected: str | None, again_s: float) -> None:
    now = Now(s.now)
    found = waiting.next_to_read(s, now)
    assert (found and found.name, now.again_at - s.now) == (expected, again_s)


@pytest.mark.parametrize(
    ("s", "reads"),
    [
        (waits(5.0), 1),
        (waits(15.0, known=read(0, 10.0)), 2),
        (waits(15.0, known=read(7, 10.0, reads=4)), 5),
        (waits(5.0, known=read(7, 10.0, reads=4)), 1),
    ],
)
def test_reads_in_a_row_are_counted(s: Snapshot, reads: int) -> None:
    assert waiting.after_read(s, s.pods[0], WARNING) == PodEvents(
        "uid-demo-0-0", NOW, reads, WARNING
    )


def test_a_job_costs_few_reads() -> None:
    """Six in the first ten minutes, then one in five minutes."""
    at_first, times = waits(0.0), []
    known: PodEvents | None = None
    for second in range(3600):
        s = replace(at_first, now=NOW + second, pod_events=known)
        pod = waiting.next_to_read(s, Now(s.now))
        if pod:
            times.append(second)
            known = waiting.after_read(s, pod, ())
    assert times[:7] == [5, 15, 35, 75, 155, 315, 615]
    assert len(times) == 16
