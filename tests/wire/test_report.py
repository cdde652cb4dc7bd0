from __future__ import annotations

from elasticjob.wire.report import Progress, Recovery


def test_the_parts_add_up() -> None:
    recovery = Recovery(3, detect_ms=3, stop_ms=20, rendezvous_ms=7, start_ms=25)
    assert recovery.total_ms == 55


def test_stopping_is_a_part_of_starting_on_the_wire_as_the_release_before_reads_it() -> None:
    recovery = Recovery(3, detect_ms=3, stop_ms=20, rendezvous_ms=7, start_ms=25)
    fields = recovery.to_fields()
    assert fields["detectMs"] + fields["rendezvousMs"] + fields["startMs"] == recovery.total_ms
    assert Recovery.from_fields(fields, "report") == recovery


def test_a_part_that_is_longer_than_the_whole_is_no_negative_time() -> None:
    fields = {"n": 3, "stopMs": 20, "startMs": 5}
    assert Recovery.from_fields(fields, "report") == Recovery(3, stop_ms=20)


def test_an_unknown_total_is_left_out() -> None:
    assert Progress(3).to_fields() == {"step": 3}
    assert Progress(0, 9).to_fields() == {"step": 0, "total": 9}
    assert Progress.from_fields({"step": 3}, "report") == Progress(3)
    assert Progress.from_fields(None, "report") is None
