"""What shards and nodes cost beside the rows they score, on this machine, and what follows for 1,000 of them.

    python benchmarks/scale.py                  measure 1 to 32 shard actors and 1 to 4 extra nodes, then the model
    python benchmarks/scale.py --shards 256     one run of two rounds through 256 shard actors with fractional CPUs

More actors than cores take turns on the cores, so wall time says little about a cluster. CPU seconds are taken apart
instead: the driver's, which one process pays for every shard one after another, and the actors', which a cluster pays
in parallel. Each is fitted by a line in the number of shards, over the same rows. `scale_model.py` has the formula.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import psutil
import ray
from local_ray import start_ray
from machine import describe_machine
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from scale_model import Overheads, Selecting, driver_s, print_tables
from scale_round import run_round
from synthetic_pool import write_pool

from distal.data.table import open_images
from distal.models import GAN
from distal.pool.actors import ShardActors
from distal.query import STRATEGIES, Known, select
from distal.resolve import make_config

COUNTS = (1, 2, 4, 8, 16, 32)
NODES = 4
RUNS = 5
ROWS, SIZE = 20_000, 8
LARGE_ROWS, LARGE_SIZE = 4_000, 32
SELECTIONS = {"margin, 1,000": ("margin", 1000), "badge, 10": ("badge", 10), "badge, 1,000": ("badge", 1000)}
SELECTIONS["coreset, 1,000"] = ("coreset", 1000)
NONE = np.zeros(0, dtype=np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, help="run two rounds through so many shard actors instead")
    parser.add_argument(
        "--forked", action="store_true", help="with workers that share their imports (forked_workers.py)"
    )
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    try:
        if arguments.shards:
            run_round(folder, arguments.shards, arguments.forked)
            return
        write_pool(folder / "small.parquet", ROWS, SIZE, distinct=ROWS)
        write_pool(folder / "large.parquet", LARGE_ROWS, LARGE_SIZE)
        measured = [in_its_own_process(measure_shards, folder, count) for count in COUNTS]
        rate = in_its_own_process(measure_rate, folder, 2)["rows_per_cpu_s"]
        nodes = in_its_own_process(measure_nodes, folder, NODES)
        model(measured, rate, nodes)
    finally:
        shutil.rmtree(folder)


def in_its_own_process(task: Callable[..., dict[str, Any]], folder: Path, count: int) -> dict[str, Any]:
    """Run a measurement in a fresh process and print what it returns: Ray's own state does not pile up."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(task, (folder, count))
    print(json.dumps(result), flush=True)
    return result


def open_shards(folder: Path, name: str, size: int, shards: int) -> tuple[ShardActors, bytes]:
    """Return shard actors on all cores with fractions of a CPU, and an untrained scorer for their images."""
    pool = {"path": str(folder / f"{name}.parquet"), "cache": str(folder / "cache"), "image_size": size, "channels": 1}
    config = make_config({"pool": pool})
    cores = os.cpu_count() or 1
    images = open_images(config.pool)
    actors = ShardActors(images, shards, 0.0, 0, min(1.0, cores / shards), 0.0, f"scale-{shards}", wait_s=600.0)
    actors.prepare()
    return actors, GAN.create(config, size, 1, 10).scorer().to_bytes()


