from __future__ import annotations

from pathlib import Path

import pytest

from elasticjob.agent.workers.progress import ProgressFile, parse
from elasticjob.wire.report import Progress


@pytest.mark.parametrize(
    ("text", "progress"),
    [
        (b'{"step": 120, "total": 400}', Progress(120, 400)),
        (b'{"step": 120}', Progress(120)),
        (b'{"step": 120, "loss": 1.5}', Progress(120)),
        (b'{"step": 12', None),
        (b'{"step": "12"}', None),
        (b'{"step": -1}', None),
        (b"12", None),
        (b"null", None),
        (b"", None),
    ],
)
def test_what_the_training_may_write(text: bytes, progress: Progress | None) -> None:
    assert parse(text) == progress


def test_only_changes_are_returned(tmp_path: Path) -> None:
    path = tmp_path / "progress-0.json"
    file = ProgressFile(str(path))
    assert file.read_if_changed() is None
    path.write_text('{"step": 1}')
    assert file.read_if_changed() == Progress(1)
    assert file.read_if_changed() is None
    path.write_text('{"step": 10}')
    assert file.read_if_changed() == Progress(10)


def test_a_file_that_is_being_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "progress-0.json"
    file = ProgressFile(str(path))
    path.write_text('{"step": ')
    assert file.read_if_changed() is None
    path.write_text('{"step": 7}')
    assert file.read_if_changed() == Progress(7)
