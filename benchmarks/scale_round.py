"""Run two rounds through more shard actors than the machine has cores, and watch its memory meanwhile."""

import _thread
import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import ray
from forked_workers import forked_workers
from local_ray import start_ray
from synthetic_pool import write_pool

from distal import ActiveLearner
from distal.progress import Event

BLOCK_ROWS = 16
BLOCKS_PER_SHARD = 2
LEAST_FREE = 3 * 2**30
WAIT_S = 1500.0


class MemoryWatch:
    """Record the least memory available, and interrupt this process before the machine runs out of it."""

    def __init__(self) -> None:
        self.before = self.least = psutil.virtual_memory().available
        self.ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self.ended.wait(0.5):
            available = psutil.virtual_memory().available
            self.least = min(self.least, available)
            if available < LEAST_FREE:
                print(f"stopped: {available / 2**30:.1f} GiB available", flush=True)
                _thread.interrupt_main()
                return


def run_round(folder: Path, shards: int, forked: bool) -> None:
    """Run a cold round and one that scores and chooses by BADGE; print how long each part took, and the memory."""
    rows = shards * BLOCKS_PER_SHARD * BLOCK_ROWS
    write_pool(folder / "pool.parquet", rows, size=8)
    config = {
        "name": f"shards-{shards}",
        "storage": str(folder / "runs"),
        "rounds": 2,
        "wait_s": WAIT_S,
        "pool": {
            "path": str(folder / "pool.parquet"),
            "cache": str(folder / "cache"),
            "image_size": 8,
            "shards": shards,
            "block_rows": BLOCK_ROWS,
        },
        "train": {"steps": 50},
        "evaluate": {"samples": 100},
    }
    watch = MemoryWatch()
    started = time.perf_counter()

    def listen(event: Event) -> None:
        facts = getattr(event, "facts", None)
        if facts and event.phase in ("prepare", "acquire"):
            print(f"  {time.perf_counter() - started:7.1f} s  {event.phase}, round {event.round}: {facts}", flush=True)
            if event.phase == "prepare":
                print(f"  actors: {describe_actors(watch)}", flush=True)

    with forked_workers(folder) as command:
        start_ray(
            os.cpu_count(),
            object_store_memory=2**28,
            runtime_env={"py_executable": command} if forked else None,
        )
        for result in ActiveLearner(config, listen=listen).rounds():
            seconds: dict[str, Any] = result.metrics["seconds"]
            at = time.perf_counter() - started
            print(f"  {at:7.1f} s  round {result.round} committed, by phase {seconds}", flush=True)
            print(f"  actors: {describe_actors(watch)}", flush=True)
        ray.shutdown()
    watch.ended.set()
    print(f"  least available memory {watch.least / 2**30:.1f} GiB, {watch.before / 2**30:.1f} GiB before")


def describe_actors(watch: MemoryWatch) -> str:
    """Say how many shard actors there are and what they hold."""
    children = psutil.Process().children(recursive=True)
    actors = [child for child in children if "HeldShard" in " ".join(child.cmdline()[:1])]
    memory = [actor.memory_full_info() for actor in actors]
    each = {kind: sum(getattr(m, kind) for m in memory) / max(1, len(memory)) / 1e6 for kind in ("rss", "pss", "uss")}
    fell = (watch.before - psutil.virtual_memory().available) / max(1, len(memory)) / 1e6
    sizes = ", ".join(f"{kind.upper()} {value:.0f} MB" for kind, value in each.items())
    return f"{len(actors)}, each {sizes}; the machine's available memory fell by {fell:.0f} MB an actor"
