"""Time the strategies that represent the pool beside plain forms of the published algorithms, and check their gains.

usage: python benchmarks/coverage.py [facility_location] [max_herding] [typiclust] [sampled] [--runs 5] [--seed 0]

Prints medians of CPU seconds in one thread, work in turns, as ratios: distal over the plain form. The bar is that of
the issue: facility_location at most 0.4 of a plain lazy greedy with the whole matrix of similarities at hand.
The authors' code of MaxHerding and TypiClust needs CUDA, so their algorithms stand here in plain numpy: the kernel of
every pair, and a pick at a time by one pass over it; scikit-learn's KMeans, and all distances within a cluster.
"""

import argparse
import heapq
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import describe_machine
from selection import BLOCK_ROWS, shards_of
from sklearn.cluster import KMeans

from distal.query import STRATEGIES, LocalShards, Selection, Selector, View, reference, select


def pool_of(x: np.ndarray, seed: int) -> View:
    n = len(x)
    none, everyone = np.full(n, -1), np.ones(n, dtype=bool)
    return View(np.arange(n), everyone, none, BLOCK_ROWS, seed, 1, {"embeddings": torch.from_numpy(x)})


def distal(name: str, pool: View, picks: int, shards: int = 1) -> Selection:
    strategy = STRATEGIES.find(name)
    group = LocalShards([Selector(view, strategy) for view in shards_of(pool, shards)])
    return select(group, strategy, picks, pool.seed, pool.round)


