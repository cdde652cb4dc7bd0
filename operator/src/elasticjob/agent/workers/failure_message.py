"""The message of a worker's failure: the line that names the error, and the last lines in order.

The error is that of torch's error file (`@record`), else the one at the end of the worker's stderr.
Without either, the message is how the worker ended.
"""

from __future__ import annotations

import re
import signal

from elasticjob.wire.cause import with_end
from elasticjob.wire.untrusted import plain

LONGEST_TEXT = 65536  # characters of a report; the end of a longer one counts
_SIGNALS = range(129, 129 + 64)  # with these codes shells report the signal of a child
# Patterns are compiled by `re` when they are first used, not at an agent's start.
_COLOURS = r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
_RANK = r"\[rank\d+\]: ?"  # torch puts it before each line of an exception
_FRAME = r' +File ".*", line \d+(, in .*)?$'
_GROUP = r"^ *\| "  # before each line of an exception group
_IN_GROUP = "Exception Group Traceback (most recent call last):"
_CRASHES = ("Fatal Python error: ", "terminate called ")
_WHAT = "  what():  "  # the next line, with the text of a C++ exception


def of_report(message: str, stack: str) -> str:
    """Return the message of an exception that a worker has reported in torch's error file."""
    lines = lines_of(stack[-LONGEST_TEXT:])
    first = _exception(lines)
    if not first:
        said = dict.fromkeys(lines_of(message[-LONGEST_TEXT:]))
        first = "\n".join(said)
        lines = [] if said.keys() >= set(lines) else lines
    return with_end(first, lines, "the traceback")


def of_exit(code: int | None, stderr: str) -> str:
    """Return the message of an exit without an error file; stderr: the end of it.

    A signal is named first: an exception on stderr may be an older one, which the worker survived.
    """
    ending, lines = exit_text(code), lines_of(stderr)
    crash = _crash(lines)
    if code is not None and (code < 0 or code in _SIGNALS):
        first = f"{ending}: {crash}" if crash else ending
    else:
        first = _exception(lines) or crash or (lines[-1] if lines else ending)
    return with_end(first, lines, "stderr")


def exit_text(code: int | None) -> str:
    """Return how a worker ended: `exit code 3`, `ended by SIGKILL`.

    A shell whose child was ended by a signal exits with 128 and the number of the signal.
    """
    if code is None:
        return "failed"
    if code < 0:
        return f"ended by {_signal_name(-code)}"
    if code in _SIGNALS:
        return f"exit code {code}: {_signal_name(code - 128)} of a child, as shells report it"
    return f"exit code {code}"


def lines_of(text: str) -> list[str]:
    """Return the lines as a terminal would show them, without colours, empty lines and torch's
    prefix. Of a progress bar, which returns to the start of its line, the last state remains.
    """
    shown = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    cleaned = plain(re.sub(_COLOURS, "", "\n".join(shown))).split("\n")
    return [re.sub(_RANK, "", line, count=1).rstrip() for line in cleaned if line.strip()]


def _exception(lines: list[str]) -> str:
    """Return the line of the last exception, or empty.

    It is the first line after frames that is not indented. If the text of the exception begins on
    a later line, as that of torchrun does after a rule, both are one.
    """
    at, is_in_frames = -1, False
    in_group = any(_IN_GROUP in line for line in lines)
    texts = [re.sub(_GROUP, "", line, count=1) for line in lines] if in_group else lines
    for number, text in enumerate(texts):
        if re.match(_FRAME, text):
            is_in_frames = True
        elif is_in_frames and not text.startswith((" ", "\t")):
            at, is_in_frames = number, False
    if at < 0:
        return ""
    after = (line.strip() for line in lines[at + 1 :] if any(sign.isalnum() for sign in line))
    text = next(after, "") if texts[at].endswith(":") else ""
    return f"{texts[at]} {text}" if text else texts[at]


def _crash(lines: list[str]) -> str:
    """Return the last line with which Python or C++ report that they abort, or empty."""
    found = ""
    for line, following in zip(lines, [*lines[1:], ""]):
        if line.startswith(_CRASHES):
            is_cpp = following.startswith(_WHAT)
            found = f"{line}: {following[len(_WHAT) :]}" if is_cpp else line
    return found


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
