"""Read scenario files, run their commands and write the transcript of what the agents do.

A file has a header, then steps. A step is one command a line, `----`, and what came of it:

    die C
    fail B
    go
    ----
    B  worker of 1 failed -> stop 1 for 3 s; write 2 Active A B C charged 2 for WorkerFailed
    =  2 Active A B C charged 2 for WorkerFailed; holder A
    ...

Lines that begin with a letter are an agent's: what it learned, and what it did then. `=` is the
Round Lease as it is now, `t` the time in seconds. Renewals without a change and pulses are
not shown. Names of pods are letters: `B'` replaces `B`. README.md has the commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from tests.support import meeting as m
from tests.support import transcript as words
from tests.support.meeting import Meeting, Step
from tests.support.mutants import without as leaving_out
from tests.support.protocol import desired, lease, letter, name, pod

from elasticjob.rendezvous.events import (
    FailureNoticed,
    LeaveRequested,
    Tick,
    WorkerExited,
    WorkersReaped,
)
from elasticjob.rendezvous.timing import millis
from elasticjob.wire.cause import Cause, CauseKind

RULER = "----"
RESTLESS = "*  the agents never come to rest"


# ---- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Commands as they stand in the file, and their transcript."""

    commands: tuple[str, ...]
    transcript: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """One file. header: its fields. without: (clause, what the transcript has only without it)."""

    path: Path
    preamble: str
    header: dict[str, str]
    without: tuple[tuple[str, str, str], ...]
    blocks: tuple[Block, ...]

    @property
    def clauses(self) -> tuple[str, ...]:
        """Names of the clauses that close the trace."""
        return tuple(part.strip() for part in self.header.get("closed by", "").split(",") if part)

    def text(self, transcripts: list[list[str]]) -> str:
        """The file with these transcripts."""
        steps = [
            "\n".join([*block.commands, RULER, *lines])
            for block, lines in zip(self.blocks, transcripts)
        ]
        return "\n\n".join([self.preamble, *steps]) + "\n"


def read(path: Path) -> Scenario:
    """Parses a file."""
    preamble, *steps = path.read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    header: dict[str, str] = {}
    without: list[tuple[str, str, str]] = []
    for line in preamble.replace("\n  ", " ").splitlines():
        key, _, value = line.partition(": ")
        if key.startswith("without "):
            clause, _, verb = key[len("without ") :].partition(", ")
            without.append((clause, verb, value.strip()))
        else:
            header[key] = value.strip()
    return Scenario(path, preamble, header, tuple(without), tuple(map(_block, steps)))


def _block(step: str) -> Block:
    commands, _, transcript = step.partition(f"\n{RULER}")
    return Block(tuple(commands.splitlines()), tuple(transcript.strip("\n").splitlines()))


def replay(scenario: Scenario, without: str = "") -> list[list[str]]:
    """The transcript of each step, with some clauses left out."""
    runner = ScenarioRunner()
    transcripts = []
    with leaving_out(*without.split()):
        for block in scenario.blocks:
            for command in block.commands:
                runner.run(command)
            transcripts.append(runner.take())
    return transcripts


# ---- commands ------------------------------------------------------------------------------------


