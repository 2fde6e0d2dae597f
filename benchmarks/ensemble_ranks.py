"""Time an ensemble's updates on two ranks: every member by both of them, and each member by one; ratios from one run.

    python benchmarks/ensemble_ranks.py [--members 4] [--size 8] [--updates 40] [--repeats 3] [--batch 64]

Two processes of one thread over gloo, on digits, at 32 px enlarged. By both: each member's batch is divided and its
gradients are summed, as models are trained that are not ensembles. By one: as `distal` does it where there is a member
for each rank; at the end of a round every member goes to the other rank, which is counted. Rounds of the two ways take
turns, so that a busy machine slows both; the figure is the ratio of medians, and processor seconds are those of both.
"""

import argparse
import statistics
import tempfile
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from held_images import HeldImages
from machine import describe_machine

from distal.communicator import Alone, Communicator, ProcessGroup
from distal.data.digits import load_digits
from distal.models import Ensemble
from distal.models.ensemble import model as ensembles
from distal.resolve import parse_config
from distal.train import TrainingRows, train_round

LABELS, RANKS = 100, 2


def by_both(own: object, comm: Communicator) -> tuple[Communicator, Communicator]:
    return comm, Alone(comm.device)


WAYS = {"by both": by_both, "by one": ensembles.divided}


def digits(size: int) -> TrainingRows:
    scans, labels = load_digits()
    pixels = np.kron(scans, np.ones((1, size // 8, size // 8), np.uint8))[:, None]
    ids = np.arange(LABELS)
    return TrainingRows(HeldImages(pixels), len(pixels), np.zeros(0, np.int64), None, ids, labels[:LABELS], seed=0)


def one_rank(rank: int, arguments: argparse.Namespace, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS)
    comm = ProcessGroup()
    own = {"kind": "ensemble", "members": arguments.members, "member": {"reconstruction": 0}}
    train = {"steps": arguments.updates, "batch_size": arguments.batch}
    config = parse_config({"seed": 0, "model": own, "train": train})
    models = {way: Ensemble.create(config, arguments.size, 1, 10) for way in WAYS}
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats + 1):  # the first is thrown away
        for way, divided in WAYS.items():
            ensembles.divided = divided  # type: ignore[assignment]
            comm.gather(None)
            started = time.monotonic(), time.process_time()
            models[way], _ = train_round(models[way], digits(arguments.size), comm, arguments.updates)
            processor = sum(comm.gather(time.process_time() - started[1]))
            took[way].append((time.monotonic() - started[0], processor))
    if rank == 0:
        report(took, arguments)
    dist.destroy_process_group()


def report(took: dict[str, list[tuple[float, float]]], arguments: argparse.Namespace) -> None:
    print(describe_machine())
    print(
        f"{arguments.members} members, {arguments.size} px, {arguments.updates} updates, batches of {arguments.batch}"
    )
    medians = []
    for way, times in took.items():
        wall, processor = (sorted(time[i] for time in times[1:]) for i in range(2))
        medians.append(statistics.median(wall))
        spread = f"{wall[0]:.2f} to {wall[-1]:.2f}"
        print(f"{way}: {medians[-1]:.2f} s ({spread}), processor {statistics.median(processor):.2f} s")
    print(f"ratio {medians[0] / medians[1]:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"members": 4, "size": 8, "updates": 40, "repeats": 3, "batch": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(one_rank, args=(parser.parse_args(), folder), nprocs=RANKS)


if __name__ == "__main__":
    main()
