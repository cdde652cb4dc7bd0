"""Prometheus metrics of the operator and of its jobs."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from elasticjob.api.v1alpha1 import ElasticJobStatus, RecentFailure
from elasticjob.controller.observe.key import Key
from elasticjob.controller.report.state import State
from elasticjob.controller.report.texts import Word

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_RECOVERY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300)
_RECONCILE_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)


class Metrics:
    """All series. No series has the name of a job as a label: it would outlive the job."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.leader = Gauge(
            "elasticjob_leader",
            "Whether this operator leads (1) or not (0)",
            registry=self.registry,
        )
        self.jobs = Gauge(
            "elasticjob_jobs", "Jobs by the first word of STATUS", ["state"], registry=self.registry
        )
        self.unstable = Gauge(
            "elasticjob_jobs_unstable",
            "Jobs restarting often for reasons not counted against maxRestarts",
            registry=self.registry,
        )
        self.ended = Counter(
            "elasticjob_jobs_ended",
            "Jobs that have ended",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self.failures = Counter(
            "elasticjob_failures", "Failures that ended a round", ["cause"], registry=self.registry
        )
        self.recovery = Histogram(
            "elasticjob_recovery_seconds",
            "Time from the last sign of life of what failed until all members run, by part",
            ["part"],
            buckets=_RECOVERY_BUCKETS,
            registry=self.registry,
        )
        self.pods = Counter("elasticjob_pods_made", "Pods created", ["why"], registry=self.registry)
        self.reconciles = Histogram(
            "elasticjob_reconcile_seconds",
            "Time of one reconciliation of a job",
            buckets=_RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.postponed = Counter(
            "elasticjob_reconciles_postponed",
            "Reconciliations that wait because their job has cost many requests",
            registry=self.registry,
        )
        self.failed_reconciles = Counter(
            "elasticjob_reconcile_errors",
            "Reconciliations that failed",
            ["error"],
            registry=self.registry,
        )
        self.depth = Gauge(
            "elasticjob_queue_depth", "Jobs waiting for a reconciliation", registry=self.registry
        )
        self.requests = Counter(
            "elasticjob_api_requests",
            "Requests to the API server; code 0 means no answer",
            ["method", "resource", "code"],
            registry=self.registry,
        )
        self.delivered = Counter(
            "elasticjob_watch_events",
            "Objects delivered by the watches",
            ["resource"],
            registry=self.registry,
        )
        self.missed = Counter(
            "elasticjob_watch_missed",
            "Objects found by a resync that no watch had delivered",
            ["resource"],
            registry=self.registry,
        )
        self.unreadable = Counter(
            "elasticjob_unreadable_objects",
            "Versions of objects that the operator ignored because it cannot read them",
            ["resource"],
            registry=self.registry,
        )
        self._words: dict[Key, Word] = {}
        self._unstable: set[Key] = set()

    def note_status(
        self, key: Key, state: State, old: ElasticJobStatus, new: ElasticJobStatus
    ) -> None:
        """Count a job under its state, and what has changed from the old status to the new one."""
        self._note_word(key, state.word)
        self._note_unstable(key, _is_unstable(new))
        for failure in _new_failures(old, new):
            self.failures.labels(failure.reason or "").inc()
        recovery = new.last_recovery
        if recovery and recovery != old.last_recovery:
            for part in ("detect", "stop", "rendezvous", "start", "total"):
                millis = getattr(recovery, f"{part}_millis") or 0
                self.recovery.labels(part).observe(millis / 1000)
        if new.completion_time and not old.completion_time:
            self.ended.labels(state.word, state.reason).inc()

    def note_error(self, error: Exception) -> None:
        """Count a reconciliation that failed with this error."""
        self.failed_reconciles.labels(type(error).__name__).inc()

    def note_gone(self, key: Key) -> None:
        """Count a job no longer, because it does not exist."""
        self._note_word(key, None)
        self._note_unstable(key, False)

    def text(self) -> bytes:
        """All series in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _note_word(self, key: Key, word: Word | None) -> None:
        if before := self._words.pop(key, None):
            self.jobs.labels(before).dec()
        if word:
            self._words[key] = word
            self.jobs.labels(word).inc()

    def _note_unstable(self, key: Key, is_unstable: bool) -> None:
        (self._unstable.add if is_unstable else self._unstable.discard)(key)
        self.unstable.set(len(self._unstable))


def _is_unstable(status: ElasticJobStatus) -> bool:
    return any(c.type == "Unstable" and c.status == "True" for c in status.conditions or [])


def _new_failures(old: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[RecentFailure]:
    """The failures that count since the old status. The first status that lists failures may list
    one that an older release has counted."""
    known = {each.round for each in old.recent_failures or [] if each.counted}
    if old.recent_failures is None and old.last_failure:
        known.add(old.last_failure.round)
    return (x for x in new.recent_failures or [] if x.counted and x.round not in known)
