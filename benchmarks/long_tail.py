"""Make classes of a pool rare: write its rows again, without most rows of the classes named.

    python benchmarks/long_tail.py POOL.parquet OUT.parquet --rare cat --rare truck --share 0.01 [--rows 20000]

Each rare class is SHARE of what is written; the other classes keep their proportions. Rows are taken in the pool's
order, so a pool whose prefix is a fair sample gives one again. The schema, class names included, stays.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.data.table import open_images
from distal.resolve import read_config

Ints = npt.NDArray[np.int64]


def long_tail(labels: Ints, rare: Ints, share: float, rows: int) -> Ints:
    """Choose about `rows` of labels [n], ascending: `share` of each rare class, of the others in proportion.

    Raises:
        ValueError: there are fewer rows than that takes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    common = ~np.isin(classes, rare)
    wanted = np.where(common, (1 - share * len(rare)) * counts / counts[common].sum(), share) * rows
    taken = np.maximum(wanted.round().astype(np.int64), 1)
    if (taken > counts).any():
        most = int((counts / wanted).min() * rows)
        raise ValueError(f"the pool has too few rows of a class for {rows} in all: --rows {most} at the most")
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:n] for c, n in zip(classes, taken, strict=True)]))


def write_long_tail(pool: Path, out: Path, rare: list[str], share: float, rows: int) -> dict[str, int]:
    """Write the pool so, and return the rows of each class."""
    images = open_images(read_config(None, [f"pool.path={pool}"]).pool)
    names, labels = list(images.classes or ()), images.labels(np.arange(images.rows, dtype=np.int64))
    chosen = long_tail(labels, np.array([names.index(name) for name in rare]), share, rows)
    pq.write_table(pq.read_table(pool).take(pa.array(chosen)), out, row_group_size=1000)
    counts = np.bincount(labels[chosen], minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rare", action="append", required=True, help="a class by name; repeat it")
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--rows", type=int, default=20_000)
    a = parser.parse_args()
    print(write_long_tail(a.pool, a.out, a.rare, a.share, a.rows))


if __name__ == "__main__":
    main()
