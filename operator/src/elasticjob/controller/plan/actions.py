"""The actions of a plan. Each can be performed twice without harm."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class EnsurePrerequisites:
    """Create what pods need if it is missing: account, RoleBinding, and the agent's ConfigMap."""


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
    """Mark the Lease of a pod that has ended or is lost (rule 9)."""

    pod: Pod
    reason: str
    # Create a missing Lease, as the pod existed and must not join again; else note that it is
    # missing: the pod was never created.
    create: bool = True
    # The loss of the pod is not counted: it was deleted or disrupted, or was counted before.
    excused: bool = False


@dataclass(frozen=True)
class WriteRound:
    """Change the operator's part of this version of the Round Lease."""

    version: str
    desired: Desired | None = None  # None: unchanged
    clear_holder: bool = False  # make the holder role vacant (rule 9)


@dataclass(frozen=True)
class ReplaceRound:
    """Replace the round in this version of the Round Lease: it names pods that do not exist."""

    version: str
    desired: Desired
    round: Round
    fault: str  # the field, and what it names


class Deletion(Enum):
    """Why a pod is deleted; report/texts.py has the words."""

    JOB_ENDED = "JobEnded"
    REPLACED = "Replaced"
    LOST = "Lost"
    BLAMED = "Blamed"
    SUSPENDED = "Suspended"
    TEMPLATE_CHANGED = "TemplateChanged"
    SCALED_DOWN = "ScaledDown"
    OLDER_JOB = "OlderJob"


@dataclass(frozen=True)
class DeletePod:
    """Delete this pod with its grace."""

    name: str
    uid: str
    why: Deletion
    changed: tuple[str, ...] = ()  # the fields of the template, if it has changed


@dataclass(frozen=True)
class DeleteLease:
    """Delete the Lease of a pod that no longer exists."""

    name: str
    uid: str


@dataclass(frozen=True)
class CreatePod:
    """Reserve the generation, then create the pod."""

    pod: Pod
    replaces: bool = False  # it replaces a lost pod, so that a growing wait applies to the next one


@dataclass(frozen=True)
class ListLeases:
    """List the Leases of the job's agents, to see which of them were renewed."""


Step = (
    EnsurePrerequisites
    | CreateRound
    | DeleteRound
    | Mark
    | WriteRound
    | ReplaceRound
    | DeletePod
    | DeleteLease
    | ListLeases
)
Action = Step | CreatePod
Actions = Iterable[Action]


@dataclass(frozen=True)
class LeaseList:
    """The agent Leases of a job, as the operator has listed them."""

    found: Collection[AgentLease]
    unreadable: Mapping[str, str]  # by name: why
    judged: frozenset[Pod]  # whose agents the operator judged then
    at: float


@dataclass
class ActionResults:
    """The result of a plan's actions, also of those before an error."""

    done: list[Action] = field(default_factory=list)
    refused: dict[Action, str] = field(default_factory=dict)  # with the API server's message
    # Not requested, because an earlier creation was refused.
    postponed: frozenset[CreatePod] = frozenset()
    is_cut: bool = False  # the time of the pass was over before all were requested
    never_created: tuple[CreatePod, ...] = ()  # reserved, and not requested for this reason
    marked: list[AgentLease] = field(default_factory=list)  # Leases with the mark
    unmarked: list[Pod] = field(default_factory=list)  # pods that have no Lease, and need none
    taken: list[Pod] = field(default_factory=list)  # another owner's pod or Lease has the name
    leases: LeaseList | None = None
    ensured_at: float | None = None  # when all prerequisites of pods existed
    # The account and the RoleBinding of living pods, if they were missing or differed.
    restored: list[str] = field(default_factory=list)
    reserved: bool = False  # whether pods or a round were written into the status

    @property
    def changes_nothing(self) -> bool:
        """Whether job, Round Lease and pods are unchanged: each action was refused or was done
        before."""
        return not self.reserved and all(action == EnsurePrerequisites() for action in self.done)


def describe(action: Action, job: str = "") -> str:
    """The action in words: for people with the name of the job, else as the key of its refusals."""
    match action:
        case EnsurePrerequisites():
            return "create what pods need"
        case CreateRound():
            return "create the Round Lease"
        case DeleteRound():
            return "delete the Round Lease of an older job"
        case Mark():
            return f"mark the Lease of pod {_place(action.pod, job)}"
        case WriteRound():
            return "write the Round Lease"
        case ReplaceRound():
            return "replace the round in the Round Lease"
        case DeletePod():
            return f"delete pod {action.name}"
        case DeleteLease():
            return f"delete Lease {action.name}"
        case CreatePod():
            return f"create pod {_place(action.pod, job)}"
        case ListLeases():
            return "list the Leases of agents"
        case _:
            assert_never(action)


def _place(pod: Pod, job: str) -> str:
    place = f"{pod.index}-{pod.generation}"
    return f"{job}-{place}" if job else place
