"""Leases of one small job, as an API server stores them."""

from __future__ import annotations

from typing import Any

from elasticjob.rendezvous.state import Identity
from elasticjob.wire import lease as wire
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import Endpoint, Phase, Round

JOB = wire.Job("team", "demo", "job-uid")
DESIRED = Desired(wanted=(Pod(0, 0), Pod(1, 0)), heartbeat_s=0.5)
FORMING = Round()


def who(index: int = 0, generation: int = 0, nonce: str = "nonce") -> Identity:
    """The agent of one pod."""
    pod = Pod(index, generation)
    return Identity(pod, f"demo-{index}-{generation}", nonce, JOB.uid, f"uid-{index}", "node")


def active(n: int = 1, *, members: int = 2, workers: int = 1, **fields: Any) -> Round:
    """An Active round of pods 0, 1, ..."""
    pods = tuple(Member(Pod(index, 0), workers) for index in range(members))
    return Round(n, Phase.ACTIVE, pods, Endpoint("127.0.0.1", 29500), starts=n, **fields)


def round_object(
    version: int = 1, *, round_: Round = FORMING, holder: str = "", job: wire.Job = JOB
) -> dict[str, Any]:
    """The Round Lease."""
    found = wire.round_manifest(job, DESIRED, round_)
    found["metadata"].update(resourceVersion=str(version), uid="round-uid")
    found["spec"] = {"holderIdentity": holder} if holder else {}
    return found


def agent_object(
    version: int = 1, *, index: int = 0, nonce: str = "nonce", job: wire.Job = JOB
) -> dict[str, Any]:
    """One agent's Lease, `ready 0`."""
    state = AgentState(AgentPhase.READY, 0)
    found = wire.agent_manifest(job, "round-uid", Pod(index, 0), nonce, state, "now", 2)
    found["metadata"].update(resourceVersion=str(version), uid=f"lease-uid-{index}")
    return found


def round_lease(version: int = 1, **fields: Any) -> wire.RoundLease:
    """The Round Lease, parsed."""
    return wire.parse_round(round_object(version, **fields))


def agent_lease(version: int = 1, **fields: Any) -> wire.AgentLease:
    """One agent's Lease, parsed."""
    return wire.parse_agent(agent_object(version, **fields), fields.get("job", JOB))
