"""What keeps pods of a job from running, as status, conditions and events have it."""

from __future__ import annotations

from dataclasses import dataclass

# Characters of a message in a text.
LONGEST_REFUSAL = 160
LONGEST_FULL = 800
LONGEST_WHOLE = 360
TEMPLATE_REFUSED = "TemplateRefused"  # a reason: only another template helps


@dataclass(frozen=True)
class PodProblem:
    """What keeps pods of a job from running."""

    reason: str  # one word for programs: the reason of PodsReady
    text: str  # one short line for people
    full: str = ""  # the same with all that is known; empty: text is all
    shorter: tuple[str, ...] = ()  # forms of the text, for when it has no room
    count: int = 0  # the number of pods in the text; 0: it has none


def line(message: str) -> str:
    """The message on one line."""
    return " ".join(message.split())
