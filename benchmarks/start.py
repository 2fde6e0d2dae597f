"""How soon `distal run` on the digits shows its first event and ends: in one process, and with two shard actors.

    python benchmarks/start.py [--passes 3]

A round of one update, with the pool decoded and the extractor trained. Passes alternate; the figures are medians.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from machine import describe_machine

TINY = ("train.steps=1", "evaluate.samples=16", "rounds=1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=3)
    arguments = parser.parse_args()
    print(describe_machine())
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    try:
        run(folder, 0, "warm")
        passes = [[run(folder, shards, f"{n}-{shards}") for shards in (0, 2)] for n in range(arguments.passes)]
    finally:
        shutil.rmtree(folder)
    for shards, times in zip((0, 2), zip(*passes, strict=True), strict=True):
        first, end = (median(each) for each in zip(*times, strict=True))
        print(f"pool.shards={shards}: first event after {first:.1f} s, end after {end:.1f} s")


def run(folder: Path, shards: int, name: str) -> tuple[float, float]:
    """Return the seconds to the first event, and to the end of the process."""
    settings = (f"storage={folder}", f"name={name}", f"pool.shards={shards}", *TINY)
    started = time.perf_counter()
    command = [sys.executable, "-m", "distal", "run", *settings]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = next(time.perf_counter() - started for line in process.stderr if "prepare" in line)
        process.stderr.read()
    if process.returncode:
        raise SystemExit(f"distal run ended with {process.returncode}")
    return first, time.perf_counter() - started


if __name__ == "__main__":
    main()
