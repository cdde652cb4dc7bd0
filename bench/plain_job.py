"""A job without an operator: its Round Lease and its agents; nothing else writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.crew import Crew
from bench.site import LEASES, Site, until

from elasticjob.wire import lease as wire
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.names import round_lease_name
from elasticjob.wire.round import Phase, Round

HEARTBEAT_S = 5.0


class PlainJob:
    """The Round Lease of a job, and its crew."""

    def __init__(self, site: Site, name: str, desired: Desired, agent: Path, home: Path) -> None:
        self.site, self.name, self.desired = site, name, desired
        self.job = wire.Job("bench", name, f"uid-of-{name}")
        manifest = wire.round_manifest(self.job, desired, Round())
        del manifest["metadata"]["ownerReferences"]  # the collector would look for the owner
        self.made = site.made(LEASES, manifest)
        site.account(name)
        self.crew = Crew(site, name, self.job.uid, agent, home)

    @property
    def path(self) -> str:
        """Of the Round Lease."""
        return f"{LEASES}/{round_lease_name(self.name)}"

    @property
    def lease(self) -> wire.RoundLease:
        """As it is now."""
        return wire.parse_round(self.site.client.get(self.path).body)

    @property
    def holder(self) -> int:
        """Index of the holder."""
        return int(self.lease.holder.split("-")[-2])

    def want(self, desired: Desired) -> None:
        """Writes `desired`, as the operator does; the round is not waited for."""
        patch = wire.desired_patch(desired, self.lease.version)
        reply = self.site.client.patch(self.path, patch)
        if reply.code != 200:  # the holder's pulse came between
            self.want(desired)

    def parked(self, agents: int) -> None:
        """Waits until so many agents have stopped their workers and say so."""

        def ready() -> bool:
            n, phase = self.lease.round.n, self.lease.round.phase
            states = [lease.state for lease in self.site.agent_leases(self.name)]
            said = [state for state in states if state.phase is AgentPhase.READY and state.n == n]
            return phase is Phase.FORMING and len(said) == agents

        until("the end of all workers", ready)

    def end(self) -> None:
        """Agents first; the collector takes their Leases with the Round."""
        self.crew.end()
        self.site.client.delete(self.path)


def wanted(agents: int, **fields: Any) -> Desired:
    """A job of so many pods; a crash is the first again after half a second without one.

    So one job can be killed again and again without the delay that later crashes get by design.
    """
    pods = tuple(Pod(index, 0) for index in range(agents))
    base: dict[str, Any] = {
        "min_members": 1, "heartbeat_s": HEARTBEAT_S, "reset_after_s": 0.5, "cooldown_s": 0.0,
    }  # fmt: skip
    return Desired(wanted=pods, **{**base, **fields})


@contextmanager
def plain_job(
    site: Site, name: str, desired: Desired, agent: Path, root: Path
) -> Iterator[PlainJob]:
    """A job whose agents are still to be started; none is left after it."""
    home = root / name
    home.mkdir()
    job = PlainJob(site, name, desired, agent, home)
    try:
        yield job
    finally:
        job.end()
