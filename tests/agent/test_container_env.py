"""Variables of the container reach its workers unchanged, also those that break the agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.one_pod import one_pod
from tests.support.protocol import active

from elasticjob.agent import container_env
from elasticjob.agent.api.credentials import check_tls
from elasticjob.agent.container_env import FOR_WORKERS, hidden, original_environment, shown
from elasticjob.rendezvous.state import EXIT_SETUP

process = pytest.mark.process

# The OpenSSL that this Python links, if it does not contain it.
check_tls()
MAPS = Path("/proc/self/maps").read_text().splitlines()
LINKED = sorted({Path(line.split()[-1]).name for line in MAPS if "libssl" in line})
SOURCE = Path(container_env.__file__).parents[2]
HARMLESS = {
    "PYTHONSTARTUP": "/none",
    "PYTHONWARNINGS": "error",
    "PYTHONHOME": "/none",
    "PYTHONPATH": "/none",
    "PYTHONMALLOC": "none",
    "PYTHONUTF8": "7",
    "LD_PRELOAD": "/none.so",
    "SSLKEYLOGFILE": "/none/keys",
    "LC_ALL": "none",
}
NO_CIPHERS = """
openssl_conf = all
[all]
providers = providers
[providers]
none = none
[none]
activate = 1
module = /none.so
"""


def shows(*names: str) -> list[str]:
    """The command of a worker that writes the values of these variables."""
    lines = "; ".join(f'echo "{name} is <${name}>"' for name in names)
    return ["sh", "-c", f"{lines}; echo shown; exec sleep 1000"]


def breaking(variable: str, root: Path) -> str:
    """A value of this variable with which this Python has no TLS."""
    if variable == "OPENSSL_CONF":
        (root / "openssl.cnf").write_text(NO_CIPHERS)
        return str(root / "openssl.cnf")
    for name in LINKED:
        (root / name).write_text("no library")
    return str(root)


@process
def test_variables_of_python_and_of_the_loader_reach_the_workers_alone(tmp_path: Path) -> None:
    with one_pod(tmp_path, *shows(*HARMLESS), **HARMLESS) as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1))
        log = pod.log("shown")
    assert [f"{name} is <{value}>" for name, value in HARMLESS.items() if value not in log] == []
    assert "starts again" not in log


@process
@pytest.mark.parametrize("variable", ["OPENSSL_CONF", *(["LD_LIBRARY_PATH"] if LINKED else [])])
def test_an_openssl_for_the_training_breaks_no_agent(tmp_path: Path, variable: str) -> None:
    (tmp_path / "training").mkdir()
    value = breaking(variable, tmp_path / "training")
    with one_pod(tmp_path, *shows(variable), **{variable: value}) as pod:
        pod.until(lambda: pod.job.state)
        pod.job.set_round(active(1))
        log = pod.log("shown")
    assert f"{variable} is <{value}>" in log
    assert log.count(f"agent starts again without {variable}  reason=") == 1
    assert FOR_WORKERS not in log


@process
@pytest.mark.parametrize("given", [{}, {f"{FOR_WORKERS}OPENSSL_CONF": "/x", "LD_PRELOAD": "/y"}])
def test_a_python_without_tls_is_refused_with_the_cure(
    tmp_path: Path, given: dict[str, str]
) -> None:
    """It is started again once at most, as a script in its place may set the variables again."""
    program = (
        "import runpy, sys; sys.modules['ssl'] = None;"
        "runpy.run_module('elasticjob.agent', run_name='__main__')"
    )
    path = tmp_path / "message"
    given = {**given, "PYTHONPATH": str(SOURCE), "ELASTICJOB_TERMINATION_LOG": str(path)}
    command = [sys.executable, "-S", "-c", program]
    found = subprocess.run(command, env=given, capture_output=True, check=False, text=True)
    why = (
        "python3 in the image cannot run ElasticJob's agent: import of ssl halted; None in"
        " sys.modules: use an image whose python3 has a working module ssl"
    )
    assert found.returncode == EXIT_SETUP
    assert (
        found.stderr.splitlines()[-1] + "\n"
        == f'[elasticjob] agent set-up failed  reason="{why}"\n'
    )
    assert json.loads(path.read_text()) == {"cause": "SetupFailed", "code": 75, "message": why}


def test_hidden_variables_are_shown_again() -> None:
    given = {"LD_LIBRARY_PATH": "/a:/b", "LD_PRELOAD": "", "A": "b=c"}
    assert set(hidden(given)) & set(container_env.LIBRARIES) == set()
    assert shown(hidden(given)) == given


def test_the_environment_is_the_one_that_the_container_got() -> None:
    """Where no locale is set, Python adds LC_CTYPE to its own environment (PEP 538)."""
    program = (
        "import os; from elasticjob.agent.container_env import original_environment as original; "
        "print(sorted(original())); print('LC_CTYPE' in os.environ)"
    )
    given = {"PYTHONPATH": str(SOURCE), "A": "b=c"}
    command = [sys.executable, "-S", "-c", program]
    found = subprocess.run(command, env=given, stdout=subprocess.PIPE, check=True, text=True)
    assert found.stdout.splitlines()[0] == "['A', 'PYTHONPATH']"


def test_values_are_unchanged() -> None:
    name, value = next(item for item in os.environ.items() if item[1])
    assert original_environment().get(name, value) == value