def interleaved(runs: int, **work: Callable[[], object]) -> dict[str, list[float]]:
    """Return the CPU seconds of each piece of work, run in turns after one turn to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(runs + 1):
        for name, function in work.items():
            begun = time.process_time()
            function()
            if turn:
                seconds[name].append(time.process_time() - begun)
    return seconds


def report(what: str, seconds: dict[str, list[float]], bar: float | None = None) -> None:
    ratios = [ours / plain for ours, plain in zip(seconds["distal"], seconds["plain"], strict=True)]
    middle = statistics.median(ratios)
    verdict = "" if bar is None else f"  bar {bar}: {'met' if middle <= bar else 'MISSED'}"
    medians = ", ".join(f"{name} {statistics.median(values):.2f} s" for name, values in seconds.items())
    print(f"{what}: {middle:.2f} x plain ({min(ratios):.2f} to {max(ratios):.2f}; {medians}){verdict}", flush=True)


def report_cuts(name: str, pool: View, picks: int) -> Selection:
    one = distal(name, pool, picks)
    for shards in (2, 8):
        many = distal(name, pool, picks, shards)
        same = np.array_equal(one.row_ids, many.row_ids) and np.array_equal(one.scores, many.scores)
        print(f"  {shards} shards: {'same bits' if same else 'DIFFERENT'}, {many.bytes_moved / 1e6:.1f} MB moved")
    print(f"  {one.passes} passes", flush=True)
    return one


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def grouped(n: int, features: int, seed: int, groups: int = 100) -> np.ndarray:
    """Draw rows around centers of unequal weight, as images of classes and kinds lie."""
    draw = np.random.default_rng(seed)
    weights = draw.dirichlet(np.ones(groups))
    centers = draw.standard_normal((groups, features))
    rows = centers[draw.choice(groups, n, p=weights)] + 0.7 * draw.standard_normal((n, features))
    return rows.astype(np.float32)


def lazy_greedy(x: np.ndarray, picks: int) -> list[int]:
    """Facility location by a heap of old gains (Minoux 1978), over the matrix of similarities."""
    u = unit(x)
    near = (1.0 + u @ u.T) / 2.0
    best = np.zeros(len(x), dtype=np.float32)
    heap = [(-float(gain), i) for i, gain in enumerate(near.sum(1))]
    heapq.heapify(heap)
    fresh = np.zeros(len(x), dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < picks:
        _, i = heap[0]
        if fresh[i] == len(chosen):
            heapq.heappop(heap)
            chosen.append(i)
            np.maximum(best, near[i], out=best)
        else:
            fresh[i] = len(chosen)
            heapq.heapreplace(heap, (-float(np.maximum(near[i] - best, 0.0).sum()), i))
    return chosen


def facility_location(runs: int, seed: int) -> None:
    """500 of 10,000 x 64, twice: rows without any structure, and rows in groups."""
    draw = np.random.default_rng(seed)
    for kind, x in (
        ("no groups", draw.standard_normal((10_000, 64)).astype(np.float32)),
        ("groups", grouped(10_000, 64, seed)),
    ):
        pool = pool_of(x, seed)
        work = {"distal": lambda p=pool: distal("facility_location", p, 500), "plain": lambda x=x: lazy_greedy(x, 500)}
        report(f"facility_location, 500 of 10,000 x 64, {kind}", interleaved(runs, **work), 0.4)
        ours, plain = report_cuts("facility_location", pool, 500).row_ids, lazy_greedy(x, 500)
        u = unit(x).astype(np.float64)
        values = [float(((1.0 + u @ u[rows].T) / 2.0).max(1).sum()) for rows in (ours, plain)]
        print(
            f"  objective {values[0] / values[1]:.7f} x the plain one, {np.mean(ours == plain):.3f} of picks the same"
        )


def greedy_herding(x: np.ndarray, picks: int) -> list[int]:
    """MaxHerding as published: the gain of every row over the kernel of every pair, for each pick."""
    u = unit(x)
    kernel = np.exp(2.0 * (u @ u.T) - 2.0)
    best = np.zeros(len(x), dtype=np.float32)
    chosen: list[int] = []
    for _ in range(picks):
        gains = np.maximum(kernel - best, 0.0).mean(1)
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
        np.maximum(best, kernel[chosen[-1]], out=best)
    return chosen


def max_herding(runs: int, seed: int) -> None:
    """100 of 5,000 x 128."""
    x = grouped(5_000, 128, seed)
    pool = pool_of(x, seed)
    work = {"distal": lambda: distal("max_herding", pool, 100), "plain": lambda: greedy_herding(x, 100)}
    report("max_herding, 100 of 5,000 x 128", interleaved(runs, **work))
    same = np.mean(report_cuts("max_herding", pool, 100).row_ids == greedy_herding(x, 100))
    print(f"  {same:.2f} of picks the same")


def plain_typiclust(x: np.ndarray, picks: int, seed: int) -> list[int]:
    """TypiClust as published: clusters, largest first, and in each the row of least mean distance to 20 others."""
    u = unit(x)
    labels = KMeans(picks, n_init=1, random_state=seed).fit_predict(u)
    chosen: list[int] = []
    for cluster in np.argsort(-np.bincount(labels))[:picks]:
        rows = np.flatnonzero(labels == cluster)
        count = min(20, len(rows) // 2)
        squared = np.maximum(2.0 - 2.0 * (u[rows] @ u[rows].T), 0.0)
        nearest = np.sort(np.sqrt(squared), axis=1)[:, 1 : count + 1]
        chosen.append(int(rows[nearest.mean(1).argmin()]))
    return chosen


def typiclust(runs: int, seed: int) -> None:
    """100 of 10,000 x 128."""
    x = grouped(10_000, 128, seed)
    pool = pool_of(x, seed)
    work = {"distal": lambda: distal("typiclust", pool, 100), "plain": lambda: plain_typiclust(x, 100, seed)}
    report("typiclust, 100 of 10,000 x 128", interleaved(runs, **work))
    report_cuts("typiclust", pool, 100)


def sampled(runs: int, seed: int) -> None:
    """Compare what a sampled reference (1,000 of 2,000 rows, and 500) reaches with the whole one, 8 seeds."""
    whole = reference.WHOLE, reference.SAMPLE
    for name in ("facility_location", "max_herding", "kmeans", "typiclust"):
        for size in (1000, 500):
            shares = []
            for s in range(seed, seed + 8):
                x = grouped(2_000, 32, s)
                u = unit(x).astype(np.float64)
                values = []
                for reference.WHOLE, reference.SAMPLE in (whole, (1, size)):
                    rows = distal(name, pool_of(x, s), 60).row_ids
                    values.append(np.exp(2.0 * (u @ u[rows].T) - 2.0).max(1).mean())
                shares.append(values[1] / values[0])
            reference.WHOLE, reference.SAMPLE = whole
            error = statistics.stdev(shares) / len(shares) ** 0.5
            print(
                f"{name}, reference of {size} of 2,000: coverage {statistics.mean(shares):.4f} +- {error:.4f} of whole"
            )


def main() -> None:
    """Run the cases that are named, or all."""
    cases = {
        "facility_location": facility_location, "max_herding": max_herding, "typiclust": typiclust, "sampled": sampled,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(cases)}; none: all")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe_machine()}; 1 thread, {arguments.runs} runs, seed {arguments.seed}", flush=True)
    for name in arguments.cases or cases:
        cases[name](arguments.runs, arguments.seed)


if __name__ == "__main__":
    main()
