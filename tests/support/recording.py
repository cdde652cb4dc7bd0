"""Each scenario replayed once: its transcript, the steps of its agents, and all transitions."""

from __future__ import annotations

import functools
from pathlib import Path

from tests.support.meeting import Step
from tests.support.script import ScenarioRunner, read

from elasticjob.rendezvous import state, step
from elasticjob.rendezvous.state import Me

Arrows = set[tuple[str, str]]


class Recording(ScenarioRunner):
    """Also records each step with its time, and every transition of an agent and of the round."""

    def __init__(self) -> None:
        super().__init__()
        self.transcripts: list[list[str]] = []
        self.steps: list[tuple[step.Step, float]] = []
        self.stages: Arrows = set()
        self.words: Arrows = set()
        self.phases: Arrows = set()
        self.before: dict[str, Me] = {}
        self.phase = "[*]"

    def job(self, *words: str) -> None:
        super().job(*words)
        self.before, self.phase = {}, "[*]"

    def record_step(self, found: Step) -> None:
        super().record_step(found)
        self.see_round()
        player, _, actions = found
        me = player.me
        self.steps.append((step.Step(me, actions, player.again_at), self.meeting.now))
        old = self.before.get(player.letter)
        if old is None or old.who.nonce != me.who.nonce:
            self.stages.add(("[*]", me.stage.value))
        elif old.stage is not me.stage:
            self.stages.add((old.stage.value, me.stage.value))
        elif me.stage is state.Stage.JOINED and (old.phase, old.n) != (me.phase, me.n):
            self.words.add((old.phase.value, me.phase.value))
        self.before[player.letter] = me

    def see_round(self) -> None:
        phase = self.meeting.server.round().round.phase.value
        if phase != self.phase:
            self.phases.add((self.phase, phase))
        self.phase = phase


@functools.cache
def recording(path: Path) -> Recording:
    """The replay of a scenario by the shipped code, with each clause."""
    made = Recording()
    for block in read(path).blocks:
        for command in block.commands:
            made.run(command)
            made.see_round()
        made.transcripts.append(made.take())
    return made
