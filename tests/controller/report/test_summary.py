"""Messages in a few words: STATUS has the word that names the error, not the path before it."""

from __future__ import annotations

import pytest
from tests.support.snapshots import ended, observed_pod, snapshot

from elasticjob.api.v1alpha1 import LastFailure
from elasticjob.controller.report import state, summary
from elasticjob.controller.report.texts import LONGEST_STATUS
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase, Round

ROOM = LONGEST_STATUS - len("Failed: ")
NCCL = (
    "[PG ID 0 PG GUID 0(default_pg) Rank 3] Process group watchdog thread terminated with"
    " exception: [Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=5,"
    " OpType=ALLREDUCE) ran for 600001 milliseconds before timing out"
)
OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"
    " capacity of 79.15 GiB of which 1.06 GiB is free"
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # ---- what fits stays
        (
            "ValueError: loss is nan at step 10",
            "b-0-0 (rank 0): ValueError: loss is nan at step 10",
        ),
        (
            "RuntimeError: CUDA error: device-side assert",
            "b-0-0 (rank 0): RuntimeError: CUDA error: device-side assert",
        ),
        ("AssertionError", "b-0-0 (rank 0): AssertionError"),
        ("exit code 1", "b-0-0 (rank 0): exit code 1"),
        ("ended by SIGKILL", "b-0-0 (rank 0): ended by SIGKILL"),
        ("", "b-0-0 (rank 0)"),
        # ---- programs and paths
        (
            "/opt/venv/bin/python: can't open file '/tmp/root/pods/73695f29/home/trian.py':"
            " [Errno 2] No such file or directory",
            "rank 0: python: can't open file '.../trian.py': No such...",
        ),
        (
            "/usr/bin/python3: No module named trian",
            "b-0-0 (rank 0): python3: No module named trian",
        ),
        ("/bin/sh: 1: trian: not found", "b-0-0 (rank 0): sh: 1: trian: not found"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory:"
            " '/mnt/data/imagenet/train/shard-00017.tar'",
            "rank 0: No such file or directory: '.../shard-00017.tar'",
        ),
        (
            "OSError: [Errno 28] No space left on device: '/mnt/ckpt/run-7/step-1000.pt'",
            "b-0-0 (rank 0): No space left on device: '.../step-1000.pt'",
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/data/x'",
            "b-0-0 (rank 0): PermissionError: Permission denied: '/data/x'",
        ),
        (
            "OSError: cannot reach https://example.com/a/b/c",
            "b-0-0 (rank 0): cannot reach https://example.com/a/b/c",
        ),
        # ---- classes and their packages
        ("torch.utils.data.StopTraining", "b-0-0 (rank 0): StopTraining"),
        (
            "ModuleNotFoundError: No module named 'transformers'",
            "b-0-0 (rank 0): No module named 'transformers'",
        ),
        (
            "KeyError: 'module.model.layers.0.self_attn.weight'",
            "rank 0: KeyError: 'module.model.layers.0.self_attn.weight'",
        ),
        (OUT_OF_MEMORY, "rank 0: CUDA out of memory. Tried to allocate 2.00 GiB. GPU..."),
        (
            "torch.distributed.DistBackendError: NCCL error in:"
            " ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1691, unhandled system error",
            "rank 0: NCCL error in: .../ProcessGroupNCCL.cpp:1691...",
        ),
        # ---- logs and crashes
        (
            f"ended by SIGABRT: terminate called after throwing an instance of"
            f" 'c10::DistBackendError': {NCCL}",
            "rank 0: Watchdog caught collective operation timeout...",
        ),
        (
            f"[E1130 12:00:00.123456789 ProcessGroupNCCL.cpp:616] {NCCL}",
            "rank 0: Watchdog caught collective operation timeout...",
        ),
        (
            "ended by SIGSEGV: Fatal Python error: Segmentation fault",
            "b-0-0 (rank 0): ended by SIGSEGV: Segmentation fault",
        ),
        (
            "cannot execute '/opt/train/bin/train.exe': No such file or directory: check the image",
            "rank 0: cannot execute '.../train.exe': No such file or...",
        ),
    ],
)
def test_a_failure_in_status(message: str, expected: str) -> None:
    found = LastFailure(pod="b-0-0", rank=0, reason="WorkerFailed", message=message)
    assert summary.fitted(summary.of_failure(found), ROOM) == expected


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ("demo-1-0", "demo-1-0 (rank 7): ValueError: loss is nan at step 10"),
        ("llama-pretrain-1-0", "llama-pretrain-1-0 (rank 7): loss is nan at step 10"),
        (f"{50 * 'x'}-1-0", "rank 7: ValueError: loss is nan at step 10"),
    ],
)
def test_a_long_name_leaves_room_for_the_error(pod: str, expected: str) -> None:
    """The name of the job is in the first column, and that of the pod in the condition."""
    error = "ValueError: loss is nan at step 10"
    found = LastFailure(pod=pod, rank=7, reason="WorkerFailed", message=error)
    assert summary.fitted(summary.of_failure(found), ROOM) == expected


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        (
            "PodSilent",
            "the agent did not renew its Lease",
            "f-1-0: the agent did not renew its Lease",
        ),
        ("OOMKilled", "the pod ended", "f-1-0: OOMKilled: the pod ended"),
        ("OOMKilled", 20 * "long ", "f-1-0: OOMKilled"),
        ("Evicted", None, "f-1-0: Evicted"),
    ],
)
def test_a_lost_pod_has_the_reason_of_its_container(
    reason: str, message: str | None, expected: str
) -> None:
    found = LastFailure(pod="f-1-0", reason=reason, message=message)
    assert summary.fitted(summary.of_failure(found), ROOM) == expected


def test_a_failure_of_which_nothing_is_known_has_the_reason_of_the_end() -> None:
    last = Round(2, Phase.FAILED, cause=Cause(CauseKind.OTHER, n=1))
    found = snapshot(observed_pod(0, container=ended(1)), round_=last, maxRestarts=0)
    assert str(state.of(found)) == "Failed: MaxRestartsExceeded"


@pytest.mark.parametrize(
    ("message", "end"),
    [
        ("a: b: no such directory: unknown", "a: b: no such directory"),
        (f"{30 * 'x'}: the last but one: the cause", "the last but one: the cause"),
        (f"a: {60 * 'x'}", 60 * "x"),
        ("", ""),
    ],
)
def test_the_end_of_a_chain_is_its_cause(message: str, end: str) -> None:
    assert summary.end_of_chain(message) == end


@pytest.mark.parametrize("part", ["/a", "a.", "[rank0", "[rank0: ", "'::", ": ", "/", " x"])
def test_a_long_message_costs_no_more_than_its_beginning_or_end(part: str) -> None:
    """Patterns may need a time that is quadratic in the length of the text."""
    message = 100_000 * part
    assert len(summary.of_message(message)) <= summary.LONGEST
    assert len(summary.end_of_chain(message)) <= summary.LONGEST


def test_a_summary_of_a_summary_is_the_same() -> None:
    for message in (NCCL, OUT_OF_MEMORY, "/a/b/python: '/c/d/e/f': [Errno 2] x", 300 * "/a"):
        once = summary.of_message(message)
        assert summary.of_message(once) == once
