"""Train a small transformer to write Python, on the sources of the standard library.

The script needs only RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, so torchrun can start it too.
Workers may be killed and pods may be lost at any time. Each rank saves checkpoints to its own
directory. When the group starts again, the rank with the newest checkpoint sends it to all others,
so the script needs no shared storage and no special rank.
"""

import json
import math
import os
import signal
import sys
import sysconfig
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel

STEPS = int(os.environ.get("STEPS", "400"))
SAVE_EVERY = 5
LOG_EVERY = 10
BATCH, CONTEXT = 32, 64
WIDTH, HEADS, LAYERS = 54, 6, 2
SYMBOLS = 256  # bytes
INDENT = b" " * 4  # one tab for the model, which would otherwise learn mostly blanks

LOCAL_RANK = os.environ.get("LOCAL_RANK", "0")
CHECKPOINT = Path(os.environ.get("CHECKPOINT_DIR", ".")) / f"charlm-{LOCAL_RANK}.pt"
PROGRESS = os.environ.get("ELASTICJOB_PROGRESS_FILE")


class Model(nn.Module):
    """Predict the next byte after each byte of a text."""

    def __init__(self):
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, WIDTH)
        self.positions = nn.Parameter(torch.zeros(CONTEXT, WIDTH))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0, batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.normal_(self.symbols.weight, std=0.1)
        # Not a buffer: DistributedDataParallel would broadcast it, and gloo has no bool before 2.0.
        self.mask = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1)

    def forward(self, text):
        length = text.shape[1]
        hidden = self.symbols(text) + self.positions[:length]
        for layer in self.layers:
            hidden = layer(hidden, self.mask[:length, :length])
        return self.norm(hidden) @ self.symbols.weight.T


def standard_library():
    """The sources of the standard library as one text, the same in every pod of an image."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"".join(map(Path.read_bytes, files)).replace(INDENT, b"\t")
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def batch(text, step, rank):
    """Random pieces of the text. Step and rank seed them, so a repeated step gets the same ones."""
    draw = torch.Generator().manual_seed(step * 10_000 + rank)
    starts = torch.randint(len(text) - CONTEXT - 1, (BATCH, 1), generator=draw)
    pieces = text[starts + torch.arange(CONTEXT + 1)].long()
    return pieces[:, :-1], pieces[:, 1:]


def learning_rate(step):
    """The rate rises over 20 steps, then falls along a cosine."""
    return 6e-3 * min((step + 1) / 20, 0.55 + 0.45 * math.cos(math.pi * step / STEPS))


def write(path, save):
    """Write a file atomically, because a worker may be killed at any time."""
    part = f"{path}.part"
    save(part)
    os.replace(part, path)


def save(step, model, optimizer):
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    write(CHECKPOINT, lambda part: torch.save(state, part))


def restore(model, optimizer):
    """Load the newest checkpoint of all ranks in each rank, and return its step."""
    own = torch.load(CHECKPOINT, map_location="cpu") if CHECKPOINT.exists() else {"step": 0}
    steps = [torch.zeros(1, dtype=torch.long) for _ in range(dist.get_world_size())]
    dist.all_gather(steps, torch.tensor([own["step"]]))
    newest = max(range(len(steps)), key=lambda rank: steps[rank].item())
    shared = [own]
    dist.broadcast_object_list(shared, src=newest)
    if shared[0]["step"]:
        model.load_state_dict(shared[0]["model"])
        optimizer.load_state_dict(shared[0]["optimizer"])
        log(f"continuing after step {shared[0]['step']}, from the checkpoint of rank {newest}")
    return shared[0]["step"]


def report(step):
    """Report the progress that `kubectl get elasticjobs -o wide` shows."""
    if PROGRESS and LOCAL_RANK == "0":
        text = json.dumps({"step": step, "total": STEPS})
        write(PROGRESS, lambda part: Path(part).write_text(text))


def log(text):
    if dist.get_rank() == 0:
        print(text, flush=True)


@torch.no_grad()
def sample(model, prompt=b"\tdef ", length=300):
    text = torch.tensor([list(prompt)])
    for _ in range(length):
        chances = torch.softmax(model(text[:, -CONTEXT:])[0, -1] / 0.7, 0)
        text = torch.cat([text, torch.multinomial(chances, 1)[None]], 1)
    return bytes(text[0].tolist()).replace(b"\t", INDENT).decode(errors="replace")


def train(model, optimizer, text):
    """Run the remaining steps; exit after SIGTERM."""
    start = restore(model, optimizer)
    parallel = DistributedDataParallel(model)
    # Not earlier: Python runs no handler while the process waits for a group that cannot form.
    signals = []
    signal.signal(signal.SIGTERM, lambda *_: signals.append(True))
    for step in range(start, STEPS):
        inputs, targets = batch(text, step, dist.get_rank())
        loss = nn.functional.cross_entropy(parallel(inputs).flatten(0, 1), targets.flatten())
        optimizer.param_groups[0]["lr"] = learning_rate(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

        # All ranks decide together whether to stop, so that all save the same step and none hangs.
        sums = torch.tensor([loss.item(), float(len(signals))])
        dist.all_reduce(sums)
        done, stopping = step + 1, sums[1] > 0
        if step == start or done % LOG_EVERY == 0:
            log(f"step {done}/{STEPS} loss {sums[0] / dist.get_world_size():.2f}")
        if done % SAVE_EVERY == 0 or done == STEPS or stopping:
            save(done, model, optimizer)
            report(done)
        if stopping:
            log(f"received SIGTERM: saved step {done}")
            sys.exit(128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@record  # reports the exception of a worker, which status.lastFailure then contains
def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    text = standard_library()
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    log(f"{dist.get_world_size()} workers, {parameters:,} parameters, {len(text):,} bytes of text")
    train(model, optimizer, text)
    if dist.get_rank() == 0:
        print(f"it writes:\n{sample(model)}", flush=True)
    dist.barrier()  # rank 0 hosts the store that the other ranks still use
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
