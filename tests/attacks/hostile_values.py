"""Values that a hostile writer puts into Leases, drawn by a seeded generator."""

from __future__ import annotations

import json
import random
from typing import Any

CONTROLS = "\x1b]0;title\x07\x1b[2J\u202eevil\r\n\x00"
HUGE = 2**53
LARGE = 200_000
"""Characters. The API server stores up to 256 KiB of annotations in an object."""

BROKEN = (
    "",
    "null",
    "[]",
    "not a record",
    "[" * 30_000,
    '{"v":' * 20_000,
    '{"v":1,"n":' + "9" * 5000 + "}",
    '{"v":1,"n":1e999}',
    '{"v":1,"n":NaN}',
    '{"v":1,"n":-1}',
    '{"v":2}',
    '{"v":true}',
    '{"v":1,"n":1,"n":2}',
    '{"v":1,"state":"\\ud800"}',
    '{"v":1,"\\u0000":1}',
    "x" * LARGE,
    '{"v":1,"pad":"' + "x" * LARGE + '"}',
    CONTROLS,
)
MEMBERS = (
    "",
    "0@0",
    "0-1@0",
    "0-99999@0",
    "0-49999@0,50000-99999@1",
    "0-99999@0,100000-200000@0",
    f"0@{HUGE}",
    f"{HUGE}@0",
    "0@0,0@1",
    "5-1@0",
    "\u00b9-\u00b2@\u00b3",
    "0",
    ",",
    ",".join(f"{index}@0" for index in range(0, 20_000, 2)),
)
SHARES = ("", "0x30", "0-99999x1000000", f"0x{HUGE}", "0-99999x256", "0x0", "x")
NUMBERS = (0, 1, 2, 255, 9999, HUGE - 1, HUGE, -1, 10**30, 1.5, "1", None, True)
TEXTS = (CONTROLS, "x" * 5000, "\ud800", "", "victim", "../../etc/passwd", 7, None, {"a": []})
ADDRESSES = (
    "127.66.66.66",
    "169.254.169.254",
    "127.0.0.1\x00",
    "evil.example.com",
    "::1",
    "0.0.0.0",
    "-oProxyCommand=id",
    CONTROLS,
    7,
)


def broken(draw: random.Random) -> str:
    """An annotation that is no record."""
    return draw.choice(BROKEN)


def agent(draw: random.Random, n: int, victim: str) -> str:
    """The state of an agent, with wrong values in some fields."""
    return _record(
        draw,
        {"state": draw.choice(("ready", "running", "done", "failed")), "n": n, "workers": 1},
        {
            "state": ("done", "failed", "absurd", 3),
            "n": (*NUMBERS, n + 1),
            "leaving": (True, "true", 1),
            "podUid": TEXTS,
            "node": TEXTS,
            "address": ADDRESSES,
            "portBase": (*NUMBERS, 22, 70_000),
            "workers": (*NUMBERS, 30, 10**9),
            "role": TEXTS,
            "cause": (cause(draw, victim),),
            "startMs": NUMBERS,
            "stopMs": NUMBERS,
            "detectMs": NUMBERS,
            "progress": ({"step": HUGE}, {"step": -1}, {"step": 1, "total": HUGE}, [], "x"),
        },
    )


def round_(draw: random.Random, n: int, victim: str) -> str:
    """A round of the writer's job, with wrong values in some fields."""
    return _record(
        draw,
        {"n": n, "phase": "Active", "members": "0@0", "workers": "", "starts": n},
        {
            "n": (*NUMBERS, n + 1000),
            "phase": ("Forming", "Succeeded", "Failed", "Absurd", 3),
            "members": MEMBERS,
            "workers": SHARES,
            "master": tuple({"address": each, "portBase": 22} for each in ADDRESSES),
            "cause": (cause(draw, victim),),
            "charged": ("0-99999", f"0-{HUGE}", "1,2,3", "x"),
            "chargedOlder": NUMBERS,
            "forgiven": NUMBERS,
            "delayMs": NUMBERS,
            "starts": NUMBERS,
            "resets": NUMBERS,
        },
    )


def report(draw: random.Random, n: int) -> str:
    """The report of a holder, with wrong values in some fields."""
    recovery = {key: draw.choice(NUMBERS) for key in ("n", "detectMs", "stopMs", "startMs")}
    return _record(
        draw,
        {"n": n, "running": "0@0"},
        {
            "n": NUMBERS,
            "running": MEMBERS,
            "outside": (True, "true"),
            "silent": MEMBERS,
            "delayMs": NUMBERS,
            "joinWait": ({"for": "Cooldown", "leftMs": HUGE}, {"for": 3}, {"leftMs": -1}, []),
            "recovery": (recovery, [], "x"),
            "progress": ({"step": HUGE, "total": 1}, {"step": -1}, []),
        },
    )


def cause(draw: random.Random, victim: str) -> dict[str, Any]:
    """A cause that blames the victim's pods, with wrong values."""
    kinds = ("WorkerFailed", "WorkerSignaled", "PodEnded", "PodSilent", "StartFailed", "Absurd")
    return {
        "kind": draw.choice(kinds),
        "pod": draw.choice((f"{victim}-0-0", *TEXTS)),
        "node": draw.choice(TEXTS),
        "message": draw.choice((CONTROLS * 1000, *TEXTS)),
        **{key: draw.choice(NUMBERS) for key in ("rank", "code", "signal", "n", "afterMs")},
    }


def spec(draw: random.Random, victim: str) -> dict[str, Any]:
    """Fields of a Lease's spec."""
    fields = {
        "holderIdentity": (f"{victim}-0-0", "x" * 5000, CONTROLS, "", None),
        "renewTime": ("2099-01-01T00:00:00.000000Z", "1970-01-01T00:00:00.000000Z", "now", None),
        "leaseDurationSeconds": (1, 2**31 - 1, 0, -1, None),
        "leaseTransitions": (2**31 - 1, -1, None),
        "acquireTime": ("2099-01-01T00:00:00.000000Z", None),
    }
    return {key: draw.choice(values) for key, values in _some(draw, fields)}


def _record(draw: random.Random, base: dict[str, Any], wrong: dict[str, tuple[Any, ...]]) -> str:
    changed = {key: draw.choice(values) for key, values in _some(draw, wrong)}
    return json.dumps({"v": 1, **base, **changed}, separators=(",", ":"))


def _some(
    draw: random.Random, fields: dict[str, tuple[Any, ...]]
) -> list[tuple[str, tuple[Any, ...]]]:
    return draw.sample(sorted(fields.items()), draw.randint(1, 3))
