"""Calls and bytes of a training step whose pixels the shards send: simulated ranks and shards, beside the model's.

    python benchmarks/calls_a_step.py [--ranks 64] [--shards 1000] [--nodes 8] [--batch 32] [--pools FILE ...]

No actor, no Ray, no images: `TrainingRows` and `ServedRows` as a run has them, over handles that count what they are
asked. Ranks and shards lie evenly on the nodes; a row that the rank's own node holds costs no call. One rank in 8 is
simulated, for all are alike. `first` is the first STEPS steps of a round, whose labeled rows are new to the rank;
`later` the same number after those. With --pools,
Parquet files with a column of labels: how much more alike neighbours are than any two rows (rho, of the classes), and
by how much runs of 8 then make a batch's means vary.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from distal.pool import served
from distal.pool.served import ServedRows
from distal.pool.shard import divide_blocks
from distal.train.rows import TrainingRows

BLOCK_ROWS = 256
STEPS = 20
RUNS = (1, 2, 4, 8, 16)


@dataclass(eq=False)
class Counted:
    """Stand for a shard's handle; count calls and rows."""

    shape: tuple[int, int, int]
    calls: int = 0
    rows: int = 0

    @property
    def pixels(self) -> "Counted":
        return self

    def options(self, max_task_retries: int) -> "Counted":
        return self

    def remote(self, row_ids: np.ndarray) -> np.ndarray:
        self.calls, self.rows = self.calls + 1, self.rows + len(row_ids)
        return np.zeros((len(row_ids), *self.shape), dtype=np.uint8)


@dataclass(frozen=True)
class Node:
    """Stand for the pool as a node sees it, which has decoded the shards [first, last)."""

    bounds: Sequence[tuple[int, int]]
    first: int
    last: int
    shape: tuple[int, int, int]
    block_rows: int = BLOCK_ROWS

    def decoded_here(self, row_ids: np.ndarray) -> np.ndarray:
        start, stop = self.bounds[self.first][0] * BLOCK_ROWS, self.bounds[self.last - 1][1] * BLOCK_ROWS
        return (row_ids >= start) & (row_ids < stop)

    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        return np.zeros((len(row_ids), *self.shape), dtype=np.uint8)


@dataclass(frozen=True)
class Cluster:
    """Say what is simulated. rows: of the pool. batch: images of a rank's part of a step. side: in pixels, colour."""

    ranks: int = 64
    shards: int = 1000
    nodes: int = 8
    rows: int = 10**8
    batch: int = 32
    labels: int = 1000
    labeled: float = 0.25
    side: int = 64
    bounds: list[tuple[int, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", divide_blocks(-(-self.rows // BLOCK_ROWS), self.shards))

    def count(self, run_length: int, ranks: Sequence[int], steps: int = STEPS) -> list[tuple[float, float]]:
        """Return (calls, bytes) of a rank and step, in its first `steps` steps and in as many after them."""
        handles = [Counted((3, self.side, self.side)) for _ in self.bounds]
        drawn = [self._rank(rank, run_length, handles) for rank in ranks]
        found = []
        for first in (0, steps):
            before = sum(h.calls for h in handles), sum(h.rows for h in handles)
            for step in range(first, first + steps):
                for rank, rows in zip(ranks, drawn, strict=True):
                    total = self.ranks * self.batch
                    rows.slice(step, total, round(self.labeled * total), rank, self.ranks).pixels()
            calls, sent = sum(h.calls for h in handles) - before[0], sum(h.rows for h in handles) - before[1]
            found.append((calls / steps / len(ranks), sent * 3 * self.side**2 / steps / len(ranks)))
        return found

    def expected(self, run_length: int) -> float:
        """Return the model's calls of a rank and step once its labeled rows are there: shards that its runs meet.

        N (1 - (1 - 1 / N)^n) shards of N are met by n draws; a rank's part of the batch begins and ends within a run.
        """
        unlabeled = self.batch - round(self.labeled * self.batch)
        runs = 1 + (unlabeled - 1) / run_length
        return (1 - 1 / self.nodes) * self.shards * (1 - (1 - 1 / self.shards) ** runs)

    def _rank(self, rank: int, run_length: int, handles: list[Any]) -> TrainingRows:
        node, each = rank * self.nodes // self.ranks, self.shards // self.nodes
        images: Any = Node(self.bounds, node * each, (node + 1) * each, (3, self.side, self.side))
        rows = ServedRows(images, handles, self.bounds)
        ids = np.random.default_rng(0).choice(self.rows, self.labels, replace=False)
        nothing = np.zeros(0, np.int64)
        return TrainingRows(rows, self.rows, nothing, None, ids, ids % 10, seed=0, run_length=run_length)


def likeness(path: str, run_length: int = 8) -> tuple[float, float]:
    """Return how much likelier neighbours are of one class than any two rows, 0 to 1, and what runs do to variances."""
    labels = np.asarray(pq.read_table(path, columns=["label"])["label"].to_numpy())
    _, counts = np.unique(labels, return_counts=True)
    chance = float(((counts / len(labels)) ** 2).sum())
    lags = range(1, run_length)
    rho = [((labels[lag:] == labels[:-lag]).mean() - chance) / (1 - chance) for lag in lags]
    weights = np.array([run_length - lag for lag in lags])
    return float(rho[0]), 1 + 2 / run_length * float(weights @ rho)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ranks", "shards", "nodes", "batch", "side"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Cluster, name))
    parser.add_argument("--pools", nargs="*", default=[])
    arguments = parser.parse_args()
    served.ray.get = lambda asked, timeout: asked
    shape = {name: getattr(arguments, name) for name in ("ranks", "shards", "nodes", "batch", "side")}
    cluster = Cluster(**shape)
    print(cluster)
    print("| run length | calls a rank, first steps | later | the model | MB a rank | calls of all ranks | MB of all |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for run_length in RUNS:
        (first, _), (later, sent) = cluster.count(run_length, range(0, cluster.ranks, 8))
        print(
            f"| {run_length} | {first:.1f} | {later:.1f} | {cluster.expected(run_length):.1f} | {sent / 1e6:.2f} "
            f"| {later * cluster.ranks:,.0f} | {sent * cluster.ranks / 1e6:,.1f} |",
            flush=True,
        )
    for path in arguments.pools:
        rho, factor = likeness(path)
        print(f"{path}: neighbours rho {rho:.2f}; runs of 8 make variances of a batch's class shares {factor:.1f} x")


if __name__ == "__main__":
    main()
