"""Names of pods for people: full names, with ranges for many pods, so that a text stays short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from elasticjob.controller.observe.parse import Job
from elasticjob.wire.member import Pod

_LISTED = 5
_SHORTEST_RANGE = 3  # pods; two are listed


def listed(job: Job, pods: Iterable[Pod]) -> str:
    """Pods in words: `demo-0-0 to demo-6-0, demo-8-1 and 2 more`."""
    found = [part for first, last in _ranges(pods) for part in _parts(job, first, last)]
    texts, more = (text for text, _ in found[:_LISTED]), sum(count for _, count in found[_LISTED:])
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _parts(job: Job, first: Pod, last: Pod) -> Iterator[tuple[str, int]]:
    """A range in words, each part with its number of pods."""
    count = last.index - first.index + 1
    if count >= _SHORTEST_RANGE:
        yield f"{job.pod_name(first)} to {job.pod_name(last)}", count
    else:
        yield from ((job.pod_name(pod), 1) for pod in dict.fromkeys((first, last)))


def _ranges(pods: Iterable[Pod]) -> Iterator[tuple[Pod, Pod]]:
    """The first and the last pod of each run of indexes with one generation."""
    first = last = None
    for pod in sorted(pods):
        if first is None or last is None:
            first = pod
        elif pod != Pod(last.index + 1, last.generation):
            yield first, last
            first = pod
        last = pod
    if first is not None and last is not None:
        yield first, last
