"""Pods, and their place as members of a round."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from elasticjob.wire import names
from elasticjob.wire.codec import (
    LARGEST_SET,
    WireError,
    dump_tagged,
    load_ranges,
    load_tagged,
    short_repr,
    whole_number,
)
from elasticjob.wire.dataclasses import dataclass

PodRange = tuple[int, int, int]  # the first and last index, and the generation of all

DEFAULT_ROLE = "default"
_LONGEST_ROLE = 63
_CACHED = 8  # texts of members: neither a pulse nor a crash changes them


@dataclass(frozen=True, order=True)
class Pod:
    """One pod of a job. Its replacement has the same index and the next generation."""

    index: int
    generation: int


@dataclass(frozen=True, order=True)
class Member:
    """A pod in a round, with the number and role of its workers."""

    pod: Pod
    workers: int = 1
    role: str = DEFAULT_ROLE


def pod_from_name(name: str, job: str) -> Pod | None:
    """The pod of this job with this name; None if it is no name of such a pod."""
    try:
        pod = Pod(*names.parse_pod_name(name))
    except ValueError:
        return None
    return pod if name == names.pod_name(job, pod.index, pod.generation) else None


def is_role(text: str) -> bool:
    """Whether the text is a role: letters, digits, `-`, `_` and `.`, which may stand in a range."""
    plain = text.replace("-", "").replace("_", "").replace(".", "")
    return plain.isascii() and plain.isalnum() and len(text) <= _LONGEST_ROLE


def dump_pods(pods: Iterable[Pod]) -> str:
    """Encode pods as ranges of indexes with their generation: `0-997@0,998@2`."""
    return dump_tagged([(p.index, str(p.generation)) for p in sorted(pods)], "@")


def load_pod_ranges(text: str, what: str, most: int = LARGEST_SET) -> tuple[PodRange, ...]:
    """Decode the ranges that dump_pods encodes, in order. Raises WireError, also for more than
    `most` pods and for an index that is named twice."""
    found = load_ranges(text, "@", what, most)
    ranges = tuple(sorted((low, high, _number(tag, what)) for low, high, tag in found))
    if any(after[0] <= before[1] for before, after in zip(ranges, ranges[1:])):
        raise WireError(f"{what} names an index twice: {short_repr(text)}")
    return ranges


@lru_cache(_CACHED)
def load_pods(text: str, what: str) -> tuple[Pod, ...]:
    """Decode what dump_pods encodes. Raises WireError."""
    ranges = load_pod_ranges(text, what)
    return tuple(Pod(i, g) for low, high, g in ranges for i in range(low, high + 1))


def dump_shares(members: Iterable[Member]) -> str:
    """Encode workers and role of each member: `0-6x8,7x4`; `0-3x1:actor` if it has a role."""
    return dump_tagged([(m.pod.index, _share(m)) for m in sorted(members)], "x")


@lru_cache(_CACHED)
def load_members(pods: str, shares: str, what: str) -> tuple[Member, ...]:
    """Decode members. A pod without a share has one worker. Raises WireError."""
    found = load_pods(pods, what)
    given = dict(load_tagged(shares, "x", what, len(found)))
    return tuple(_member(pod, given.get(pod.index, "1"), what) for pod in found)


def _share(member: Member) -> str:
    role = "" if member.role == DEFAULT_ROLE else f":{member.role}"
    return f"{member.workers}{role}"


def _member(pod: Pod, share: str, what: str) -> Member:
    count, _, role = share.partition(":")
    if role and not is_role(role):
        raise WireError(f"{what} has the role {short_repr(role)}, not a plain word")
    return Member(pod, _number(count, what), role or DEFAULT_ROLE)


def _number(text: str, what: str) -> int:
    value = whole_number(text)
    if value is None:
        raise WireError(f"{what} has {short_repr(text)} where a whole number belongs")
    return value
