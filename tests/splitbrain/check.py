"""Check the invariants I1 to I3 in what the workers of one job have recorded, and in nothing else.

Each rule yields its violations as texts. docs/protocol.md has the invariants.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from tests.splitbrain.records import Start

from elasticjob.wire.names import parse_pod_name

Rule = Callable[[Sequence[Start]], Iterator[str]]


def violations(starts: Sequence[Start]) -> list[str]:
    """What contradicts the invariants, by rule."""
    ordered = sorted(starts, key=lambda start: start.at)
    return [f"{rule.__name__}: {text}" for rule in RULES for text in rule(ordered)]


def a_number_has_one_group(starts: Sequence[Start]) -> Iterator[str]:
    """I1: two rounds of one number would differ in their members or master."""
    for first, start in _next_to_first(starts, lambda start: start.n):
        if (first.world, first.master) != (start.world, start.master):
            yield f"{start.name} has {_group(start)}, and {first.name} has {_group(first)}"
        if start.rank >= start.world:
            yield f"{start.name} is in a group of {start.world}"


def a_rank_runs_once(starts: Sequence[Start]) -> Iterator[str]:
    """I2: each rank of a round runs at most once, by one incarnation."""
    for first, start in _next_to_first(starts, lambda start: (start.n, start.rank)):
        yield f"{start.name} repeats {first.name}"


def a_round_has_one_pod_per_index(starts: Sequence[Start]) -> Iterator[str]:
    """I2: a round has one pod per index, and one incarnation of it."""
    for first, start in _next_to_first(starts, lambda start: (start.n, _index(start.pod))):
        if (first.pod, first.incarnation) != (start.pod, start.incarnation):
            yield f"{start.name} has the index of {first.name}"


def rounds_of_a_pod_increase(starts: Sequence[Start]) -> Iterator[str]:
    """I1, I3: no pod starts a round again, or one that is older than a round that it has run."""
    newest: dict[str, Start] = {}
    for start in starts:
        before = newest.setdefault(start.pod, start)
        if start.n < before.n:
            yield f"{start.name} starts after {before.name}"
        else:
            newest[start.pod] = start


def older_workers_have_ended(starts: Sequence[Start]) -> Iterator[str]:
    """Rule 3: no worker of an older round of the pod is alive when a newer one starts."""
    for pod in {start.pod for start in starts}:
        of_pod = [start for start in starts if start.pod == pod]
        for before, start in itertools.pairwise(of_pod):
            if not start.is_alone:
                yield f"{start.name} starts while another worker of its pod is alive"
            elif before.n < start.n and (before.ended_at or 0.0) > start.at:
                yield f"{start.name} starts before {before.name} has ended"


RULES: tuple[Rule, ...] = (
    a_number_has_one_group,
    a_rank_runs_once,
    a_round_has_one_pod_per_index,
    rounds_of_a_pod_increase,
    older_workers_have_ended,
)


def _next_to_first(
    starts: Sequence[Start], key: Callable[[Start], object]
) -> Iterator[tuple[Start, Start]]:
    """Each start with a key that an earlier one has, after that earlier one."""
    first: dict[object, Start] = {}
    for start in starts:
        found = first.setdefault(key(start), start)
        if found is not start:
            yield found, start


def _index(pod: str) -> int:
    return parse_pod_name(pod)[0]


def _group(start: Start) -> str:
    return f"{start.world} ranks at {start.master}"
