"""The examples are valid objects, and charlm.yaml contains charlm.py."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dev.embed import embedded

from elasticjob.api.rules import violations
from elasticjob.api.v1alpha1 import ElasticJob, ElasticJobSpec
from elasticjob.wire import names
from elasticjob.wire.codec import Json

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def spec_of(path: Path) -> Json:
    """The spec as the API server stores it, with defaults."""
    model = ElasticJob.model_validate(yaml.safe_load(path.read_text()))
    return model.spec.model_dump(by_alias=True, exclude_none=True)


def container_of(path: Path) -> Json:
    container: Json = spec_of(path)["template"]["spec"]["containers"][0]
    return container


def test_the_examples() -> None:
    assert [path.name for path in FILES] == ["charlm.yaml", "quickstart.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_one_valid_elastic_job(path: Path) -> None:
    job = yaml.safe_load(path.read_text())
    known = {field.alias for field in ElasticJobSpec.model_fields.values()}
    assert (job["apiVersion"], job["kind"]) == (names.API_VERSION, names.KIND)
    assert set(job["spec"]) <= known
    assert violations({**job, "spec": spec_of(path)}, None) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_script_is_python_without_variables_that_kubernetes_expands(path: Path) -> None:
    script = container_of(path)["args"][-1]
    ast.parse(script, feature_version=(3, 9))
    assert "$(" not in script  # Kubernetes would expand it


def test_charlm_yaml_contains_charlm_py() -> None:
    script = (EXAMPLES / "charlm.py").read_text()
    assert container_of(EXAMPLES / "charlm.yaml")["args"] == [script], "run `make generate`"


@pytest.mark.parametrize("rest", ["", "      volumes: []\n", "      - name: next\n"])
def test_embedding_replaces_only_the_block(rest: str) -> None:
    head = "      args:\n        - |\n"
    block = "          one\n\n            two\n"
    manifest = f"{head}          old\n\n            older\n{rest}"
    assert embedded("one\n\n  two\n", manifest) == f"{head}{block}{rest}"
    assert embedded("one\n\n  two\n", f"{head}{block}{rest}") == f"{head}{block}{rest}"


def test_embedding_refuses_variables_that_kubernetes_expands() -> None:
    with pytest.raises(ValueError, match="would expand"):
        embedded("print('$(HOME)')\n", "- |\n")


@pytest.mark.process
def test_quickstart_prints_its_rank() -> None:
    container = container_of(EXAMPLES / "quickstart.yaml")
    env = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    ran = subprocess.run(
        [sys.executable, *container["command"][1:], *container["args"]],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout.splitlines()[0] == "I am rank 1 of 4; rank 0 is at 127.0.0.1:29500"
    assert ran.stdout.splitlines()[-1] == "rank 1: step 3/3"
