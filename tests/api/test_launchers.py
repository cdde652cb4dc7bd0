"""Launchers in command lines: as the program, and in shell scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.commands import LAUNCHERS, OTHERS

from elasticjob.api.launchers import GROUP_FLAGS, launcher, launcher_without_group


@pytest.mark.parametrize("words", LAUNCHERS, ids=" ".join)
def test_a_launcher_as_the_program(words: Sequence[str]) -> None:
    assert launcher(words) in GROUP_FLAGS
    assert launcher_without_group(words) == launcher(words)


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_other_programs(words: Sequence[str]) -> None:
    assert launcher(words) is None


ALONE = [
    ("torchrun train.py", "torchrun"),
    ("exec torchrun --nproc-per-node=8 train.py", "torchrun"),
    ("exec /opt/conda/bin/torchrun \\\n  --nproc-per-node 8 \\\n  train.py", "torchrun"),
    ("set -e\npip install deepspeed\ncd /src && NCCL_DEBUG=INFO torchrun train.py", "torchrun"),
    ("cd /src; env A=1 nohup python3 -u -m torch.distributed.run train.py &", "torchrun"),
    ("# don't stop\ntorchrun train.py", "torchrun"),
    ('echo "it\'s on"; torchrun train.py', "torchrun"),
    ("if true; then 'torchrun' train.py; fi", "torchrun"),
    ("(torchrun train.py) 2>&1 | tee log", "torchrun"),
    ("timeout 2h torchrun train.py", "torchrun"),
    ("torchrun --standalone train.py", "torchrun"),
    ("torchrun --nnodes=1 --node-rank=0 train.py", "torchrun"),
    ("torchrun --nnodes 1 train.py --depth 4", "torchrun"),
    ("torchrun --nnodes=1:1 train.py", "torchrun"),
    ("torchrun --nnodes 2 --nproc_per_node 2 train.py", "torchrun"),
    ("torchrun --standalone --nnodes 2 --node_rank $GROUP_RANK train.py", "torchrun"),
    ("accelerate launch --num_machines 2 train.py", "accelerate"),
    ("torchrun train.py --num_nodes 4", "torchrun"),
    ("accelerate launch --num_processes 8 train.py", "accelerate"),
    ("accelerate config default && accelerate launch train.py", "accelerate"),
    ("deepspeed --num_gpus 8 train.py", "deepspeed"),
]


@pytest.mark.parametrize(("script", "found"), ALONE, ids=[script for script, _ in ALONE])
def test_a_launcher_in_a_script(script: str, found: str) -> None:
    assert launcher_without_group(["sh", "-c", script]) == found


@pytest.mark.parametrize(
    "script",
    [
        "",
        "python train.py",
        "pip install torchrun deepspeed && exec python train.py",
        "command -v torchrun || true",
        "which torchrun; echo torchrun train.py",
        "# torchrun train.py\npython train.py",
        "python train.py --launcher torchrun",
        "accelerate config default",
        "echo 'torchrun; torchrun' \"; torchrun\"",
        "torchrun --nnodes $GROUP_WORLD_SIZE --node-rank $GROUP_RANK train.py",
        "torchrun --nnodes=1:4 --rdzv-backend=c10d --rdzv-endpoint=h:29400 train.py",
        "torchrun --node_rank=${GROUP_RANK} --nnodes=$GROUP_WORLD_SIZE train.py",
        *(
            f"{name} {flags} train.py"
            for name, flags in GROUP_FLAGS.items()
            if name != "accelerate"
        ),
        f"accelerate launch {GROUP_FLAGS['accelerate']} train.py",
        "accelerate launch --num_machines $GROUP_WORLD_SIZE --machine_rank=$GROUP_RANK train.py",
        "torchrun 2>&1 --nnodes $GROUP_WORLD_SIZE --node_rank $GROUP_RANK train.py",
    ],
)
def test_a_script_without_a_lone_launcher(script: str) -> None:
    assert launcher_without_group(["bash", "-c", script]) is None


@pytest.mark.parametrize(
    "words",
    [
        ["bash", "-lc", "torchrun train.py"],
        ["/bin/bash", "-e", "-o", "pipefail", "-c", "torchrun train.py"],
        ["bash", "-ceuo", "pipefail", "torchrun train.py"],
        ["bash", "--login", "-c", "torchrun train.py", "ignored"],
        ["/usr/bin/env", "-i", "sh", "-c", "torchrun train.py"],
        ["tini", "--", "sh", "-c", "torchrun train.py"],
        ["env", "NCCL_DEBUG=INFO", "torchrun", "train.py"],
        ["uv", "run", "torchrun", "train.py"],
        ["xvfb-run", "-a", "torchrun", "train.py"],
    ],
)
def test_a_launcher_behind_another_program(words: list[str]) -> None:
    assert launcher_without_group(words) == "torchrun"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["sh"],
        ["sh", "-c"],
        ["sh", "torchrun"],
        ["sh", "run.sh", "-c", "torchrun train.py"],
        ["--"],
    ],
)
def test_no_script(words: list[str]) -> None:
    assert launcher_without_group(words) is None


@given(st.lists(st.text(alphabet="ac -o$(){}'\"\\\n;&=#", max_size=12), max_size=4))
def test_any_script_can_be_parsed(words: list[str]) -> None:
    assert launcher_without_group(["sh", "-c", *words]) is None
    assert launcher(words) is None


def test_the_page_on_launchers_has_the_flags() -> None:
    page = (Path(__file__).parents[2] / "docs" / "launchers.md").read_text()
    for flags in GROUP_FLAGS.values():
        assert f"`{flags}`" in page
