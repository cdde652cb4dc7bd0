"""Seeded bugs of the kinds that people make, each a text that is replaced in a shipped function."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One bug. old: occurs once in the function; new: what replaces it."""

    name: str
    text: str
    module: str  # below elasticjob
    function: str
    old: str
    new: str
    by: tuple[str, ...] = ()  # catchers that must each find it


BUGS: tuple[Bug, ...] = (
    Bug(
        "no-cas",
        "a write has no resourceVersion",
        "wire.lease",
        "_patch",
        '{"resourceVersion": version}',
        "{}",
    ),
    Bug(
        "number-reused",
        "a round does not count the highest number received",
        "rendezvous.members.decide",
        "next_n",
        "max(case.round.n, case.highest_n)",
        "case.round.n",
    ),
)
