"""From a Parquet file to the first query: seconds, memory and disk of a large pool, with and without frozen features.

    python benchmarks/first_query.py [--rows 200000] [--size 32] [--embed 2000] [--networks none pixels ...]
    python benchmarks/first_query.py --rows 1000000 --size 8 --shards 2 --networks pixels

With one thread; seconds are the processor's, of this process and those it started, so that what else the machine does
does not count (Ray's own processes count: they are needed). The first query is `coreset` (without features `margin`),
so that it waits for what it needs; held-out images are looked at by their pixels, for their extractor is no part of a
query. A network that looks at images at a size of its own is stopped after `--embed` rows, and the rest of its time
extrapolated, which is said. With --folder the pool stays there for the next call: one network a call, in pieces.
"""

import argparse
import shutil
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

OWN_SIZE = ("efficientnet_lite0",)


class Reached(BaseException):
    """End the run where enough was seen; no error that anyone handles."""


class Watch:
    """Hear a run's events, and end it at its first query, or when `most` rows have their features."""

    def __init__(self, most: float) -> None:
        self.most, self.began, self.wall = most, used_s(), time.monotonic()
        self.at: dict[str, float] = {}
        self.embedded = self.total = 0
        self.memory = self.actors = 0.0

    def __call__(self, event: Event) -> None:
        self.at[event.phase] = used_s() - self.began
        self.memory = max(self.memory, psutil.Process().memory_full_info().uss / 1e9)
        actors = [each for each in children() if "HeldShard" in " ".join(each.cmdline()[:1])]
        self.actors = max([self.actors, *(each.memory_full_info().uss / 1e9 for each in actors)])
        if event.phase == "features":
            self.embedded, self.total = event.done, event.total
            if event.done >= self.most:
                raise Reached
        if event.phase == "acquire" and event.done:
            raise Reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--shards", type=int, default=0)
    parser.add_argument("--embed", type=int, default=2_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--networks", nargs="*", default=["none", "pixels", "efficientnet_lite0"])
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    folder.mkdir(exist_ok=True)
    if not (folder / "pool.parquet").exists():
        write_pool(folder / "pool.parquet", arguments.rows, size=arguments.size)
    torch.set_num_threads(1)
    print(describe_machine())
    print(
        f"{arguments.rows:,} images of {arguments.size} px, Parquet {size_of(folder / 'pool.parquet'):.2f} GB",
        flush=True,
    )
    for network in arguments.networks:
        own = network in OWN_SIZE
        watch = Watch(arguments.embed if own else float("inf"))
        cache = folder / network / "cache"
        for old in (cache, folder / "runs"):
            shutil.rmtree(old, ignore_errors=True)
        seconds = measure(folder, network, cache, watch, arguments.shards)
        line = f"{network}: decoded after {watch.at['prepare']:.0f} s"
        if watch.embedded:
            taken = watch.at["features"] - watch.at["prepare"]
            line += f", features {taken:.0f} s for {watch.embedded:,} ({watch.embedded / taken:,.0f} a second)"
            if own:
                line += f", so {watch.total * taken / watch.embedded:,.0f} s for all (extrapolated)"
        features = size_of(cache / "features")
        print(
            f"{line}; {'stopped' if own else 'first query'} after {seconds:.0f} s (wall "
            f"{time.monotonic() - watch.wall:.0f} s), {watch.memory:.2f} GB of memory, {watch.actors:.2f} GB an actor, "
            f"{size_of(cache) - features:.2f} GB of pixels and {features:.2f} GB of features on the disk",
            flush=True,
        )


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def used_s() -> float:
    """Return the processor's seconds of this process and of those that it has started and that live."""
    return time.process_time() + sum(map(_cpu_s, children()))


def _cpu_s(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:  # it has ended since it was listed
        return 0.0


def measure(folder: Path, network: str, cache: Path, watch: Watch, shards: int) -> float:
    """Run until the watch ends it; return the seconds."""
    pool = {"path": str(folder / "pool.parquet"), "cache": str(cache), "shards": shards}
    config: dict[str, Any] = {
        "name": network.replace(":", "-"),
        "storage": str(folder / "runs"),
        "evaluate": {"extractor": "pixels"},
        "classifier": "head" if network == "none" else "probe",
        "pool": pool,
        "query": {"cold_start": "margin" if network == "none" else "coreset"},
    }
    if network != "none":
        config["features"] = {"network": network}
    watch.began, watch.wall = used_s(), time.monotonic()
    try:
        for _ in ActiveLearner(config, listen=watch).rounds():
            pass
    except Reached:
        pass
    return max(watch.at.values())


def size_of(path: Path) -> float:
    """Return gigabytes on the disk; holes of a sparse file count nothing."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_blocks for each in files) * 512 / 1e9


if __name__ == "__main__":
    main()
