from __future__ import annotations

from pathlib import Path

import pytest

from elasticjob.local.node.pod.paths import PathMap

MAP = PathMap.of(
    [
        ("/data", Path("/r/data")),
        ("/data/cache", Path("/r/cache")),
        ("/opt/elasticjob/", Path("/r/agent")),
        ("/dev/termination-log", Path("/r/termination")),
    ]
)


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("/data", "/r/data"),
        ("/data/", "/r/data/"),
        ("/data/a/b.txt", "/r/data/a/b.txt"),
        ("/data/cache/x", "/r/cache/x"),  # the longest match
        ("/data/cached/x", "/r/data/cached/x"),  # whole components
        ("/database", "/database"),
        ("/opt/elasticjob/agent.pyz", "/r/agent/agent.pyz"),
        ("/opt/elasticjob", "/r/agent"),
        ("/dev/termination-log", "/r/termination"),
        ("--out=/data/x", "--out=/data/x"),  # only a leading path
        ("/usr/lib:/data", "/usr/lib:/data"),
        ("data", "data"),
        ("", ""),
    ],
)
def test_a_leading_mount_path_becomes_the_real_one(text: str, real: str) -> None:
    assert MAP.real(text) == real


def test_a_volume_may_be_mounted_at_the_root() -> None:
    root = PathMap.of([("/", Path("/r/root")), ("/data", Path("/r/data"))])
    assert root.real("/etc/passwd") == "/r/root/etc/passwd"
    assert root.real("/") == "/r/root"
    assert root.real("/data/x") == "/r/data/x"


def test_a_path_is_replaced_once() -> None:
    assert PathMap.of([("/tmp", Path("/tmp/pods/1/tmp"))]).real("/tmp/x") == "/tmp/pods/1/tmp/x"