def actor_processes() -> list[psutil.Process]:
    """Return the processes of this session's shard actors."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "HeldShard" in " ".join(child.cmdline()[:1])]


def cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def taken(work: Callable[[], Any], processes: list[psutil.Process]) -> tuple[float, float, float]:
    """Return the seconds of wall, of the driver's CPU and of the actors' CPU that a piece of work takes."""
    before = time.perf_counter(), time.process_time(), cpu_s(processes)
    work()
    return time.perf_counter() - before[0], time.process_time() - before[1], cpu_s(processes) - before[2]


def measure_shards(folder: Path, shards: int) -> dict[str, Any]:
    """Start shard actors, score the small pool and choose from it, several times over."""
    start_ray(os.cpu_count())
    available = psutil.virtual_memory().available
    started = time.perf_counter()
    actors, scorer = open_shards(folder, "small", SIZE, shards)
    facts: dict[str, Any] = {"shards": shards, "start_s": round(time.perf_counter() - started, 2)}
    processes = actor_processes()
    known = Known(NONE, NONE, 2)
    for name, (strategy_name, k) in SELECTIONS.items():
        strategy = STRATEGIES.find(strategy_name)
        scoring, choosing = [], []
        for _ in range(RUNS + 1):
            scoring.append(taken(lambda s=strategy: actors.open_round(2, s, scorer, NONE, known), processes))
            chosen: list[Any] = []
            choosing.append(taken(lambda s=strategy, k=k, c=chosen: c.append(select(actors, s, k, 0, 2)), processes))
        facts[name] = {"passes": chosen[0].passes, "bytes": chosen[0].bytes_moved} | medians("", choosing[1:])
        facts["score " + strategy_name] = medians("", scoring[1:])
    calls = [taken(lambda: ray.get([h.ready.remote() for h in actors.handles]), processes) for _ in range(20)]
    facts["empty call"] = medians("", calls[2:])
    memory = [process.memory_full_info() for process in processes]
    for kind in ("rss", "pss", "uss"):
        facts[f"actor_{kind}_MB"] = round(statistics.median(getattr(m, kind) for m in memory) / 1e6)
    facts["available_fell_MB_per_actor"] = round((available - psutil.virtual_memory().available) / shards / 1e6)
    facts["scorer_bytes"] = len(scorer)
    ray.shutdown()
    return facts


def medians(prefix: str, runs: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return the median milliseconds of wall, driver and actors."""
    wall, driver, actors = (statistics.median(run[i] for run in runs) * 1e3 for i in range(3))
    return {"wall_ms": round(wall, 2), "driver_ms": round(driver, 2), "actors_ms": round(actors, 1)}


def measure_rate(folder: Path, shards: int) -> dict[str, Any]:
    """Score images of 32 px with the residual network, and say how many rows a CPU second holds."""
    start_ray(os.cpu_count())
    actors, scorer = open_shards(folder, "large", LARGE_SIZE, shards)
    processes = actor_processes()
    badge = STRATEGIES.find("badge")
    runs = [taken(lambda: actors.open_round(2, badge, scorer, NONE, Known(NONE, NONE, 2)), processes) for _ in range(4)]
    ray.shutdown()
    rate = LARGE_ROWS / statistics.median(run[2] for run in runs[1:])
    return {"images": f"{LARGE_SIZE} px", "scorer_bytes": len(scorer), "rows_per_cpu_s": round(rate)}


