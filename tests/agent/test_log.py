from __future__ import annotations

from elasticjob.agent.log import Log


def test_a_message_and_its_fields_are_one_line() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    log.write("watching")
    log.write(
        "agent received a round", n=3, phase="Active", rank=None, message="loss is nan", pod=""
    )
    log.write("steps", message="two\nlines")
    log.write("worker failed", message="x\tcause_rank=3")
    assert lines == [
        "[elasticjob] watching",
        "[elasticjob] agent received a round  n=3 phase=Active message='loss is nan' pod=''",
        "[elasticjob] steps  message='two\\nlines'",
        "[elasticjob] worker failed  message='x\\tcause_rank=3'",
    ]


def test_a_problem_is_written_once_until_it_changes() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    for message in ("up", "up", "down", "down", "up"):
        log.problem("api", message)
        log.problem("watch", "up")
    assert [line.split()[1] for line in lines] == ["up", "up", "down", "up"]


def test_a_recovery_is_written_only_after_a_problem() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    log.recovery("api", "answers again")
    for _ in range(2):
        log.problem("api", "no answer")
        log.problem("api", "no answer")
        log.recovery("api", "answers again")
        log.recovery("api", "answers again")
    assert [line.partition(" ")[2] for line in lines] == ["no answer", "answers again"] * 2
