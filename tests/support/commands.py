"""Command lines of worker containers, for tests of the detection of launchers."""

from __future__ import annotations

LAUNCHERS = (
    ("torchrun", "train.py"),
    ("/opt/conda/bin/torchrun", "--nproc-per-node=8", "train.py"),
    ("accelerate", "launch", "train.py"),
    ("/usr/bin/accelerate", "launch"),
    ("accelerate-launch", "train.py"),
    ("deepspeed", "train.py"),
    ("python", "-m", "torch.distributed.run", "train.py"),
    ("/bin/python3", "-um", "torch.distributed.launch", "train.py"),
    ("python3.11", "-X", "dev", "-O", "-W", "error", "-m", "torch.distributed.run", "train.py"),
    ("python", "-m", "accelerate.commands.launch", "train.py"),
    ("python", "-m", "deepspeed.launcher.runner", "train.py"),
    ("python", "-u", "/opt/bin/torchrun", "train.py"),
    ("python", "/opt/bin/accelerate", "launch", "train.py"),
)
"""Command lines whose program is a launcher."""

OTHERS = (
    ("python", "train.py"),
    ("python", "-m", "train"),
    ("python", "train.py", "--launcher", "torchrun"),
    ("python", "train.py", "torchrun"),
    ("python", "train.py", "-m", "torch.distributed.run"),
    ("python", "-m", "torch.distributed.run_all"),
    ("python", "-m", "train", "-m", "torch.distributed.run"),
    ("pytest", "-m", "torch.distributed.run"),
    ("accelerate", "config"),
    ("accelerate",),
    ("python", "-m"),
    ("my-torchrun", "train.py"),
    ("torchrun/train.py",),
    ("torchrun-wrapper.sh",),
    ("sh", "-c", "torchrun train.py"),
    ("env", "torchrun", "train.py"),
)
"""Command lines whose program is no launcher."""
