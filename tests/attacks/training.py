"""The workers of the victim: they train a small model, and print all that they compute.

Step and rank seed the data, so a group with other ranks, or with one step more or less, prints
other losses and ends with other weights. Each worker prints its rank at the start of its round and
the weights at the end; rank 0 prints, every ten steps, the loss and a digest of every loss and of
the ranks of every step so far.
"""

import hashlib
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STEPS = int(os.environ["STEPS"])
STEP_S = float(os.environ["STEP_S"])  # as if a step computed for at least this time
MARK = "trained:"


def data(step, rank):
    draw = torch.Generator().manual_seed(step * 1000 + rank)
    values = torch.randn(32, 16, generator=draw)
    return values, values.sum(1, keepdim=True).sin()


def report_progress(step):
    path = Path(os.environ["ELASTICJOB_PROGRESS_FILE"])
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"step": step, "total": STEPS}))
    part.replace(path)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    print(f"{MARK} round {os.environ['ELASTICJOB_ROUND']}: rank {rank} of {world}", flush=True)
    net = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1))
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    seen, began = hashlib.sha256(), time.monotonic()
    for step in range(1, STEPS + 1):
        values, wanted = data(step, rank)
        loss = nn.functional.mse_loss(model(values), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        facts = [torch.zeros(2, dtype=torch.float64) for _ in range(world)]
        dist.all_gather(facts, torch.tensor([rank, loss.item()], dtype=torch.float64))
        seen.update(" ".join(value.hex() for fact in facts for value in fact.tolist()).encode())
        if rank == 0 and step % 10 == 0:
            print(f"{MARK} step {step} loss {loss.item():.6f} {seen.hexdigest()[:16]}", flush=True)
            report_progress(step)
        time.sleep(max(0.0, began + step * STEP_S - time.monotonic()))
    weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters()))
    print(f"{MARK} weights {weights.hexdigest()[:16]}", flush=True)
    dist.barrier()
    dist.destroy_process_group()


main()
