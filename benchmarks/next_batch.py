"""Measure how long people wait for the next batch between two trainings, in a pool of 100,000 rows with features.

    python benchmarks/next_batch.py [--rows 100000] [--batch 20] [--rounds 6] [KEY=VALUE ...]

The pool is noise around ten centres at 8 px, seen as pixels, so that nothing but the features' number is like a real
one's: the probe, selection and files cost what they cost there. Answers come at once; the time is that from the last
answer of a batch to the query of the next one, on the disk, where the page finds it.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import describe_machine
from PIL import Image

from distal import ActiveLearner
from distal.progress import Event
from distal.resolve import make_config, override_config

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
CLASSES = 10


def write_pool(path: Path, rows: int) -> None:
    draw = np.random.default_rng(0)
    centres = draw.integers(40, 216, (CLASSES, 8, 8))
    labels = draw.integers(0, CLASSES, rows)
    images = []
    for row, label in enumerate(labels.tolist()):
        png = io.BytesIO()
        pixels = np.clip(centres[label] + draw.normal(0.0, 30.0, (8, 8)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(png, format="PNG")
        images.append({"bytes": png.getvalue(), "path": f"{row}.png"})
    table = pa.table({"image": pa.array(images, IMAGE), "label": pa.array(labels)})
    pq.write_table(table, path, row_group_size=5000)


class Waits:
    """Hear when a batch's last answer came and when the next batch was asked, by wall clock and by CPU."""

    def __init__(self) -> None:
        self.answered: tuple[float, float] | None = None
        self.seconds: dict[int, tuple[float, float]] = {}

    def __call__(self, event: Event) -> None:
        now = time.perf_counter(), time.process_time()
        if event.phase == "annotate" and event.done == event.total:
            self.answered = now
        if event.phase == "acquire" and event.done == event.total and self.answered is not None:
            self.seconds[event.round] = now[0] - self.answered[0], now[1] - self.answered[1]
            self.answered = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=6)
    given, overrides = parser.parse_known_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        write_pool(Path(folder) / "pool.parquet", given.rows)
        tree = {
            "name": "waits",
            "storage": folder,
            "rounds": given.rounds + 1,
            "pool": {"path": f"{folder}/pool.parquet", "cache": folder, "shards": 0},
            "query": {"batch": given.batch},
            "train": {"every": given.rounds + 1, "threads": 1},
        }
        waits = Waits()
        rounds = ActiveLearner(override_config(make_config(tree), overrides), listen=waits).rounds()
        for result in rounds:
            if result.round == given.rounds:  # the next one would train
                break
        rounds.close()
    for round, (wall, cpu) in waits.seconds.items():
        first = ", the pool's features included" if round == 2 else ""
        print(f"batch {round}: {wall:.2f} s after the last answer, {cpu:.2f} s of CPU{first}")
    walls, cpus = zip(*(pair for round, pair in waits.seconds.items() if round > 2), strict=True)
    print(f"{given.rows:,} rows, batches of {given.batch}, load {os.getloadavg()[0]:.1f}:")
    print(f"median {np.median(walls):.2f} s, {np.median(cpus):.2f} s of CPU")


if __name__ == "__main__":
    main()
