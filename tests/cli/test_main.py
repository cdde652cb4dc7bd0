from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.jobs import elastic_job

from elasticjob.cli import commands
from elasticjob.cli.__main__ import main
from elasticjob.cli.extras import MissingPackageError, imports

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "local"),
        (["--version"], "0."),
        (["local", "--help"], "not Kubernetes"),
        (["local", "up", "--help"], "export KUBECONFIG="),
        (["local", "run", "--help"], "exit code:"),
    ],
)
def test_help(arguments: list[str], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["local"], "COMMAND"),
        (["local", "run"], "FILE"),
        (["local", "run", "a", "-f", "b"], "not allowed with"),
        (["local", "up", "--port", "99999"], "99999: must be a number from 0 to 65535"),
        (["local", "up", "--port", "-1"], "-1: must be a number from 0 to 65535"),
        (["local", "run", "-f", "x", "--python", "/no/such"], "/no/such: no such program"),
    ],
)
def test_an_error_names_the_missing_or_wrong_argument(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("a: [", "line 2, column 1"),
        (CONFIG, "must contain an ElasticJob"),
        ("#" * (1 << 24) + "#", "is larger than 16 MiB"),
    ],
)
def test_an_invalid_file_is_refused_before_anything_starts(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.yaml"
    if text is not None:
        file.write_text(text)
    assert main(["local", "run", str(file), "--root", str(tmp_path / "root")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"elasticjob: {file}: ")
    assert message in error
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("given", [True, False])
def test_a_root_that_is_not_safe_is_refused_before_anything_starts(
    given: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """The default one is in the directory of temporary files, which the user can choose."""
    shared, file = tmp_path / "shared", tmp_path / "job.yaml"
    shared.mkdir()
    shared.chmod(0o777)
    file.write_text(yaml.safe_dump(elastic_job("demo")))
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    root = ["--root", str(shared / "root")] if given else []
    assert main(["local", "run", "-f", str(file), *root]) == 2
    assert capsys.readouterr().err == (
        f"elasticjob: {shared}: other users can write to it; run `chmod +t`, or choose another "
        "directory with --root\n"
    )
    assert list(shared.iterdir()) == []


def test_a_missing_package_is_named_with_the_extra_that_has_it() -> None:
    cure = r"^no_such is not installed: pip install 'elasticjob\[local\]'$"
    with pytest.raises(MissingPackageError, match=cure), imports():
        __import__("no_such")
    with pytest.raises(ModuleNotFoundError), imports():
        __import__("elasticjob.no_such")


def test_a_module_that_is_missing_while_a_command_runs_is_an_error_of_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No installation cures it. argparse imports textwrap when it prints the help."""
    assert commands.__name__ in sys.modules
    monkeypatch.setitem(sys.modules, "textwrap", None)
    with pytest.raises(ModuleNotFoundError, match="textwrap"):
        main(["--help"])
