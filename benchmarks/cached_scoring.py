"""Score 10^6 cached rows of 1,280 features on two shards, beside one plain float16 matrix product over the same file.

    python benchmarks/cached_scoring.py [--rows 1000000] [--runs 3]

Seconds of the processor, one thread, both shards one after the other in this process: what two actors do at the same
time. What Ray adds to a pass is in docs/scale.md (5 ms of the driver, 8 ms of each actor). `first look`: what a launch
does once, checksums and the projection on 128 components; `a round`: the probe's probabilities of all rows, by
`margin`, and its top 1,000. Plain: float16 [rows, 1280] from the map times float16 [1280, 10], and the same by float32.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cached_features import CachedPool, FeaturesFile, open_shards
from machine import describe_machine

from distal.features.competition import Verdict
from distal.features.probe import Probe
from distal.features.projection import Projection
from distal.pool.sight import Sight
from distal.query import STRATEGIES, Known, LocalShards, select

WIDTH, CLASSES, COMPONENTS, PART = 1280, 10, 128, 16_384
NONE = np.zeros(0, dtype=np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="distal-benchmark-") as folder:
        pool = CachedPool(arguments.rows, Path(folder))
        file = FeaturesFile(pool, WIDTH)
        draw = np.random.default_rng(0)
        part = draw.standard_normal((PART, WIDTH), dtype=np.float32).astype(np.float16)
        for start in range(0, pool.rows, PART):  # the same rows in another order of columns
            file.append(np.roll(part, start // PART, 1)[: pool.rows - start])
        print(f"{describe_machine()}; 1 thread, {arguments.runs} runs")
        compare(pool, file.path, part, draw, arguments.runs)


def compare(pool: CachedPool, path: Path, part: np.ndarray, draw: np.random.Generator, runs: int) -> None:
    projection = Projection.fit(part[:4096], COMPONENTS)
    labels = np.arange(200) % CLASSES
    rows = projection(torch.from_numpy(part[: 200 + runs]))
    sights = []
    for number in range(runs + 1):  # each round has a probe of its own: shards keep what the last one said
        probe = Probe.fit(rows[number : number + 200], labels, CLASSES, torch.zeros(COMPONENTS), 0)
        verdict = Verdict("probe", {}, {"probe": 1.0, "head": 1.0}, "")
        sights.append(Sight(verdict, projection.to_bytes(), probe.to_bytes()))
    shards, margin = open_shards(pool, WIDTH, 2), STRATEGIES.find("margin")
    weights = draw.standard_normal((WIDTH, CLASSES), dtype=np.float32)
    features = torch.from_numpy(np.memmap(path, dtype=np.float16, mode="r", shape=(pool.rows, WIDTH)))

    def score() -> None:
        sight = sights.pop()
        for shard in shards:
            shard.open_round(2, margin, None, NONE, Known(NONE, NONE, CLASSES), None, sight)
        group = LocalShards([shard.selector for shard in shards if shard.selector])
        select(group, margin, 1000, 0, 2)

    def product(dtype: torch.dtype) -> None:
        matrix = torch.from_numpy(weights).to(dtype)
        for rows in torch.split(features, PART):
            torch.mm(rows.to(dtype), matrix)

    first = seconds(score)
    ways = {"a round": score, "float16": lambda: product(torch.float16), "float32": lambda: product(torch.float32)}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, work in ways.items():
            taken[name].append(seconds(work))
    median = {name: statistics.median(values) for name, values in taken.items()}
    plain = min(median["float16"], median["float32"])
    print(f"{pool.rows:,} x {WIDTH}: {', '.join(f'{name} {value:.2f} s' for name, value in median.items())}")
    print(f"a round: {median['a round'] / median['float16']:.2f} x float16 (bar 1.3), ", end="")
    print(f"{median['a round'] / plain:.2f} x the faster plain form; first look {first:.1f} s, {first / plain:.1f} x")


def seconds(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
