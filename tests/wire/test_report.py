from __future__ import annotations

from elasticjob.wire.report import Progress, Recovery


def test_stopping_is_a_part_of_starting() -> None:
    recovery = Recovery(3, detect_ms=3, stop_ms=20, rendezvous_ms=7, start_ms=45)
    assert recovery.total_ms == 55


def test_an_unknown_total_is_left_out() -> None:
    assert Progress(3).to_fields() == {"step": 3}
    assert Progress(0, 9).to_fields() == {"step": 0, "total": 9}
    assert Progress.from_fields({"step": 3}, "report") == Progress(3)
    assert Progress.from_fields(None, "report") is None