def measure_nodes(folder: Path, nodes: int) -> dict[str, Any]:
    """Start raylets one by one, and send bytes to an actor on each: what is new on a node is copied there once."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 300 * 2**20, "include_dashboard": False}

    class Toucher:  # here, so that it travels by value
        def touch(self, data: bytes | None = None) -> int:
            return len(data or b"")

    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    facts: dict[str, Any] = {"nodes": [], "latency_ms": {}}
    touchers = [ray.remote(num_cpus=0)(Toucher).remote()]
    facts["latency_ms"]["own node"] = latency(touchers[0])
    for count in range(1, nodes + 1):
        started = time.perf_counter()
        node = cluster.add_node(num_cpus=1, object_store_memory=300 * 2**20)
        start_s = time.perf_counter() - started
        place = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        touchers.append(ray.remote(num_cpus=0, scheduling_strategy=place)(Toucher).remote())
        facts["latency_ms"][f"node {count}"] = latency(touchers[-1])
        sent = {f"{size // 10**6}_MB_ms": broadcast(touchers[1:], size) for size in (10**6, 20 * 10**6)}
        tree = [psutil.Process(p.process.pid) for kind in node.all_processes.values() for p in kind]
        memory = sum(process.memory_full_info().pss for process in tree)
        facts["nodes"].append({"extra": count, "start_s": round(start_s, 2), "pss_MB": round(memory / 1e6)} | sent)
    ray.shutdown()
    cluster.shutdown()
    return facts


def latency(actor: Any) -> float:
    """Return the median milliseconds of an empty call and its answer."""
    times = []
    for _ in range(200):
        started = time.perf_counter()
        ray.get(actor.touch.remote())
        times.append(time.perf_counter() - started)
    return round(statistics.median(times) * 1e3, 2)


def broadcast(actors: list[Any], size: int) -> float:
    """Return the median milliseconds until every node has a new object of this size."""
    times = []
    for _ in range(RUNS + 1):
        data = os.urandom(size)
        started = time.perf_counter()
        reference = ray.put(data)
        ray.get([actor.touch.remote(reference) for actor in actors])
        times.append(time.perf_counter() - started)
    return round(statistics.median(times[1:]) * 1e3, 1)


def slope(measured: list[dict[str, Any]], key: str, what: str) -> tuple[float, float]:
    """Fit a line in the number of shards; return its value at none and its rise per shard, in seconds (or bytes)."""
    unit = 1.0 if what == "bytes" else 1e-3
    rise, start = np.polyfit([m["shards"] for m in measured], [m[key][what] * unit for m in measured], 1)
    return float(start), float(rise)


def model(measured: list[dict[str, Any]], rate: float, nodes: dict[str, Any]) -> None:
    """Reduce the measurements to the constants of the model, print them, then its tables."""
    work_s, shard_s = slope(measured, "score badge", "actors_ms")
    _, score_s = slope(measured, "score badge", "driver_ms")
    _, empty_s = slope(measured, "empty call", "driver_ms")
    broadcast_ms, _ = np.polyfit([n["extra"] for n in nodes["nodes"]], [n["1_MB_ms"] for n in nodes["nodes"]], 1)
    latency_s = max(nodes["latency_ms"].values()) / 1e3
    # Bytes are fitted where a shard has more rows than it proposes.
    unbounded = [m for m in measured if ROWS / m["shards"] > 1024]
    selections = []
    for name in SELECTIONS:
        settle_s, _ = slope(unbounded, name, "driver_ms")
        _, size = slope(unbounded, name, "bytes")
        calls = 1 if name.startswith("margin") else 2 * measured[0][name]["passes"] + 1
        selections.append(Selecting(name, calls, size, max(0.0, settle_s)))
    _, most_s = slope(unbounded, "badge, 1,000", "driver_ms")
    most = next(each for each in selections if each.name == "badge, 1,000")
    handling_s = max(0.0, (most_s - most.calls * score_s) / most.bytes_per_shard)
    costs = Overheads(rate, shard_s, score_s, float(broadcast_ms) / 1e3, latency_s, handling_s)
    print(f"\nactors' CPU of a scoring pass: {work_s:.3f} s + {shard_s * 1e3:.2f} ms a shard")
    print(f"driver's CPU per shard: {score_s * 1e3:.2f} ms a scoring call, {empty_s * 1e3:.2f} ms an empty one")
    print(f"{costs}\n" + "\n".join(str(each) for each in selections))
    last = measured[-1]
    for each in selections:
        fitted = replace(each, bytes_per_shard=last[each.name]["bytes"] / last["shards"])
        pair = driver_s(last["shards"], costs, fitted) * 1e3, last[each.name]["driver_ms"]
        print(f"driver's CPU, {last['shards']} shards, {each.name}: model {pair[0]:.0f} ms, measured {pair[1]:.0f} ms")
    for speed, of_what in ((1, "as measured"), (20, "assumed 20 x, a GPU's")):
        print(f"\n## a shard's rate: {of_what}")
        print_tables(replace(costs, rate=rate * speed), selections, rows_per_shard=100_000, rows=10_000_000)


if __name__ == "__main__":
    main()
