"""How many requests one job may cost: a token bucket for each job.

Code in a worker can write any text at any rate. Its job costs a bounded rate of requests, and other
jobs keep theirs. What a job needs grows with its pods: each one is created, marked and deleted, and
its changes are written into the status. So the bucket grows with the pods that exist, which a quota
limits, and not with a number in a spec. Pods that are gone count for what is left of the requests
that they have cost: else a job that has deleted them all would wait, suspended, for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from elasticjob.controller.observe.key import Key

AT_ONCE = 200  # several failures in a row, each with reads, a new pod, a status and events
AT_ONCE_PER_POD = 10  # to create, mark, delete and replace all pods at once, twice
PER_S = 10.0
PER_S_PER_POD = 0.1


@dataclass(frozen=True)
class _Spent:
    """The requests that are not yet paid for."""

    requests: float
    at: float
    pods: float  # that count


class Allowance:
    """The requests of all jobs. Callers pass the time, in seconds of one clock, and the number of
    the job's pods."""

    def __init__(self) -> None:
        self._spent: dict[Key, _Spent] = {}  # by the time of the last request

    def wait_s(self, key: Key, pods: int, now: float) -> float:
        """The time until the job may cost requests again; 0: now."""
        left = self._left(key, pods, now)
        excess = left.requests - AT_ONCE - AT_ONCE_PER_POD * left.pods
        return max(0.0, excess / _per_s(left.pods))

    def take(self, key: Key, requests: int, pods: int, now: float) -> None:
        """Note that the job has cost these requests."""
        left = self._left(key, pods, now)
        self._spent.pop(key, None)
        if left.requests + requests > 0:
            self._spent[key] = replace(left, requests=left.requests + requests)
        self._forget_oldest(now)

    def _left(self, key: Key, pods: int, now: float) -> _Spent:
        """The requests that are not yet paid for now, and the pods that count."""
        found = self._spent.get(key)
        if found is None:
            return _Spent(0.0, now, pods)
        paid = _per_s(max(pods, found.pods)) * (now - found.at)
        left = max(0.0, found.requests - paid)
        return _Spent(left, now, max(pods, found.pods * left / found.requests))

    def _forget_oldest(self, now: float) -> None:
        """Forget jobs whose requests are paid for, so that names that come and go cost nothing."""
        while self._spent:
            key, found = next(iter(self._spent.items()))
            if found.requests > PER_S * (now - found.at):
                return
            del self._spent[key]


def _per_s(pods: float) -> float:
    return PER_S + PER_S_PER_POD * pods
