from __future__ import annotations

from elasticjob.agent.log import Log


def test_one_line_a_message_and_fields() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    log.write("watching")
    log.write("round", n=3, phase="Active", rank=None, message="loss is nan", pod="")
    log.write("steps", message="two\nlines")
    assert lines == [
        "[elasticjob] watching",
        "[elasticjob] round  n=3 phase=Active message='loss is nan' pod=''",
        "[elasticjob] steps  message=two\\nlines",
    ]


def test_a_state_is_said_once_until_it_changes() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    for message in ("up", "up", "down", "down", "up"):
        log.problem("api", message)
        log.problem("watch", "up")
    assert [line.split()[1] for line in lines] == ["up", "up", "down", "up"]


def test_what_is_well_is_said_only_after_a_trouble() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    log.recovery("api", "answers again")
    for _ in range(2):
        log.problem("api", "no answer")
        log.problem("api", "no answer")
        log.recovery("api", "answers again")
        log.recovery("api", "answers again")
    assert [line.partition(" ")[2] for line in lines] == ["no answer", "answers again"] * 2
