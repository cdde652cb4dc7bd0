"""Launchers: programs such as torchrun, which start a process group of their own.

The agent runs a container's command once for each worker, and gives each its place in the group by
RANK, WORLD_SIZE and the like. A launcher ignores these variables: it reads its flags alone, and
without them each worker trains a model of its own. So a launcher is refused as the program of a
worker container (rules.py), where flags cannot change from round to round. In a shell script they
can have the agent's variables as values; the operator warns where they are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import dropwhile, pairwise

_PROGRAMS = {"torchrun": "torchrun", "deepspeed": "deepspeed", "accelerate-launch": "accelerate"}
_MODULES = {
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "accelerate.commands.launch": "accelerate",
    "deepspeed.launcher.runner": "deepspeed",
}
_SUBCOMMAND = ("accelerate", "launch")
_PYTHON = "(^|/)python[0-9.]*$"
_WITH_VALUE = ("-X", "-W")  # options of Python whose value is the next word
_LOOKED_AT = 8  # words: a launcher behind more options of Python than that is not found

GROUP_FLAGS = {
    "torchrun": "--nnodes $GROUP_WORLD_SIZE --node_rank $GROUP_RANK"
    " --master_addr $MASTER_ADDR --master_port $MASTER_PORT --nproc_per_node N",
    "accelerate": "--num_machines $GROUP_WORLD_SIZE --machine_rank $GROUP_RANK"
    " --main_process_ip $MASTER_ADDR --main_process_port $MASTER_PORT"
    " --num_processes $((GROUP_WORLD_SIZE * N))",
    "deepspeed": "--hostfile FILE --no_ssh --node_rank $GROUP_RANK"
    " --master_addr $MASTER_ADDR --master_port $MASTER_PORT",
}
"""The flags by which one launcher per pod, with N processes each, starts one group of all pods.

The underscores are for torch 1.13, whose torchrun does not know the same flags with hyphens.
"""

# One of these, with another value than that of a single pod, gives a launcher its place among the
# others: without it each takes itself for the first, however many there are to be.
_GROUP_FLAG = {
    "torchrun": re.compile("--(node[-_]rank|rdzv[-_]endpoint)"),
    "accelerate": re.compile("--machine[-_]rank"),
    "deepspeed": re.compile("--(hostfile|node_rank)"),
}
_ALONE = "--standalone"  # of torchrun: it takes precedence over all flags of a group
_SINGLE = ("0", "1", "1:1")

_SHELL = re.compile(r"(.*/)?(sh|bash|dash|ash|ksh|zsh)")
# What may stand before the program of a simple command: assignments, reserved words, programs that
# run another one, and the options of these.
_BEFORE = re.compile(
    r"\w+=.*|-.*|\d+[smh]?|!|\{|if|then|elif|else|while|until|do|time|exec|(.*/)?(env|nohup"
    r"|nice|timeout|tini|dumb-init|setsid|stdbuf|numactl|xvfb-run|uv|poetry|pdm|pipenv)|run",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"""(?P<end>[;&|()`\n]+)
    |(?P<comment>(?<!\S)\#[^\n]*)
    |(?P<word>(?:\$\(\(?[^()]*\)\)?|[<>]&|\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;&|()`'"\\])+)""",
    re.DOTALL | re.VERBOSE,
)


def launcher(words: Sequence[str]) -> str | None:
    """Which launcher a command line starts: as its program, or as Python's script or module."""
    for i, word in enumerate(words[:_LOOKED_AT]):
        if found := _launcher_at(words, i):
            return found
        if i == 0 and not re.search(_PYTHON, word):
            return None
        if i > 0 and not (word.startswith("-") or words[i - 1] in _WITH_VALUE):
            return None
    return None


def launcher_without_group(words: Sequence[str]) -> str | None:
    """Which launcher a command line starts without the flags that connect it to the other pods.

    It is looked for behind programs such as env, and in the script of `sh -c`; not in files.
    """
    for command in _simple_commands(_program_first(words)):
        program = _program_first(command)
        found = launcher(program)
        if found and (_ALONE in program or not _has_flag(program, _GROUP_FLAG[found])):
            return found
    return None


def cel(program: str, words: str) -> str:
    """`launcher` as an expression that is true where it finds one.

    program: CEL of the first word. words: CEL of all words; the API server does not know how long
    one of these is, and refuses to match it with a regular expression.
    """
    at = f"i < w.size() && (i == 0 || python && {_CEL_OPTIONS_BEFORE}) && ({_CEL_LAUNCHER_AT})"
    places = list(range(_LOOKED_AT))
    return (
        f"[{program}.matches('{_PYTHON}')].exists(python, [{words}].exists(w,"
        f" {places}.exists(i, {at})))"
    )


def _launcher_at(words: Sequence[str], i: int) -> str | None:
    word, following = words[i], words[i + 1] if i + 1 < len(words) else ""
    program = word.rpartition("/")[2]
    if (program, following) == _SUBCOMMAND:
        return program
    if word.startswith("-") and word.endswith("m"):  # -m, also as in -um
        return _MODULES.get(following)
    return _PROGRAMS.get(program)


def _cel_is(word: str, name: str) -> str:
    return f"{word} == '{name}' || {word}.endsWith('/{name}')"


_CEL_OPTIONS_BEFORE = (
    f"{list(range(1, _LOOKED_AT - 1))}.all(j, j >= i"
    f" || w[j].startsWith('-') || w[j - 1] in {list(_WITH_VALUE)})"
)
_CEL_LAUNCHER_AT = (
    f"{' || '.join(_cel_is('w[i]', name) for name in _PROGRAMS)} || i + 1 < w.size()"
    f" && (({_cel_is('w[i]', _SUBCOMMAND[0])}) && w[i + 1] == '{_SUBCOMMAND[1]}'"
    f" || w[i].startsWith('-') && w[i].endsWith('m') && w[i + 1] in {list(_MODULES)})"
)


def _simple_commands(words: Sequence[str]) -> Iterator[list[str]]:
    """The commands that a shell would run of its script; the command line itself without one."""
    script = _script(words)
    if script is None:
        yield list(words)
        return
    command: list[str] = []
    for token in _TOKEN.finditer(script.replace("\\\n", " ")):
        if token["end"]:
            yield command
            command = []
        elif token["word"]:
            command.append(token["word"].strip("'\""))
    yield command


def _script(words: Sequence[str]) -> str | None:
    """The text that is given to a shell with -c, which may stand among other options."""
    if not words or not _SHELL.fullmatch(words[0]):
        return None
    i, is_text = 1, False
    while i < len(words) and words[i][:1] in ("-", "+"):
        is_text = is_text or ("c" in words[i] and not words[i].startswith("--"))
        i += 2 if words[i].endswith(("o", "O")) else 1  # -o pipefail
    return words[i] if is_text and i < len(words) else None


def _program_first(words: Sequence[str]) -> list[str]:
    return list(dropwhile(_BEFORE.fullmatch, words))


def _has_flag(words: Sequence[str], name: re.Pattern[str]) -> bool:
    for word, following in pairwise([*words, ""]):
        flag, is_whole, value = word.partition("=")
        if name.fullmatch(flag) and (value if is_whole else following) not in _SINGLE:
            return True
    return False
