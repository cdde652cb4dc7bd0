"""The Leases of a job's agents, among all Leases that carry the labels of the job."""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.controller.observe.key import Key
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.lease import AgentLease


def key_of(body: Json) -> Key:
    """The job that has a Lease of this name, if it is that of an agent."""
    meta = body["metadata"]
    return Key(meta["namespace"], names.job_name(meta["name"]))


def of_job(bodies: Iterable[Json], job: leases.JobIdentity) -> tuple[list[AgentLease], str]:
    """Parse the Leases that have the name of a pod of this job.

    Also returns one line for the log that counts the Leases that cannot be parsed and gives the
    error of the first; empty if all can.
    """
    found: list[AgentLease] = []
    faults: list[WireError] = []
    for body in bodies:
        try:
            found.append(leases.parse_agent(body, job))
        except WireError as error:
            faults.append(error)
    if not faults:
        return found, ""
    return found, f"{len(faults)} Leases are ignored; the first: {faults[0]}"
