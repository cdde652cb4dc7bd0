"""Prometheus metrics of the operator and of the jobs, in a registry of our own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.key import Key

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_RECOVERY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300)
_RECONCILE_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)


class Metrics:
    """All series. Jobs are told apart by state only: a series per job would outlive it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.leader = Gauge("elasticjob_leader", "1: this operator leads", registry=self.registry)
        self.jobs = Gauge("elasticjob_jobs", "Jobs by state", ["state"], registry=self.registry)
        self.unstable = Gauge(
            "elasticjob_jobs_unstable",
            "Jobs with many restarts that no budget counts",
            registry=self.registry,
        )
        self.ended = Counter(
            "elasticjob_jobs_ended",
            "Jobs that ended",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self.failures = Counter(
            "elasticjob_failures", "Failures that ended a round", ["cause"], registry=self.registry
        )
        self.recovery = Histogram(
            "elasticjob_recovery_seconds",
            "From a failure to the last worker's start, by parts",
            ["part"],
            buckets=_RECOVERY_BUCKETS,
            registry=self.registry,
        )
        self.pods = Counter(
            "elasticjob_pods_made", "Pods that were made", ["why"], registry=self.registry
        )
        self.reconciles = Histogram(
            "elasticjob_reconcile_seconds",
            "One reconcile of a job",
            buckets=_RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.failed_reconciles = Counter(
            "elasticjob_reconcile_errors",
            "Reconciles that failed",
            ["error"],
            registry=self.registry,
        )
        self.depth = Gauge(
            "elasticjob_queue_depth", "Jobs that wait for a worker", registry=self.registry
        )
        self.requests = Counter(
            "elasticjob_api_requests",
            "Requests to the API server; code 0: no answer",
            ["method", "resource", "code"],
            registry=self.registry,
        )
        self.delivered = Counter(
            "elasticjob_watch_events",
            "Objects that the watches delivered",
            ["resource"],
            registry=self.registry,
        )
        self.missed = Counter(
            "elasticjob_watch_missed",
            "Objects that a resync found and no watch had delivered",
            ["resource"],
            registry=self.registry,
        )
        self.unreadable = Counter(
            "elasticjob_unreadable_objects",
            "Versions of objects that were left aside because they cannot be read",
            ["resource"],
            registry=self.registry,
        )
        self._states: dict[Key, str] = {}
        self._unstable: set[Key] = set()

    def note_status(self, key: Key, old: ElasticJobStatus, new: ElasticJobStatus) -> None:
        """Count what has become different."""
        self.note_state(key, state(new))
        self.note_unstable(key, is_unstable(new))
        failure, recovery = new.last_failure, new.last_recovery
        if failure and failure != old.last_failure:
            self.failures.labels(failure.reason or "").inc()
        if recovery and recovery != old.last_recovery:
            for part in ("detect", "stop", "rendezvous", "start", "total"):
                self.recovery.labels(part).observe(
                    (getattr(recovery, f"{part}_millis") or 0) / 1000
                )
        if new.completion_time and not old.completion_time:
            outcome, _, reason = (new.phase or "").partition(": ")
            self.ended.labels(outcome, reason).inc()

    def note_state(self, key: Key, now: str) -> None:
        """Move a job from the state that it was counted under; empty: the job is gone."""
        before = self._states.pop(key, "")
        if before:
            self.jobs.labels(before).dec()
        if now:
            self._states[key] = now
            self.jobs.labels(now).inc()

    def note_unstable(self, key: Key, now: bool) -> None:
        """Whether this job is one of those that restart again and again."""
        (self._unstable.add if now else self._unstable.discard)(key)
        self.unstable.set(len(self._unstable))

    def note_gone(self, key: Key) -> None:
        """The job is gone."""
        self.note_state(key, "")
        self.note_unstable(key, False)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


def state(status: ElasticJobStatus) -> str:
    """The first word of STATUS."""
    return (status.phase or "Unknown").partition(":")[0]


def is_unstable(status: ElasticJobStatus) -> bool:
    """Whether the condition Unstable is True."""
    return any(c.type == "Unstable" and c.status == "True" for c in status.conditions or [])
