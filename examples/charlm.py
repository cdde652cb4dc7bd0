"""Four pods teach a small transformer to write Python, from the sources of the standard library.

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are all that it needs, so torchrun can start it too.
Workers may be killed and pods be lost at any time: each rank saves to a directory of its own, and
when the group has formed anew, the rank with the newest checkpoint shares it. So no shared storage
is needed, and no rank is special.
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
from torch.nn.parallel import DistributedDataParallel

STEPS = int(os.environ.get("STEPS", "400"))
SAVE_EVERY = 5
LOG_EVERY = 10
BATCH, CONTEXT = 32, 64
WIDTH, HEADS, LAYERS = 54, 6, 2
SYMBOLS = 256  # bytes
INDENT = b" " * 4  # one tab to the model, which would spend its time on blanks otherwise

LOCAL_RANK = os.environ.get("LOCAL_RANK", "0")
CHECKPOINT = Path(os.environ.get("CHECKPOINT_DIR", ".")) / f"charlm-{LOCAL_RANK}.pt"
PROGRESS = os.environ.get("ELASTICJOB_PROGRESS_FILE")


class Model(nn.Module):
    """Bytes in, for each of them a guess at the next byte out."""

    def __init__(self):
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, WIDTH)
        self.places = nn.Parameter(torch.zeros(CONTEXT, WIDTH))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0, batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.normal_(self.symbols.weight, std=0.1)
        # No buffer: DistributedDataParallel would send it round, and gloo had no bool before 2.0.
        self.future = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1)

    def forward(self, text):
        length = text.shape[1]
        hidden = self.symbols(text) + self.places[:length]
        for layer in self.layers:
            hidden = layer(hidden, self.future[:length, :length])
        return self.norm(hidden) @ self.symbols.weight.T


def standard_library():
    """All of its modules as one long text, the same on every pod of an image."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"".join(map(Path.read_bytes, files)).replace(INDENT, b"\t")
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def batch(text, step, rank):
    """Drawn by step and rank, so that a repeated step sees what it saw before."""
    draw = torch.Generator().manual_seed(step * 10_000 + rank)
    starts = torch.randint(len(text) - CONTEXT - 1, (BATCH, 1), generator=draw)
    pieces = text[starts + torch.arange(CONTEXT + 1)].long()
    return pieces[:, :-1], pieces[:, 1:]


def learning_rate(step):
    """Up over 20 steps, then down along a cosine."""
    return 6e-3 * min((step + 1) / 20, 0.55 + 0.45 * math.cos(math.pi * step / STEPS))


def write(path, save):
    """Whole or not at all: a worker may be killed at any time."""
    part = f"{path}.part"
    save(part)
    os.replace(part, path)


def save(step, model, optimizer):
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    write(CHECKPOINT, lambda part: torch.save(state, part))


def restore(model, optimizer):
    """Load the newest checkpoint of any rank everywhere; return the step that it was made after."""
    mine = torch.load(CHECKPOINT, map_location="cpu") if CHECKPOINT.exists() else {"step": 0}
    steps = [torch.zeros(1, dtype=torch.long) for _ in range(dist.get_world_size())]
    dist.all_gather(steps, torch.tensor([mine["step"]]))
    newest = max(range(len(steps)), key=lambda rank: steps[rank].item())
    shared = [mine]
    dist.broadcast_object_list(shared, src=newest)
    if shared[0]["step"]:
        model.load_state_dict(shared[0]["model"])
        optimizer.load_state_dict(shared[0]["optimizer"])
        tell(f"go on after step {shared[0]['step']}, from the checkpoint of rank {newest}")
    return shared[0]["step"]


def report(step):
    """Progress for `kubectl get elasticjobs -o wide`."""
    if PROGRESS and LOCAL_RANK == "0":
        text = json.dumps({"step": step, "total": STEPS})
        write(PROGRESS, lambda part: Path(part).write_text(text))


def tell(text):
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
    """The steps that are left; leaves the program when told to stop."""
    start = restore(model, optimizer)
    parallel = DistributedDataParallel(model)
    # Only now: a handler does not run while the process waits for a group that cannot form.
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    for step in range(start, STEPS):
        given, expected = batch(text, step, dist.get_rank())
        loss = nn.functional.cross_entropy(parallel(given).flatten(0, 1), expected.flatten())
        optimizer.param_groups[0]["lr"] = learning_rate(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

        # All agree on whether to stop, so that all save the same step and nobody waits in vain.
        both = torch.tensor([loss.item(), float(len(told))])
        dist.all_reduce(both)
        done, stopping = step + 1, both[1] > 0
        if step == start or done % LOG_EVERY == 0:
            tell(f"step {done}/{STEPS} loss {both[0] / dist.get_world_size():.2f}")
        if done % SAVE_EVERY == 0 or done == STEPS or stopping:
            save(done, model, optimizer)
            report(done)
        if stopping:
            tell(f"told to stop: saved step {done}")
            sys.exit(128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    text = standard_library()
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    tell(f"{dist.get_world_size()} workers, {parameters:,} parameters, {len(text):,} bytes to read")
    train(model, optimizer, text)
    if dist.get_rank() == 0:
        print(f"it writes:\n{sample(model)}", flush=True)
    dist.barrier()  # rank 0 hosts the store that the others still use
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