class ScenarioRunner:
    """Run the commands of a scenario and write its transcript."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_over = False
        self.shown_at = 0.0
        self.shown_round = ""
        self.reported: dict[str, str] = {}
        self.wanted: dict[str, Any] = {}
        self.meeting = Meeting(desired())
        self.commands: dict[str, Callable[..., None]] = {
            "job": self.job, "start": self.start, "rest": self.rest, "go": self.go,
            "wait": self.wait, "show": self.show, "fail": self.fail, "report": self.report,
            "fatal": self.fatal, "finish": self.finish, "leave": self.leave, "die": self.die,
            "restart": self.restart, "cut": self.cut, "heal": self.heal, "hold": self.hold,
            "free": self.free, "perform": self.perform, "lose": self.lose, "tick": self.tick,
            "deliver": self.deliver, "work": self.work, "mark": self.mark, "want": self.want,
            "mute": self.mute, "dark": self.dark, "clear": self.clear, "drop": self.drop,
            "delete-lease": self.delete_lease, "forge": self.forge, "answer": self.answer,
            "delete-forged": self.delete_forged,
        }  # fmt: skip

    def run(self, command: str) -> None:
        """One line of a file."""
        verb, *words = command.partition("#")[0].split() or [""]
        if self.is_over or not verb:
            return
        try:
            self.commands[verb](*words)
        except m.RestlessError:
            self.is_over = True
            self.write(RESTLESS)

    def take(self) -> list[str]:
        """What was written since the last step."""
        lines, self.lines = self.lines, []
        return lines

    def write(self, line: str) -> None:
        """One line, after the time if it has moved."""
        if self.meeting.now != self.shown_at:
            self.shown_at = self.meeting.now
            self.lines.append(f"t  {self.shown_at:g} s")
        self.lines.append(line)

    # ---- the job ---------------------------------------------------------------------------------

    def job(self, *words: str) -> None:
        """`job A B C min 2 budget 1`: a new job; no agent has started."""
        calls = {"cooldown_s": 0.0, "last_call_s": 30.0}
        self.wanted = _wanted(words, calls)
        self.meeting = Meeting(desired(**self.wanted))
        self.meeting.on_step = self.record_step

    def start(self, *letters: str) -> None:
        """Pods are made and their agents start."""
        for letter_ in letters:
            self.meeting.start(letter_)

    def rest(self, *letters: str) -> None:
        """Agents start, and everything happens until they rest; only the end is shown."""
        self.start(*letters)
        for until in (0.0, self.meeting.now + 5.0, self.meeting.now + 10.0):
            self.quietly(until)
        self.shown_at, self.lines = self.meeting.now, []
        self.show()

    def quietly(self, until: float) -> None:
        """Time goes by."""
        self.meeting.go()
        while self.meeting.tick(until):
            self.meeting.go()
        self.meeting.go()

    def go(self) -> None:
        """All that can happen at this moment."""
        self.meeting.go()
        self.show_round()

    def wait(self, seconds: str) -> None:
        """Time goes by, and all that happens then happens."""
        until = self.meeting.now + float(seconds)
        self.go()
        while self.meeting.tick(until):
            self.go()
        self.go()

    def show(self) -> None:
        """The Round Lease, and the state in each Lease."""
        self.shown_round = ""
        self.show_round()
        for found in self.meeting.server.leases():
            self.write(f"   {letter(found.pod)} reports {words.lease_state(found)}")

    # ---- what happens to agents ------------------------------------------------------------------

    def fail(self, letter_: str, timed: str = "") -> None:
        """A worker ends with 1. `timed`: its cause has the time since the round began."""
        after_ms = self._age_ms(letter_) if timed else None
        self._exit(letter_, CauseKind.WORKER_FAILED, False, after_ms)

    def report(self, letter_: str) -> None:
        """A worker that runs on has written an error file."""
        n, after_ms = self._running(letter_), self._age_ms(letter_)
        cause = Cause(CauseKind.WORKER_FAILED, name(letter_), n=n, after_ms=after_ms)
        self.meeting.feed(letter_, FailureNoticed(n, cause))

    def fatal(self, letter_: str) -> None:
        """A worker ends with a code that no restart can cure."""
        self._exit(letter_, CauseKind.START_FAILED, fatal=True)

    def finish(self, letter_: str) -> None:
        """All workers end with 0 and are reaped."""
        n = self._running(letter_)
        self.meeting.feed(letter_, WorkerExited(n))
        self.meeting.feed(letter_, WorkersReaped(n))

    def leave(self, letter_: str) -> None:
        """SIGTERM."""
        self.meeting.feed(letter_, LeaveRequested())

    def die(self, letter_: str) -> None:
        """The agent and its workers are gone; no other agent is informed."""
        self.meeting.end(letter_)

    def restart(self, letter_: str) -> None:
        """Another incarnation in the same pod: the runtime lost its state."""
        self.meeting.end(letter_)
        self.meeting.start(letter_, nonce=f"another-{letter_}")

    def cut(self, letter_: str) -> None:
        """Requests get no answer, the stream brings nothing."""
        player = self.meeting.players[letter_]
        player.fails = True
        player.held.add("watch")

    def heal(self, letter_: str) -> None:
        """The network is back."""
        player = self.meeting.players[letter_]
        player.fails = False
        player.held.clear()

    def mute(self, letter_: str) -> None:
        """Requests get no answer; the stream continues."""
        self.meeting.players[letter_].fails = True

    def dark(self, letter_: str) -> None:
        """Its stream brings nothing until it is opened again; requests are answered."""
        self.meeting.players[letter_].dark = True

    # ---- one thing after the other ---------------------------------------------------------------

    def hold(self, letter_: str, kind: str) -> None:
        """`requests`, `answers`, `watch`, `workers`, `ticks` wait until they are moved; `starts`
        never happen."""
        self.meeting.players[letter_].held.add(kind)

    def free(self, letter_: str, kind: str) -> None:
        """They move by themselves again."""
        self.meeting.players[letter_].held.discard(kind)

    def perform(self, letter_: str, *kind: str) -> None:
        """Its next request arrives and is answered, or its conversation of a kind takes place."""
        meeting, word = self.meeting, " ".join(kind)
        moved = meeting.perform_all(letter_, word) if word else meeting.perform(letter_)
        self._or_nothing(moved, letter_, "request")

    def lose(self, letter_: str, *kind: str) -> None:
        """Its next request (of a kind) arrives; the answer is lost."""
        meeting, word = self.meeting, " ".join(kind)
        moved = (
            meeting.perform_all(letter_, word, answered=False)
            if word
            else meeting.perform(letter_, answered=False)
        )
        self._or_nothing(moved, letter_, "request")

    def drop(self, letter_: str, *kind: str) -> None:
        """Its request of a kind is lost on the way, or times out."""
        moved = self.meeting.perform_all(letter_, " ".join(kind), arrives=False)
        self._or_nothing(moved, letter_, "request")

    def answer(self, letter_: str, *kind: str) -> None:
        """The held answer to a request of this kind arrives."""
        self._or_nothing(self.meeting.answer(letter_, " ".join(kind)), letter_, "answer")

    def tick(self, letter_: str) -> None:
        """What was due for the agent at this moment happens, if its ticks are held."""
        self.meeting.feed(letter_, Tick())
        self.show_round()

    def deliver(self, letter_: str) -> None:
        """Its stream brings the next change."""
        self._or_nothing(self.meeting.deliver(letter_), letter_, "delivery")

    def work(self, letter_: str) -> None:
        """Its next start or stop of workers is done."""
        self._or_nothing(self.meeting.work(letter_), letter_, "work")

    def _or_nothing(self, moved: bool, letter_: str, what: str) -> None:
        if not moved:
            self.write(f"{letter_:<2} no {what}")
        self.show_round()

    # ---- the operator, and people ----------------------------------------------------------------

    def mark(self, letter_: str, *how: str) -> None:
        """The operator saw the pod end: it marks its Lease, and makes the holder role
        vacant if the pod had it.

        `mark A excused`: the pod was deleted. `mark A alone`: the role stays as it is.
        """
        m.mark(self.meeting, letter_, excused="excused" in how, alone="alone" in how)
        self.show_round()

    def clear(self) -> None:
        """The operator makes the holder role vacant."""
        m.clear(self.meeting)
        self.show_round()

    def delete_lease(self, letter_: str) -> None:
        """A user deletes the Lease."""
        self.meeting.server.delete(name(letter_))

    def forge(self, letter_: str, *state: str) -> None:
        """Another job's code labels its Lease as this pod's, with this state."""
        self.meeting.server.forge(lease(letter_, " ".join(state)))

    def delete_forged(self, letter_: str) -> None:
        """That Lease is deleted."""
        self.meeting.server.delete_forged(pod(letter_))

    def want(self, *words: str) -> None:
        """The operator changes `desired`: `want A B`, `want budget 3 pardon 2`.

        `want A B vacant`: the same write makes the holder role vacant.
        """
        self.wanted = _wanted(tuple(word for word in words if word != "vacant"), self.wanted)
        m.want(self.meeting, desired(**self.wanted), clears="vacant" in words)

    def _running(self, letter_: str) -> int:
        run = self.meeting.players[letter_].me.run
        return run.n if run else 0

    def _age_ms(self, letter_: str) -> int:
        """The time since the round of the workers began in their pod."""
        run = self.meeting.players[letter_].me.run
        return millis(self.meeting.now - run.delivered_at) if run else 0

    def _exit(
        self, letter_: str, kind: CauseKind, fatal: bool, after_ms: int | None = None
    ) -> None:
        n = self._running(letter_)
        code = 126 if fatal else 1
        cause = Cause(kind, name(letter_), code=code, n=n, after_ms=after_ms)
        self.meeting.feed(letter_, WorkerExited(n, cause, fatal))

    # ---- the transcript --------------------------------------------------------------------------

    def record_step(self, step: Step) -> None:
        """A step of an agent, if there is anything to see."""
        self.show_round()
        player, event, actions = step
        did = [text for action in actions for text in [words.done(player.me, action)] if text]
        did = [text for text in did if self.is_news(player.letter, text)]
        line = f"{player.letter:<2} {words.learned(event)}"
        if did:
            self.write(f"{line} -> {'; '.join(did)}")
        elif isinstance(event, words.ALWAYS_SHOWN):
            self.write(line)

    def is_news(self, letter_: str, text: str) -> bool:
        """Whether the text is new: a write repeated for want of an answer is shown once."""
        before = self.reported.get(letter_)
        if text.startswith("report "):
            self.reported[letter_] = text
        return text != before

    def show_round(self) -> None:
        """The round, if it is another."""
        lease = self.meeting.server.round()
        text = f"=  {words.show(lease.round)}; holder {words.of_name(lease.holder)}"
        if text != self.shown_round:
            self.shown_round = text
            self.write(text)


# ---- what the operator wants -------------------------------------------------------------------

_KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "min": ("min_members", int),
    "budget": ("max_restarts", int),
    "starts": ("max_start_restarts", int),
    "T": ("heartbeat_s", float),
    "cooldown": ("cooldown_s", float),
    "call": ("last_call_s", float),
    "grace": ("stop_grace_s", float),
    "away": ("api_grace_s", float),
    "charge": ("charged", lambda numbers: frozenset(map(int, numbers.split(",")))),
    "pardon": ("pardoned", lambda numbers: frozenset(map(int, numbers.split(",")))),
}


def _wanted(words: tuple[str, ...], before: dict[str, Any]) -> dict[str, Any]:
    """`A B min 1 budget 2` -> fields of desired; what is not named stays as it was."""
    fields, letters = dict(before), []
    left = list(words)
    while left:
        word = left.pop(0)
        if word in _KEYS:
            key, read_ = _KEYS[word]
            fields[key] = read_(left.pop(0))
        else:
            letters.append(word)
    fields["startup_last_call_s"] = fields["last_call_s"]
    if letters:
        fields["wanted"] = " ".join(letters).replace("none", "")
    return fields
