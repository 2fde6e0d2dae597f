"""Scoring through two shard actors beside one plain in-process loop on both cores, over the same decoded images.

    python benchmarks/pool_scoring.py [rows]

The plain loop is what one writes first: torch's own threads on both cores, the same network in its plain form (NCHW,
float32), decoded images in memory. Prints images/s as medians of interleaved runs, and the ratios of docs/results.md.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import ray
import torch
from local_ray import start_ray
from machine import describe_machine
from synthetic_pool import write_pool

from distal.config import Config
from distal.data.table import open_images
from distal.models import GAN
from distal.nets.scorer import Scorer, to_unit
from distal.pool.actors import ShardActors
from distal.query import STRATEGIES, Known
from distal.resolve import make_config

RUNS = 5
SHARDS = 2
NONE = np.zeros(0, dtype=np.int64)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    write_pool(folder / "pool.parquet", rows, size=32)
    pool = {"path": str(folder / "pool.parquet"), "cache": str(folder / "cache"), "image_size": 32, "channels": 1}
    configs = {p: make_config({"pool": pool, "train": {"precision": p}}) for p in ("fp32", "bf16")}
    images = open_images(configs["fp32"].pool)
    scorers = {p: GAN.create(c, 32, 1, 10).scorer().to_bytes() for p, c in configs.items()}
    start_ray(object_store_memory=2**28)
    shards = ShardActors(images, SHARDS, 0.0, 0, cpus=1.0, gpus=0.0, name="benchmark", wait_s=60.0)
    shards.prepare()
    pixels = images.pixels(np.arange(rows, dtype=np.int64))

    def through_actors(precision: str) -> float:
        started = time.perf_counter()
        shards.open_round(2, STRATEGIES.find("badge"), scorers[precision], NONE, Known(NONE, NONE, 2))
        return time.perf_counter() - started

    works = {
        "plain loop, both cores, fp32": lambda: plain_loop(configs["fp32"], pixels),
        "2 actors, fp32": lambda: through_actors("fp32"),
        "2 actors, bf16": lambda: through_actors("bf16"),
        "1 process, 2 threads, distal's scorer, fp32": lambda: own_loop(scorers["fp32"], pixels),
        "1 process, 2 threads, distal's scorer, bf16": lambda: own_loop(scorers["bf16"], pixels),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for run in range(RUNS + 1):
        for name, work in works.items():
            taken = work()
            if run:
                seconds[name].append(taken)
    print(describe_machine())
    print(f"{rows} images of 32 x 32, residual network, medians of {RUNS} interleaved runs")
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, taken in median.items():
        print(f"  {name:<46} {rows / taken:9.0f} images/s")
    plain, actors = median["plain loop, both cores, fp32"], median["2 actors, fp32"]
    print(f"  2 actors / plain loop                 {plain / actors:.2f} x   (bar: 1.2)")
    print(f"  bf16 / fp32, through the actors       {actors / median['2 actors, bf16']:.2f} x   (bar: 1.8)")
    own = "1 process, 2 threads, distal's scorer, "
    print(f"  bf16 / fp32, in one process           {median[own + 'fp32'] / median[own + 'bf16']:.2f} x")
    ray.shutdown()


def plain_loop(config: Config, pixels: np.ndarray) -> float:
    """Score as a first version would: NCHW, float32, batches of 256, all cores."""
    torch.set_num_threads(2)
    discriminator = GAN.create(config, 32, 1, 10).averaged_D.to(memory_format=torch.contiguous_format).eval()
    started = time.perf_counter()
    with torch.inference_mode():
        for i in range(0, len(pixels), 256):
            features = discriminator.features(to_unit(torch.from_numpy(pixels[i : i + 256])))
            discriminator.classify(features).softmax(1)
    return time.perf_counter() - started


def own_loop(scorer_bytes: bytes, pixels: np.ndarray) -> float:
    torch.set_num_threads(2)
    scorer = Scorer.from_bytes(scorer_bytes)
    started = time.perf_counter()
    with torch.inference_mode():
        for i in range(0, len(pixels), 256):
            scorer(torch.from_numpy(pixels[i : i + 256]))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
