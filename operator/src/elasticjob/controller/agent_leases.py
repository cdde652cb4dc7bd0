"""The agents' Leases of one job, among whatever Leases are labelled as its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from elasticjob.wire import lease as leases
from elasticjob.wire.codec import WireError
from elasticjob.wire.lease import AgentLease

Json = dict[str, Any]

log = logging.getLogger(__name__)


def of_job(bodies: Iterable[Json], job: leases.Job) -> list[AgentLease]:
    """The Leases that can be read and have the name of a pod of this job.

    Others are left out: one line says how many, and why the first of them is.
    """
    found: list[AgentLease] = []
    faults: list[WireError] = []
    for body in bodies:
        try:
            found.append(leases.parse_agent(body, job))
        except WireError as error:
            faults.append(error)
    if faults:
        where = f"{job.namespace}/{job.name}"
        log.warning("%s: %d Leases are ignored; the first: %s", where, len(faults), faults[0])
    return found
