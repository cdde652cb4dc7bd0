"""The Warnings of a pod that waits on its node: what the kubelet reports in no other place.

A volume that cannot be mounted, a missing ConfigMap or Secret, and a network that cannot be set up
are in the pod's Events only. Each user who may write Events can write some about any pod, so they
are texts for people: no plan reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from elasticjob.wire.codec import Json
from elasticjob.wire.untrusted import plain

KEPT = 3
LONGEST_MESSAGE = 300
_REASON = re.compile(r"([A-Z][a-z]+)+")
_OTHER_REASON = "PodWarning"
# Each of these shows that what was wrong before has ended. Others, such as SandboxChanged, follow a
# Warning that will be repeated.
_PROGRESS = ("Scheduled", "Pulling", "Pulled", "Created", "Started")
_SECONDS = len("2026-01-01T00:00:00")
# MountVolume.SetUp failed for volume "data" : configmap "train" not found
_VOLUME = re.compile(r'^\w+Volume\.\w+ failed for volume "([^"]*)" ?: (.*)$')
_IDENTIFIER = re.compile(r'"?\b[0-9a-f]{64}\b"?')  # of a sandbox: another one at each try


@dataclass(frozen=True)
class PodWarning:
    """What keeps a pod from starting, as an Event has it."""

    reason: str  # one CamelCase word
    message: str
    at: str  # of its last occurrence, by the clock of the component that reports it


@dataclass(frozen=True)
class PodEvents:
    """What the operator has read last of the Events of a job's pods."""

    pod_uid: str
    at: float  # seconds of the monotonic clock
    reads: int  # in a row, of any pod
    warnings: tuple[PodWarning, ...] = ()  # of this pod, the newest first


def warnings(events: Iterable[Json]) -> tuple[PodWarning, ...]:
    """The newest Warnings among the Events of a pod, unless the pod has made progress since."""
    seen = [(_time(event), event) for event in events if isinstance(event, dict)]
    progress = max((at for at, event in seen if event.get("reason") in _PROGRESS), default="")
    found = [
        PodWarning(_reason(event), _message(event), f"{at}Z" if at else "")
        for at, event in seen
        if event.get("type") == "Warning" and at >= progress
    ]
    found.sort(key=lambda warning: warning.at, reverse=True)
    different: dict[tuple[str, str], PodWarning] = {}
    for warning in found:
        different.setdefault((warning.reason, warning.message), warning)
    return tuple(different.values())[:KEPT]


def _time(event: Json) -> str:
    """The last occurrence, in whole seconds: some components report none and some fractions."""
    times = (
        _part(event, "series").get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        _part(event, "metadata").get("creationTimestamp"),
    )
    return plain(str(next((time for time in times if time), "")))[:_SECONDS]


def _part(event: Json, field: str) -> Json:
    found = event.get(field)
    return found if isinstance(found, dict) else {}


def _reason(event: Json) -> str:
    reason = str(event.get("reason") or "")[:64]
    return reason if _REASON.fullmatch(reason) else _OTHER_REASON


def _message(event: Json) -> str:
    """The message in one line: `configmap "train" not found (volume data)`."""
    text = " ".join(plain(str(event.get("message") or "no message")[:4096]).split())
    text = _IDENTIFIER.sub("...", text)
    if found := _VOLUME.match(text):
        text = f"{found[2][:LONGEST_MESSAGE]} (volume {found[1]})"
    return text[: 2 * LONGEST_MESSAGE]
