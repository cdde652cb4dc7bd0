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

# Steps that only decide when others happen, or change no Lease: a scenario has them as comments.
_SILENT = (
    "heal", "paused", "cut", "slow", "delay", "away", "return", "finishing", "scale", "suspend",
    "read", "plan", "conflict", "reserve", "list", "unmarked", "exists", "keep-lease", "delete",
)  # fmt: skip
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
        elif verb == "wait":
            yield f"wait {about[0]:g}"
            yield from (
                f"# heal {letter(p)} {kind}"
                for p, kind in zip(about[1::2], about[2::2], strict=True)
            )
        elif verb == "mark":
            yield f"mark {letter(about[0])} alone{' excused' if about[1] else ''}"
        elif verb == "write":
            yield _write(*about)
        elif verb in ("start", "restart"):
            yield from _start(verb, letter(about[0]))
        elif verb in _SAME:
            yield f"{_SAME[verb]} {letter(about[0])}"
        else:
            yield " ".join([verb, *(_word(each) for each in about)])


# What comes of a step for the agents, if another word stands for it.
_SAME = {"end": "die", "kill": "die", "terminate": "leave"}


def _write(desired: Desired | None, clears: bool) -> str:
    """The command for a write of the operator's part of the Round Lease."""
    if desired is None:
        return "clear"
    words = [*map(letter, desired.wanted)] or ["none"]
    if desired.charged:
        words += ["charge", ",".join(map(str, sorted(desired.charged)))]
    return " ".join(["want", *words, *["vacant"] * clears])


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
