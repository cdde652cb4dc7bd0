"""The ranks of workers: a function of the round alone, so that all agents compute the same."""

from __future__ import annotations

from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class Ranks:
    """The ranks of one pod in one round."""

    group_rank: int  # position of the pod among the members
    group_world: int  # number of members
    first_rank: int  # worker i of the pod has the rank first_rank + i
    world: int  # workers of all members
    first_role: int  # worker i of the pod has the role rank first_role + i
    role_world: int  # workers of all members of this role
    workers: int
    role: str


def ranks_of(round_: Round, pod: Pod) -> Ranks:
    """The ranks of a member, in the order of pod indexes: a replacement takes its index's place.

    Members may have different numbers of workers, as in torchelastic. Raises KeyError if the pod is
    no member.
    """
    own = round_.member(pod)
    if own is None:
        raise KeyError(pod)
    members = round_.members
    before = [m for m in members if m.pod.index < pod.index]
    same_role = [m for m in members if m.role == own.role]
    return Ranks(
        group_rank=len(before),
        group_world=len(members),
        first_rank=sum(m.workers for m in before),
        world=sum(m.workers for m in members),
        first_role=sum(m.workers for m in before if m.role == own.role),
        role_world=sum(m.workers for m in same_role),
        workers=own.workers,
        role=own.role,
    )
