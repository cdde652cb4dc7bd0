"""The Leases of a job's agents, among all Leases that carry the labels of the job."""

from __future__ import annotations

from dataclasses import dataclass, field

from elasticjob.controller.observe.key import Key
from elasticjob.controller.observe.rounds import why
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import pod_from_name

KEPT_FAULTS = 8  # a status names a few Leases that cannot be read


def key_of(body: Json) -> Key:
    """The job that has a Lease of this name, if it is that of an agent."""
    meta = body["metadata"]
    return Key(meta["namespace"], names.job_name(meta["name"]))


@dataclass
class AgentLeases:
    """The Leases that have the name of a pod of this job, and what is wrong with the others."""

    job: leases.JobIdentity
    found: list[AgentLease] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # Leases of this job's pods: why
    ignored: int = 0
    first_fault: str = ""

    def add(self, body: Json) -> str:
        """Parse one more Lease. Returns why one of this job's pods cannot be read, else nothing."""
        try:
            self.found.append(leases.parse_agent(body, self.job))
            return ""
        except Exception as error:
            fault = why(error)
        self.ignored += 1
        self.first_fault = self.first_fault or fault
        name = _own_name(body, self.job)
        if name and len(self.unreadable) < KEPT_FAULTS:
            self.unreadable[name] = fault
        return fault if name else ""

    @property
    def log_line(self) -> str:
        """One line that counts the ignored Leases, with the fault of the first."""
        return f"{self.ignored} Leases are ignored; the first: {self.first_fault}"


def _own_name(body: Json, job: leases.JobIdentity) -> str:
    """The name of a Lease if it is that of a pod of this job: only that pod may write it. Labels
    and content show nothing, as any Lease may have those of another job."""
    meta = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(meta, dict) or meta.get("namespace") != job.namespace:
        return ""
    name = meta.get("name")
    return name if isinstance(name, str) and pod_from_name(name, job.name) else ""
