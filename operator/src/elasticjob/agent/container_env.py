"""The environment of the container: what the workers get, and what keeps the agent from starting.

`python3 -I` ignores the variables of Python. The dynamic loader and OpenSSL have read theirs before
a line of the agent runs: a library or configuration that they name for the training may break
Python's own TLS. The agent then runs again without these variables, and its workers get them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

# Most images set some of these, so the agent keeps them unless it cannot start with them: a python3
# may need its libraries from LD_LIBRARY_PATH.
LIBRARIES = (
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
)
FOR_WORKERS = "ELASTICJOB_FOR_WORKERS_"  # such a variable is one of LIBRARIES to the workers


def original_environment() -> dict[str, str]:
    """Return the environment with which the container started, for the workers.

    os.environ can differ: Python adds LC_CTYPE where no locale is set (PEP 538).
    """
    return shown(_environment_of_process())


def hidden(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which the variables of LIBRARIES have other names."""
    return {
        f"{FOR_WORKERS}{name}" if name in LIBRARIES else name: value
        for name, value in environment.items()
    }


def shown(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which they have their names again."""
    size = len(FOR_WORKERS)
    return {
        name[size:] if name.startswith(FOR_WORKERS) else name: value
        for name, value in environment.items()
    }


def start_again_without_libraries(error: BaseException) -> str:
    """Run this program again without the variables of LIBRARIES, in the same process.

    error: of the TLS of this Python. Returns only if this cannot help: why, with the cure.
    """
    environment = _environment_of_process()
    found = [name for name in LIBRARIES if name in environment]
    if any(name.startswith(FOR_WORKERS) for name in environment):
        found = []  # it was started again, and what starts python3 sets them again
    why = f"python3 in the image cannot run ElasticJob's agent: {error}"
    if not found:
        return f"{why}: use an image whose python3 has a working module ssl"
    names = ", ".join(found)
    text = f'[elasticjob] agent starts again without {names}  reason="{error}"\n'
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
        os.execve(sys.executable, _command_line(), hidden(environment))
    except OSError as refused:
        return f"{why}; it cannot be started again without {names}: {refused}: correct {names}"


def _environment_of_process() -> dict[str, str]:
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


def _command_line() -> list[bytes]:
    """The arguments of this process with those of the interpreter, which sys.argv lacks."""
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]
