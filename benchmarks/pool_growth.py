"""Driver memory, traffic and time per row as the pool grows from 10,000 to 1,000,000 rows.

    python benchmarks/pool_growth.py [rows ...]

Each size runs in a process of its own: open the pool, start two shard actors, decode, then acquire with margin and with
coreset through the actors. Memory is the driver's own (anonymous) and its resident peak. Time per row is then compared
between the smallest and the largest pool, both open at once, in passes that take turns: what else the machine does
weighs on both. The network is the residual one, so that a pass is mostly its arithmetic.
"""

import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from synthetic_pool import write_pool

TURNS = 3
SIZE = 8
DISTINCT = 200_000
"""Different images at most; a million rows hold each five times over."""
NONE = np.zeros(0, dtype=np.int64)


def main() -> None:
    sizes = [int(a) for a in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    print(describe_machine())
    print(f"pools of {SIZE} x {SIZE} images, residual network, 2 shard actors")
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    try:
        for rows in sizes:
            write_pool(folder / f"{rows}.parquet", rows, SIZE, min(rows, DISTINCT))
        results = [in_its_own_process(measure, folder, [rows]) for rows in sizes]
        grown = results[-1]["driver_anonymous_MB"] - results[0]["driver_anonymous_MB"]
        print(f"driver memory, {sizes[-1]:,} against {sizes[0]:,} rows: {grown:+.0f} MB   (bar: 50)")
        times = in_its_own_process(take_turns, folder, [sizes[0], sizes[-1]])
        print(
            f"scoring time per row, {sizes[-1]:,} against {sizes[0]:,} rows: {times['ratio']:.2f} x   (bar: 0.9 to 1.1)"
        )
    finally:
        shutil.rmtree(folder)


def in_its_own_process(task: Callable[..., None], folder: Path, sizes: list[int]) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    process = context.Process(target=task, args=(folder, sizes, queue))
    process.start()
    result: dict[str, Any] = queue.get()
    process.join()
    print(json.dumps(result), flush=True)
    return result


def open_shards(folder: Path, rows: int, cpus: float) -> Any:
    """Return the decoded shards of one pool."""
    from distal.data.table import open_images
    from distal.pool.actors import ShardActors
    from distal.resolve import make_config

    pool = {"path": str(folder / f"{rows}.parquet"), "cache": str(folder / "cache"), "image_size": SIZE, "channels": 1}
    images = open_images(make_config({"pool": pool}).pool)
    shards = ShardActors(images, 2, 0.0, 0, cpus=cpus, gpus=0.0, name=f"benchmark-{rows}", wait_s=60.0)
    shards.prepare()
    return shards


def start_with_scorer() -> bytes:
    """Start Ray on two cores and return an untrained scorer."""
    from local_ray import start_ray

    from distal.models import GAN
    from distal.resolve import make_config

    start_ray()
    return GAN.create(make_config({"net": {"name": "residual"}}), SIZE, 1, 10).scorer().to_bytes()


def measure(folder: Path, sizes: list[int], queue: Any) -> None:
    from distal.query import STRATEGIES, Known, select

    scorer = start_with_scorer()
    started = time.perf_counter()
    shards = open_shards(folder, sizes[0], cpus=1.0)
    decoded = time.perf_counter() - started
    traffic: dict[str, int] = {}
    for name in ("margin", "coreset"):
        shards.open_round(2, STRATEGIES.find(name), scorer, NONE, Known(NONE, NONE, 2))
        selection = select(shards, STRATEGIES.find(name), 100, 0, 2)
        traffic |= {f"{name}_bytes": selection.bytes_moved, f"{name}_passes": selection.passes}
    memory = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    anonymous, peak = (round(int(memory[key].split()[0]) / 1024) for key in ("RssAnon", "VmHWM"))
    facts = {"rows": sizes[0], "decode_s": round(decoded, 1), "driver_anonymous_MB": anonymous, "driver_peak_MB": peak}
    queue.put(facts | traffic)


def take_turns(folder: Path, sizes: list[int], queue: Any) -> None:
    """Score the small pool many times before and after each pass over the large one."""
    from distal.query import STRATEGIES, Known

    scorer, margin = start_with_scorer(), STRATEGIES.find("margin")
    pools = {rows: open_shards(folder, rows, cpus=0.5) for rows in sizes}
    microseconds: dict[int, list[float]] = {rows: [] for rows in sizes}

    def score(rows: int) -> None:
        started = time.perf_counter()
        pools[rows].open_round(2, margin, scorer, NONE, Known(NONE, NONE, 2))
        microseconds[rows].append((time.perf_counter() - started) / rows * 1e6)

    small, large = sizes
    for _ in range(TURNS):
        for rows in [*[small] * (large // small // 4), large, *[small] * (large // small // 4)]:
            score(rows)
    median = {rows: statistics.median(values) for rows, values in microseconds.items()}
    queue.put(
        {
            "us_per_row": {rows: round(value, 2) for rows, value in median.items()},
            "ratio": median[large] / median[small],
        }
    )


if __name__ == "__main__":
    main()
