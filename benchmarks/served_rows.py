"""Training steps whose pixels the shard actors send, beside the same steps over pixels that lie on this machine.

    python benchmarks/served_rows.py [--rows 10000] [--steps 10] [--repeats 5]

Two shard actors keep their decoded images in a folder that the trainer does not look into, as on another machine; what
the network between machines adds is not in it. Blocks of steps alternate, so that a busy machine slows both; losses
must be equal. Prints the ratio of medians of docs/results.md, and what a rank's node has decoded.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from local_ray import start_ray
from machine import describe_machine
from synthetic_pool import write_pool

from distal.communicator import Alone
from distal.data.protocol import Rows
from distal.data.table import open_images
from distal.models import GAN
from distal.pool.actors import ShardActors
from distal.pool.served import ServedRows
from distal.resolve import make_config
from distal.train import TrainingRows, train_round

LABELS, CLASSES, SIZE = 100, 10, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    write_pool(folder / "pool.parquet", arguments.rows, size=SIZE)
    pool = {"path": str(folder / "pool.parquet"), "image_size": SIZE, "channels": 1}
    there, here = (make_config({"pool": {**pool, "cache": str(folder / node)}}) for node in ("there", "here"))
    start_ray(object_store_memory=2**28)
    shards = ShardActors(open_images(there.pool), 2, 0.0, 0, cpus=1.0, gpus=0.0, name="benchmark", wait_s=60.0)
    shards.prepare()
    local = open_images(there.pool)
    served = ServedRows(open_images(here.pool), shards.handles, shards.bounds)
    trained = {"local": GAN.create(here, SIZE, 1, CLASSES), "served": GAN.create(here, SIZE, 1, CLASSES)}
    seconds: dict[str, list[float]] = {"local": [], "served": []}
    losses: dict[str, Any] = {}
    for repeat in range(arguments.repeats + 1):
        for name, images in (("local", local), ("served", served)):
            started = time.perf_counter()
            _, losses[name] = train_round(
                trained[name], training_rows(images, arguments.rows), Alone(), arguments.steps
            )
            if repeat:
                seconds[name].append((time.perf_counter() - started) / arguments.steps)
        assert losses["local"] == losses["served"], losses
    print(describe_machine())
    print(f"one rank, batches of {here.train.global_batch} images of {SIZE} x {SIZE} out of {arguments.rows}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, taken in medians.items():
        spread = f"{min(seconds[name]) * 1000:.0f} to {max(seconds[name]) * 1000:.0f}"
        print(f"  a step, pixels {name:<8} {taken * 1000:7.1f} ms ({spread})")
    print(f"  served / local        {medians['served'] / medians['local']:.3f}")
    waits = [wait(served, arguments.rows, here.train.global_batch, step) for step in range(20)]
    print(f"  a batch that was not asked for ahead: {statistics.median(waits) * 1000:.1f} ms")
    print(f"  decoded bytes: trainer {decoded_bytes(folder / 'here')}, shards {decoded_bytes(folder / 'there')}")
    ray.shutdown()


def training_rows(images: Rows, rows: int) -> TrainingRows:
    ids = np.arange(LABELS)
    return TrainingRows(images, rows, np.zeros(0, np.int64), None, ids, ids % CLASSES, seed=0)


def wait(images: Rows, rows: int, batch: int, step: int) -> float:
    """Time one request from call to pixels."""
    ids = np.random.default_rng(step).integers(0, rows, batch)
    started = time.perf_counter()
    images.pixels(ids)
    return time.perf_counter() - started


def decoded_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("chunk-*"))


if __name__ == "__main__":
    main()
