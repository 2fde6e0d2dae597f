"""Driver memory, time per row and traffic as the pool grows from 10,000 to 1,000,000 rows.

    python benchmarks/pool_growth.py [rows ...]

Each size runs in a process of its own: open the pool, start two shard actors, decode, then acquire with margin and with
coreset through the actors. Memory is the driver's own (anonymous) and its resident peak; time per row is the median of
several scoring passes after a warm one.
"""

import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from synthetic_pool import write_pool

RUNS = 5
SIZE = 8
NONE = np.zeros(0, dtype=np.int64)


def main() -> None:
    sizes = [int(a) for a in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    print(describe_machine())
    print(f"pool of {SIZE} x {SIZE} images, 2 shard actors; median of {RUNS} scoring passes")
    results = []
    for rows in sizes:
        queue: Any = multiprocessing.get_context("spawn").Queue()
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(rows, queue))
        process.start()
        result = queue.get()
        process.join()
        results.append(result)
        print(json.dumps(result), flush=True)
    first, last = results[0], results[-1]
    grown = last["driver_anonymous_MB"] - first["driver_anonymous_MB"]
    print(f"driver memory, {last['rows']:,} against {first['rows']:,} rows: {grown:+.0f} MB   (bar: 50)")
    ratio = last["score_us_per_row"] / first["score_us_per_row"]
    print(f"scoring time per row, {last['rows']:,} against {first['rows']:,} rows: {ratio:.2f} x   (bar: 0.9 to 1.1)")


def measure(rows: int, queue: Any) -> None:
    import ray

    from distal.data.table import open_images
    from distal.pool.actors import ShardActors
    from distal.query import get_strategy, select
    from distal.resolve import make_config
    from distal.train import TrainState

    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    try:
        write_pool(folder / "pool.parquet", rows, SIZE)
        pool = {"path": str(folder / "pool.parquet"), "cache": str(folder / "cache"), "image_size": SIZE, "channels": 1}
        config = make_config({"pool": pool})
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        started = time.perf_counter()
        images = open_images(config.pool)
        opened = time.perf_counter() - started
        scorer = TrainState.create(config, SIZE, 1, 10).scorer().to_bytes()
        shards = ShardActors(images, 2, 0.0, 0, cpus=1.0, gpus=0.0, name="benchmark")
        started = time.perf_counter()
        shards.prepare()
        decoded = time.perf_counter() - started
        passes = []
        for run in range(RUNS + 1):
            started = time.perf_counter()
            shards.open_round(2, get_strategy("margin"), scorer, NONE, NONE)
            passes.append(time.perf_counter() - started) if run else None
        margin = select(shards, get_strategy("margin"), 100, 0, 2)
        shards.open_round(2, get_strategy("coreset"), scorer, NONE, NONE)
        coreset = select(shards, get_strategy("coreset"), 100, 0, 2)
        memory = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        queue.put(
            {
                "rows": rows,
                "open_s": round(opened, 2),
                "decode_s": round(decoded, 1),
                "score_us_per_row": round(statistics.median(passes) / rows * 1e6, 2),
                "driver_anonymous_MB": round(int(memory["RssAnon"].split()[0]) / 1024),
                "driver_peak_MB": round(int(memory["VmHWM"].split()[0]) / 1024),
                "margin_bytes": margin.bytes_moved,
                "coreset_bytes": coreset.bytes_moved,
                "coreset_passes": coreset.passes,
            }
        )
        ray.shutdown()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
