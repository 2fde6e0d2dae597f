"""Part rows into k clusters by k-means, on one machine: Lloyd 1982, seeded as Arthur and Vassilvitskii 2007."""

from dataclasses import dataclass

import numpy as np

from distal.query.nearest import Floats
from distal.query.view import Ints

STEPS = 25  # of Lloyd at most; it ends before where no row changes its cluster


@dataclass(frozen=True)
class Clusters:
    """Hold centers float32 [k, F] and the cluster of each row int64 [n]."""

    centers: Floats
    labels: Ints


def k_means(x: Floats, k: int, draw: np.random.Generator) -> Clusters:
    """Part the rows of x [n, F] into min(k, n) clusters; a cluster that loses its last row keeps its center."""
    norms = np.einsum("ij,ij->i", x, x)
    centers = x[_seeds(x, norms, min(k, len(x)), draw)]
    labels = np.full(len(x), -1)
    for _ in range(STEPS):
        nearest = (0.5 * np.einsum("ij,ij->i", centers, centers) - x @ centers.T).argmin(1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        order = np.argsort(labels, kind="stable")
        held, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(x[order], starts, axis=0)
        centers[held] = sums / np.diff([*starts, len(x)])[:, None].astype(np.float32)
    return Clusters(centers, labels)


def _seeds(x: Floats, norms: Floats, k: int, draw: np.random.Generator) -> list[int]:
    """Draw k rows, each with probability in proportion to its squared distance from those before."""
    seeds = [int(draw.integers(len(x)))]
    squared = np.full(len(x), np.inf)
    while len(seeds) < k:
        last = seeds[-1]
        np.minimum(squared, np.maximum(norms + norms[last] - 2.0 * (x @ x[last]), 0.0), out=squared)
        squared[last] = 0.0
        sums = squared.cumsum()
        uniform = draw.random()
        seeds.append(int(np.searchsorted(sums, uniform * sums[-1], side="right")) if sums[-1] > 0.0 else len(seeds))
    return seeds
