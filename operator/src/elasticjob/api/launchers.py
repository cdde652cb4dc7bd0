"""Detection of launchers: programs such as torchrun that start a process group themselves.

The agent runs the command of the worker container once per worker and assigns ranks by RANK,
WORLD_SIZE and similar variables. A launcher ignores these and reads its flags only; without flags,
each worker would train a separate model. So a rule (rules.py) refuses a launcher as the program of
the worker container, where the flags cannot change from round to round. In a shell script, the
flags can refer to the agent's variables; the operator warns if they are missing.
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
_OPTIONS_WITH_VALUE = ("-X", "-W")  # options of Python whose value is the next word
_MAX_WORDS = 8  # a launcher after more words than this is not found

GROUP_FLAGS = {
    "torchrun": "--nnodes $GROUP_WORLD_SIZE --node_rank $GROUP_RANK"
    " --master_addr $MASTER_ADDR --master_port $MASTER_PORT --nproc_per_node N",
    "accelerate": "--num_machines $GROUP_WORLD_SIZE --machine_rank $GROUP_RANK"
    " --main_process_ip $MASTER_ADDR --main_process_port $MASTER_PORT"
    " --num_processes $((GROUP_WORLD_SIZE * N))",
    "deepspeed": "--hostfile FILE --no_ssh --node_rank $GROUP_RANK"
    " --master_addr $MASTER_ADDR --master_port $MASTER_PORT",
}
"""The flags that make the launchers of all pods, one per pod with N processes, form one group.

The underscores are for torch 1.13, whose torchrun does not accept these flags with hyphens.
"""

# A launcher joins a group if it has one of these flags with another value than that of a single
# pod. Without it, each launcher acts as the first of its group.
_GROUP_FLAG = {
    "torchrun": re.compile("--(node[-_]rank|rdzv[-_]endpoint)"),
    "accelerate": re.compile("--machine[-_]rank"),
    "deepspeed": re.compile("--(hostfile|node_rank)"),
}
_STANDALONE = "--standalone"  # of torchrun: it overrides all flags of a group
_SINGLE_POD_VALUES = ("0", "1", "1:1")

_SHELL = re.compile(r"(.*/)?(sh|bash|dash|ash|ksh|zsh)")
# Words that may precede the program of a simple command: assignments, reserved words, programs that
# run another program, and their options.
_PREFIX = re.compile(
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
    """The launcher that a command line runs: as its program, or as Python's script or module."""
    for i, word in enumerate(words[:_MAX_WORDS]):
        if found := _launcher_at(words, i):
            return found
        if i == 0 and not re.search(_PYTHON, word):
            return None
        if i > 0 and not (word.startswith("-") or words[i - 1] in _OPTIONS_WITH_VALUE):
            return None
    return None


def launcher_without_group(words: Sequence[str]) -> str | None:
    """The launcher that a command line runs without the flags that connect it to other pods.

    The search includes programs such as env and the script of `sh -c`, but no files.
    """
    for command in _simple_commands(_program_first(words)):
        program = _program_first(command)
        found = launcher(program)
        if found and (_STANDALONE in program or not _has_flag(program, _GROUP_FLAG[found])):
            return found
    return None


def cel(program: str, words: str) -> str:
    """A CEL expression that is true if `launcher` finds a launcher.

    program: the CEL of the first word. words: the CEL of all words. The API server has no bound for
    the length of one of them and therefore refuses to match it with a regular expression.
    """
    at = f"i < w.size() && (i == 0 || python && {_CEL_OPTIONS_BEFORE}) && ({_CEL_LAUNCHER_AT})"
    places = list(range(_MAX_WORDS))
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
    f"{list(range(1, _MAX_WORDS - 1))}.all(j, j >= i"
    f" || w[j].startsWith('-') || w[j - 1] in {list(_OPTIONS_WITH_VALUE)})"
)
_CEL_LAUNCHER_AT = (
    f"{' || '.join(_cel_is('w[i]', name) for name in _PROGRAMS)} || i + 1 < w.size()"
    f" && (({_cel_is('w[i]', _SUBCOMMAND[0])}) && w[i + 1] == '{_SUBCOMMAND[1]}'"
    f" || w[i].startsWith('-') && w[i].endsWith('m') && w[i + 1] in {list(_MODULES)})"
)


def _simple_commands(words: Sequence[str]) -> Iterator[list[str]]:
    """The simple commands of the shell script in the command line, or the command line itself."""
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
    """The script that follows -c of a shell, or None. Other options may precede it."""
    if not words or not _SHELL.fullmatch(words[0]):
        return None
    i, is_text = 1, False
    while i < len(words) and words[i][:1] in ("-", "+"):
        is_text = is_text or ("c" in words[i] and not words[i].startswith("--"))
        i += 2 if words[i].endswith(("o", "O")) else 1  # -o pipefail
    return words[i] if is_text and i < len(words) else None


def _program_first(words: Sequence[str]) -> list[str]:
    return list(dropwhile(_PREFIX.fullmatch, words))


def _has_flag(words: Sequence[str], name: re.Pattern[str]) -> bool:
    for word, following in pairwise([*words, ""]):
        flag, is_whole, value = word.partition("=")
        if name.fullmatch(flag) and (value if is_whole else following) not in _SINGLE_POD_VALUES:
            return True
    return False
