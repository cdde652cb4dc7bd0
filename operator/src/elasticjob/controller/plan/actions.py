"""What a plan can ask for. Each can be done twice without harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class EnsurePrerequisites:
    """See to it that the job's account, its rights and the agent are there."""


@dataclass(frozen=True)
class CreateRound:
    """Create the Round Lease."""

    desired: Desired
    round: Round


@dataclass(frozen=True)
class DeleteRound:
    """Delete the Round Lease of an older job of this name."""

    uid: str


@dataclass(frozen=True)
class Mark:
    """Mark the Lease of a pod that has ended or is given up (rule 9).

    create: where there is no Lease, create it, so that a pod that comes late cannot join. Without
    it the pod is noted as never created. excused: the pod was deleted or taken away: its
    loss is not counted.
    """

    pod: Pod
    reason: str
    create: bool = True
    excused: bool = False


@dataclass(frozen=True)
class WriteRound:
    """Change the operator's part of the Round Lease, against this version.

    desired None: unchanged. clear_holder: nobody holds (rule 9).
    """

    version: str
    desired: Desired | None = None
    clear_holder: bool = False


@dataclass(frozen=True)
class DeletePod:
    """Delete this pod with its grace."""

    name: str
    uid: str
    why: str


@dataclass(frozen=True)
class DeleteLease:
    """Delete the Lease of a pod that is gone."""

    name: str
    uid: str


@dataclass(frozen=True)
class CreatePod:
    """Reserve the generation, then create the pod. replaces: not by plan, so it is slowed down."""

    pod: Pod
    replaces: bool = False


@dataclass(frozen=True)
class ListLeases:
    """List the job's agent Leases, to hear who is alive."""


@dataclass(frozen=True)
class Later:
    """Nothing yet: plan again after so long."""

    after_s: float


Step = (
    EnsurePrerequisites
    | CreateRound
    | DeleteRound
    | Mark
    | WriteRound
    | DeletePod
    | DeleteLease
    | ListLeases
)
Action = Step | CreatePod
Actions = Iterator[Action | Later]


@dataclass
class Outcome:
    """What became of actions. refused: with the API server's words. postponed: pods among them that
    were not asked for, because another one was refused. reserved: generations of pods were written
    into the status."""

    done: list[Action] = field(default_factory=list)
    refused: dict[Action, str] = field(default_factory=dict)
    postponed: frozenset[CreatePod] = frozenset()
    reserved: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether job, Round and pods are what they were: all was refused, or was there already."""
        return not self.reserved and all(action == EnsurePrerequisites() for action in self.done)


def describe(action: Action) -> str:
    """What an action does, in words; when it is planned again, the words are the same."""
    match action:
        case EnsurePrerequisites():
            return "create what pods need"
        case CreateRound():
            return "create the Round Lease"
        case DeleteRound():
            return "delete the Round Lease of an older job"
        case Mark():
            return f"mark the Lease of pod {_place(action.pod)}"
        case WriteRound():
            return "write the Round Lease"
        case DeletePod():
            return f"delete pod {action.name}"
        case DeleteLease():
            return f"delete Lease {action.name}"
        case CreatePod():
            return f"create pod {_place(action.pod)}"
        case ListLeases():
            return "list the Leases of agents"
        case _:
            assert_never(action)


def _place(pod: Pod) -> str:
    return f"{pod.index}-{pod.generation}"
