"""From a Parquet file to the first query: seconds, memory and disk of a large pool, with and without frozen features.

    python benchmarks/first_query.py [--rows 200000] [--embed 20000] [--networks none pixels efficientnet_lite0]

In this process (`pool.shards=0`), with one thread; seconds are the processor's, so that what else the machine does
does not count. Images of 32 px; the first query is `coreset` (without features `margin`), so that it waits for what it
needs. A network that looks at images at a size of its own is stopped after `--embed` rows, and the rest of its time
extrapolated, which is said.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from machine import describe_machine
from synthetic_pool import write_pool

from distal import ActiveLearner
from distal.progress import Event

SIZE = 32
OWN_SIZE = ("efficientnet_lite0",)


class Reached(BaseException):
    """End the run where enough was seen; no error that anyone handles."""


class Watch:
    """Hear a run's events, and end it at its first query, or when `most` rows have their features."""

    def __init__(self, most: float) -> None:
        self.most, self.began = most, time.process_time()
        self.at: dict[str, float] = {}
        self.embedded = self.total = 0
        self.memory = 0.0

    def __call__(self, event: Event) -> None:
        now = time.process_time() - self.began
        self.at[event.phase] = now
        self.memory = max(self.memory, psutil.Process().memory_full_info().uss / 1e9)
        if event.phase == "features":
            self.embedded, self.total = event.done, event.total
            if event.done >= self.most:
                raise Reached
        if event.phase == "acquire" and event.done:
            raise Reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--embed", type=int, default=20_000)
    parser.add_argument("--networks", nargs="*", default=["none", "pixels", "efficientnet_lite0"])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    write_pool(folder / "pool.parquet", arguments.rows, size=SIZE)
    torch.set_num_threads(1)
    print(describe_machine())
    print(f"{arguments.rows:,} images of {SIZE} px, Parquet {size_of(folder / 'pool.parquet'):.2f} GB", flush=True)
    for network in arguments.networks:
        own = network in OWN_SIZE
        watch = Watch(arguments.embed if own else float("inf"))
        cache = folder / network / "cache"
        seconds = measure(folder, network, cache, watch)
        line = f"{network}: decoded after {watch.at['prepare']:.0f} s"
        if watch.embedded:
            taken = watch.at["features"] - watch.at["prepare"]
            line += f", features {taken:.0f} s for {watch.embedded:,} ({watch.embedded / taken:,.0f} a second)"
            if own:
                line += f", so {watch.total * taken / watch.embedded:,.0f} s for all (extrapolated)"
        features = size_of(cache / "features")
        print(
            f"{line}; {'stopped' if own else 'first query'} after {seconds:.0f} s, {watch.memory:.2f} GB of memory, "
            f"{size_of(cache) - features:.2f} GB of pixels and {features:.2f} GB of features on the disk",
            flush=True,
        )


def measure(folder: Path, network: str, cache: Path, watch: Watch) -> float:
    """Run until the watch ends it; return the seconds."""
    pool = {"path": str(folder / "pool.parquet"), "cache": str(cache), "shards": 0}
    config: dict[str, Any] = {
        "name": network.replace(":", "-"),
        "storage": str(folder / "runs"),
        "classifier": "head" if network == "none" else "probe",
        "pool": pool,
        "query": {"cold_start": "margin" if network == "none" else "coreset"},
    }
    if network != "none":
        config["features"] = {"network": network}
    watch.began = time.process_time()
    try:
        for _ in ActiveLearner(config, listen=watch).rounds():
            pass
    except Reached:
        pass
    return time.process_time() - watch.began


def size_of(path: Path) -> float:
    """Return gigabytes on the disk; holes of a sparse file count nothing."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_blocks for each in files) * 512 / 1e9


if __name__ == "__main__":
    main()
