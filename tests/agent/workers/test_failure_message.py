"""The message of a failure, from texts that real programs write."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from elasticjob.agent.workers.failure_message import exit_text, lines_of, of_exit, of_report

FRAMES = '  File "train.py", line 7, in <module>\n    step()\n  File "train.py", line 3, in step\n'
HEADER = "Traceback (most recent call last):\n"
STACK = f"{HEADER}{FRAMES}    raise ValueError('loss is nan')\nValueError: loss is nan\n"
REPORTED = f"ValueError: loss is nan\nthe end of the traceback:\n{STACK.rstrip()}"


def stderr_of(program: str, *flags: str) -> str:
    """What Python writes to stderr when it runs this program."""
    command = [sys.executable, "-I", "-S", *flags, "-c", textwrap.dedent(program)]
    run = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    return run.stderr.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("program", "first"),
    [
        ("raise ValueError('loss is nan')", "ValueError: loss is nan"),
        ("{}['step']", "KeyError: 'step'"),
        ("assert False", "AssertionError"),
        ("raise RuntimeError('one\\n  two\\nthree')", "RuntimeError: one"),
        ("raise RuntimeError('\\nthe second line')", "RuntimeError: the second line"),
        ("raise RuntimeError('größer als \U0001f600')", "RuntimeError: größer als \U0001f600"),
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("import train_utils", "ModuleNotFoundError: No module named 'train_utils'"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("try: {}['a']\nexcept KeyError: raise ValueError('bad')", "ValueError: bad"),
        ("try: {}['a']\nexcept KeyError as e: raise ValueError('bad') from e", "ValueError: bad"),
        ("import json\njson.loads('')",
         "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("import sys\nsys.exit('no data in /data')", "no data in /data"),
        ("import argparse\nargparse.ArgumentParser('t').parse_args(['-x'])",
         "t: error: unrecognized arguments: -x"),
        ("import os, sys\nprint('step 1', file=sys.stderr)\nos._exit(3)", "step 1"),
        ("raise ValueError('\\x1b[2J\\x00')", "ValueError: \ufffd"),
        ("raise ValueError('\\n')", "ValueError:"),
    ],
)  # fmt: skip
def test_the_error_comes_first(program: str, first: str) -> None:
    assert of_exit(1, stderr_of(program)).partition("\n")[0] == first


@pytest.mark.parametrize("code", [-6, 134])
def test_a_crash_of_the_interpreter_is_named_with_its_signal(code: int) -> None:
    text = stderr_of("import os\nos.abort()", "-X", "faulthandler")
    first, _, rest = of_exit(code, text).partition("\n")
    assert first == f"{exit_text(code)}: Fatal Python error: Aborted"
    assert 'File "<string>", line 2 in <module>' in rest


def test_the_error_of_an_exception_group_is_that_of_its_last_exception() -> None:
    text = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "t.py", line 1, in <module>\n'
        '  |     raise ExceptionGroup("all", [ValueError("a"), KeyError("b")])\n'
        "  | ExceptionGroup: all (2 sub-exceptions)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "t.py", line 5, in load\n'
        "    | ValueError: a\n"
        "    +------------------------------------\n"
    )
    assert of_exit(1, text).partition("\n")[0] == "ValueError: a"


def test_the_error_of_a_data_loader_is_that_of_its_worker() -> None:
    text = (
        f"{HEADER}{FRAMES}    raise exception\n"
        "ValueError: Caught ValueError in DataLoader worker process 0.\n"
        f"Original Traceback (most recent call last):\n{FRAMES}    raise ValueError(path)\n"
        "ValueError: bad sample 17\n"
    )
    assert of_exit(1, text).partition("\n")[0] == "ValueError: bad sample 17"
    report = of_report("ValueError: Caught ValueError in DataLoader worker process 0.", text)
    assert report.partition("\n")[0] == "ValueError: bad sample 17"


def test_the_error_of_torchrun_is_that_a_script_failed() -> None:
    rule = "=" * 60
    error = f"torch.distributed.elastic.ChildFailedError: \n{rule}\nt.py FAILED\n{rule}\n"
    text = f"{HEADER}{FRAMES}{error}"
    lines = of_exit(1, text).split("\n")
    assert lines[0] == "torch.distributed.elastic.ChildFailedError: t.py FAILED"


def test_the_last_lines_follow_in_their_order_under_a_heading() -> None:
    """Else a traceback would end with the frame, and read as if this had followed the error."""
    lines = of_exit(1, f"epoch 1\n{STACK}").split("\n")
    assert lines[:3] == ["ValueError: loss is nan", "the end of stderr:", "epoch 1"]
    assert lines[3:] == STACK.splitlines()


def test_an_error_that_is_all_there_is_has_no_heading() -> None:
    assert of_exit(1, "no data in /data\n") == "no data in /data"


def test_lines_after_the_exception_do_not_hide_it() -> None:
    text = f"{STACK}[rank0]:[W1130 12:00:00] Warning: destroy_process_group() was not called\n"
    assert of_exit(1, text).partition("\n")[0] == "ValueError: loss is nan"


def test_torchs_prefix_of_a_rank_is_left_out() -> None:
    text = "".join(f"[rank3]: {line}\n" for line in STACK.splitlines())
    assert of_exit(1, text) == of_exit(1, STACK)


def test_of_a_progress_bar_the_last_state_remains() -> None:
    bar = "\r".join(f"{done:3}%|###  | {done}/100" for done in range(5))
    assert lines_of(f"start\r\n\r{bar}") == ["start", "  4%|###  | 4/100"]


def test_colours_are_removed_and_other_controls_replaced() -> None:
    assert lines_of("\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x1b[2K\x07") == ["red text\ufffd"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (3, "exit code 3"),
        (-9, "ended by SIGKILL"),
        (-63, "ended by signal 63"),
        (128, "exit code 128"),
        (137, "exit code 137: SIGKILL of a child, as shells report it"),
        (139, "exit code 139: SIGSEGV of a child, as shells report it"),
        (143, "exit code 143: SIGTERM of a child, as shells report it"),
        (160, "exit code 160: signal 32 of a child, as shells report it"),
        (193, "exit code 193"),
        (255, "exit code 255"),
    ],
)
def test_without_stderr_the_message_is_how_the_worker_ended(code: int, text: str) -> None:
    assert of_exit(code, "") == of_exit(code, "\n \r\n") == text


@pytest.mark.parametrize("code", [-9, 137])
def test_a_signal_is_named_before_an_older_exception_on_stderr(code: int) -> None:
    """A worker that logs an exception and continues may be killed later for another reason."""
    lines = of_exit(code, f"{STACK}epoch 2\nKilled\n").split("\n")
    assert lines[0] == exit_text(code)
    assert lines[-1] == "Killed"


def test_an_uncaught_exception_of_cpp_is_one_line() -> None:
    text = "terminate called after throwing an instance of 'c10::Error'\n  what():  NCCL timeout\n"
    assert of_exit(-6, text).partition("\n")[0] == (
        "ended by SIGABRT: terminate called after throwing an instance of 'c10::Error':"
        " NCCL timeout"
    )


@pytest.mark.parametrize(
    ("message", "stack", "expected"),
    [
        ("ValueError: loss is nan", STACK, REPORTED),
        ("loss is nan", "no frames", "loss is nan\nthe end of the traceback:\nno frames"),
        (
            "loss is nan",
            "no frames\nloss is nan",
            "loss is nan\nthe end of the traceback:\nno frames\nloss is nan",
        ),
        ("one\ntwo", "", "one\ntwo"),
        ("one\ntwo", "two", "one\ntwo"),
        ("", STACK, REPORTED),
        ("", "no frames\nloss is nan", "no frames\nloss is nan"),
    ],
)
def test_a_report(message: str, stack: str, expected: str) -> None:
    assert of_report(message, stack) == expected


def test_of_a_long_report_the_end_counts() -> None:
    assert of_report("", "x\n" * 200_000 + STACK).startswith("ValueError: loss is nan\n")
