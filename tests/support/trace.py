"""Write a history of the whole system as the commands of a scenario (tests/scenarios/README.md).

A step is a tuple of a verb and what it is about, `("perform", Pod(0, 0), "renew")`. Everything of
every agent is held, so that the replay makes these steps and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.support.protocol import letter
from tests.support.script import Block, Scenario

from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod

HELD = ("requests", "answers", "watch", "workers", "ticks")

# Steps that only decide when others happen: in a scenario, these do not happen meanwhile.
_SILENT = ("heal", "paused", "cut", "slow", "delay", "away", "return", "finishing")
_SETTINGS = {
    "min": "min_members", "budget": "max_restarts", "T": "heartbeat_s", "cooldown": "cooldown_s",
    "call": "last_call_s", "grace": "stop_grace_s",
}  # fmt: skip


def commands(desired: Desired, steps: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """The commands of a history that begins with the start of all wanted pods."""
    settings = (f"{key} {getattr(desired, field):g}" for key, field in _SETTINGS.items())
    yield f"job {' '.join(map(letter, desired.wanted))} {' '.join(settings)}"
    for pod in desired.wanted:
        yield from _start("start", letter(pod))
    for verb, *about in steps:
        if verb in _SILENT:
            yield f"# {' '.join([verb, *(_word(each) for each in about)])}"
        elif verb == "mark":
            yield f"mark {letter(about[0])}{' excused' if about[1] == 'excused' else ''}"
        elif verb in ("start", "restart"):
            yield from _start(verb, letter(about[0]))
        elif verb == "end":
            yield f"die {letter(about[0])}"
        else:
            yield " ".join([verb, *(_word(each) for each in about)])


def _start(verb: str, name: str) -> Iterator[str]:
    yield f"{verb} {name}"
    yield from (f"hold {name} {kind}" for kind in HELD)


def _word(value: Any) -> str:
    if isinstance(value, Pod):
        return letter(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def scenario(title: str, breaks: str, desired: Desired, steps: Iterable[Any]) -> Scenario:
    """A scenario of one step, without its transcript."""
    preamble = f"title: {title}\ntrace: found by a search\nbreaks: {breaks}"
    block = Block(tuple(commands(desired, steps)), ())
    return Scenario(Path(), preamble, {"title": title, "breaks": breaks}, (), (block,))
