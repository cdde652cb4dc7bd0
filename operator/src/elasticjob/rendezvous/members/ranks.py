"""Ranks: a function of the round alone, so that every agent computes the same."""

from __future__ import annotations

from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class Ranks:
    """Of one pod in one round. Worker i has rank `first_rank + i`, role rank `first_role + i`.

    group_rank: position of the pod among the members; group_world: members. world: workers of all
    members; role_world: workers of this pod's role.
    """

    group_rank: int
    group_world: int
    first_rank: int
    world: int
    first_role: int
    role_world: int
    workers: int
    role: str


def ranks_of(round_: Round, pod: Pod) -> Ranks:
    """Ranks of a member, in the order of pod indexes: a replacement takes the hole of its index.

    Numbers, not names: pod 10 comes after pod 9. Running sums over different worker counts, as
    torchelastic does. Raises KeyError if the pod is no member.
    """
    me = round_.member(pod)
    if me is None:
        raise KeyError(pod)
    members = round_.members
    before = [m for m in members if m.pod.index < pod.index]
    kin = [m for m in members if m.role == me.role]
    return Ranks(
        group_rank=len(before),
        group_world=len(members),
        first_rank=sum(m.workers for m in before),
        world=sum(m.workers for m in members),
        first_role=sum(m.workers for m in before if m.role == me.role),
        role_world=sum(m.workers for m in kin),
        workers=me.workers,
        role=me.role,
    )
