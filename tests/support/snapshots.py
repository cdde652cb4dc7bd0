"""Snapshots of the job `demo`, which runs without fault by default, for tests of the operator."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.jobs import elastic_job
from tests.support.protocol import JOB, T, active

from elasticjob.controller.observe import parse
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.observe.template import template_hash
from elasticjob.controller.plan import Plan, Policy, plan
from elasticjob.controller.plan import desired as desire
from elasticjob.controller.plan.actions import Action
from elasticjob.controller.report.texts import LONGEST_STATUS, clipped
from elasticjob.rendezvous.now import Now
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = 1000.0


def observed_pod(index: int, generation: int = 0, **fields: Any) -> ObservedPod:
    """A pod of the job `demo` whose agent runs."""
    pod = Pod(index, generation)
    name = f"demo-{index}-{generation}"
    defaults: dict[str, Any] = {
        "job_uid": JOB.uid,
        "template_hash": template_hash(elastic_job()),
        "container": WorkerContainer(ContainerState.RUNNING),
        "node": "node-1",
    }
    return ObservedPod(name, f"uid-{name}", pod, **{**defaults, **fields})


def remembered(**fields: Any) -> Memory:
    """What the operator remembers of the job `demo`."""
    return Memory(JOB.uid, **fields)


def ended(code: int | None = 1, **fields: Any) -> WorkerContainer:
    """A worker container that has ended."""
    return WorkerContainer(ContainerState.TERMINATED, exit_code=code, **fields)


def shown(text: str) -> str:
    """The text as STATUS contains it: cut after the last word that fits."""
    return clipped(text, LONGEST_STATUS)


def snapshot(
    *pods: ObservedPod,
    round_: Round | None = None,
    status: dict[str, Any] | None = None,
    memory: Memory | None = None,
    past_rounds: tuple[PastRound, ...] = (),
    desired: Desired | None = None,
    holder: str = "",
    report: Report | None = None,
    now: float = NOW,
    heartbeat_s: float = T,
    uncounted_restarts_per_hour: int = 12,
    **spec: Any,
) -> Snapshot:
    """A job with these pods, whose `desired` is current unless it is given.

    round_ None: an Active round of all living pods. replicas: as many as there are pods.
    """
    spec.setdefault("replicas", max(1, len({p.pod.index for p in pods})))
    body = elastic_job(**spec)
    body["metadata"] |= {"uid": JOB.uid, "resourceVersion": "5", "generation": 1}
    body["status"] = status or {}
    job = parse.job(body)
    assert job.spec is not None, job.faults
    if round_ is None:
        round_ = active(1, [p.pod for p in pods if p.living])
    made = Snapshot(
        job=job, spec=job.spec, pods=pods, lease=None, now=now, utc_now=AT, heartbeat_s=heartbeat_s,
        uncounted_restarts_per_hour=uncounted_restarts_per_hour,
        agent_hash="0123456789", memory=memory or remembered(), past_rounds=past_rounds,
    )  # fmt: skip
    time = Now(now)
    wanted = () if desire.wants_no_pods(made, time) else tuple(Pod(i, 0) for i in made.indexes)
    desired = desired or replace(desire.desired(made, time), wanted=wanted)
    lease = RoundLease("7", "uid-of-round", JOB.uid, desired, round_, holder=holder, report=report)
    return replace(made, lease=lease)


def apply(policy: Policy, s: Snapshot) -> tuple[list[Action], float]:
    """The actions of one policy, and the seconds until it runs again at the latest."""
    now = Now(s.now)
    return list(policy(s, now)), now.again_at - s.now


def actions_of(policy: Policy, s: Snapshot) -> list[Action]:
    """The actions of one policy."""
    return apply(policy, s)[0]


def assert_early_plan_changes_nothing(s: Snapshot, planned: Plan, part: float) -> None:
    """Check that an operator that wakes up early plans the same. part: of the wait, below 1."""
    wait_s = planned.again_s if planned.again_s is not None else 100_000.0
    at = s.now + part * wait_s
    if s.now <= at < s.now + wait_s:
        utc_now = s.utc_now + timedelta(seconds=at - s.now)
        early = plan(replace(s, now=at, utc_now=utc_now, memory=planned.memory))
        assert early.actions == planned.actions
