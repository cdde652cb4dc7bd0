"""Messages of programs in a few words, for STATUS: without what only takes up its room.

The whole message is in the conditions and in `status.lastFailure`.
"""

from __future__ import annotations

import re

from elasticjob.api.v1alpha1 import LastFailure
from elasticjob.controller.report import failure
from elasticjob.controller.report.texts import clipped
from elasticjob.wire.cause import CauseKind

LONGEST = 1024  # characters that are looked at: what a worker or a webhook writes has no limit
LONGEST_END = 40  # of a chain of messages: STATUS also has a word, a count and a reason

# In this order. What is left still names the error.
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # [rank0]: [E1130 12:00:00.123 ProcessGroupNCCL.cpp:616] [PG ID 0 PG GUID 0 Rank 3]
        (r"\[(?:[Rr]ank ?\d|PG |[EWF]\d{4} )[^\]]*\]:? ?", ""),
        (r"Process group watchdog thread terminated with exception: ", ""),
        # ended by SIGABRT: terminate called after throwing an instance of 'c10::Error': text
        (
            r"(?:ended by SIGABRT: )?"
            r"terminate called after throwing an instance of '(?:\w+::)*(\w+)'",
            r"\1",
        ),
        (r"Fatal Python error: ", ""),
        (r"^(?:[A-Za-z_]\w*\.)+(?=[A-Z]\w*(?:: |$))", ""),  # torch.OutOfMemoryError: text
        (r"^(?:/[^/\s:]+)+/(?=[^/\s:]+: )", ""),  # /usr/bin/python3: text
        (r"\[Errno -?\d+\] ", ""),  # the text after the number states the same
        # '/mnt/data/a.tar', ../torch/csrc/a.cpp: the directories of a path with two or more
        (r"(?<![\w/:.~-])[~.]{0,2}(?:/[^/\s'\":,()]+){2,}/(?=[^/\s'\":,()])", ".../"),
        (r"rpc error: code = \w+ desc = ", ""),
        (r'^admission webhook "[^"]*" denied the request: ', "webhook denied: "),
        # Back-off pulling image "registry.example.com/team/train:v1"
        (r'((?:pulling|pull|unpack) image )"(?:[^"/]+/){2,}(?=[^"/]+")', r'\1".../'),
        (r'^Back-off pulling image (?=")', ""),  # as the reason before it states
    )
)
# The class of an exception whose text has several words: these name the error as well.
_CLASS = re.compile(r"^[A-Z]\w*: (?=\S+ \S)")
_KINDS = {kind.value for kind in CauseKind}


def of_failure(found: LastFailure) -> tuple[str, ...]:
    """The pod, the rank and the error; the following forms are shorter, and may have more room.

    They leave out the class of an exception, and of a worker the name of its pod.
    """
    places = dict.fromkeys((failure.culprit(found), failure.short_culprit(found)))
    return tuple(
        ": ".join(part for part in (place, error) if part)
        for place in places
        for error in dict.fromkeys(_errors(found))
    )


def _errors(found: LastFailure) -> tuple[str, str]:
    """The error, and a shorter form of it."""
    error = of_message(failure.headline(found))
    if not found.reason or found.reason in _KINDS:
        return error, _CLASS.sub("", error)
    # The reason is that of a container: OOMKilled, for example.
    return (f"{found.reason}: {error}" if error else found.reason), found.reason


def of_message(message: str) -> str:
    """The message without packages of exceptions, directories and prefixes of log lines."""
    text = " ".join(message[:LONGEST].split())
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def end_of_chain(message: str) -> str:
    """The last messages of a chain such as `cannot start: mount failed: no such device`.

    Each program puts its words before those of the program that it has called, so the last message
    is the cause.
    """
    found = ""
    for link in reversed(of_message(message[-LONGEST:]).removesuffix(": unknown").split(": ")):
        longer = f"{link}: {found}" if found else link
        if found and len(longer) > LONGEST_END:
            break
        found = longer
    return found


def fitted(texts: tuple[str, ...], room: int) -> str:
    """The first of these texts that has room; if none has, the last one, cut."""
    return next((text for text in texts if len(text) <= room), clipped(texts[-1], room))
