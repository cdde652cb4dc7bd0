"""Builds: environment, command line, progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dev.cluster.cache import Cache
from dev.cluster.programs.go_build import build_command, follow, go_environ, is_package
from dev.cluster.programs.go_program import HELM, HYPERKUBE
from dev.cluster.programs.go_toolchain import needed, reported
from dev.cluster.progress import Progress, duration


def test_go_uses_only_the_cache_and_the_found_toolchain() -> None:
    environ = go_environ(Cache(Path("/c")), {"GOFLAGS": "-p=1", "GOWORK": "/x"})
    assert environ["GOMODCACHE"] == "/c/go/mod"
    assert environ["GOFLAGS"] == "-p=1 -modcacherw"
    assert (environ["GOTOOLCHAIN"], environ["GOWORK"]) == ("local", "off")


def test_a_binary_contains_no_path_of_the_machine() -> None:
    command = build_command("go", HYPERKUBE, Path("/out"))
    assert {"-trimpath", "-mod=readonly", "-buildvcs=false"} <= set(command)
    assert command[-3:] == ["-o", "/out", "."]
    assert build_command("go", HELM, Path("/out"))[-1] == "helm.sh/helm/v3/cmd/helm"


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("k8s.io/api/core/v1", True),
        ("fmt", True),
        ("# k8s.io/api/core/v1", False),
        ("./main.go:3:2: missing", False),
        ("main.go:3:2:missing", False),
        ("", False),
    ],
)
def test_packages_are_distinguished_from_errors(line: str, package: bool) -> None:
    assert is_package(line) is package


def test_progress_is_printed_at_intervals_and_errors_are_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    times: Iterator[float] = iter(range(0, 1000, 10))
    progress = Progress(clock=lambda: next(times))
    errors = follow(["a/b\n", "c\n", "# a/b\n", "x.go:1:1: wrong\n"], 9, progress)
    assert errors == ["# a/b", "x.go:1:1: wrong"]
    assert capsys.readouterr().err.splitlines() == [
        "cluster: compiled 2 of 9 packages, 20.0 s",
        "cluster: compiled 2 of 9 packages, 40.0 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (605, "10 min 05 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.24rc1 linux/amd64", (1, 24)),
        ("go: command not found", ()),
    ],
)
def test_versions_of_go(text: str, version: tuple[int, ...]) -> None:
    assert reported(text) == version


def test_some_go_is_needed() -> None:
    assert needed() >= (1, 24)
