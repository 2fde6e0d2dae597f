"""Make small seeded pools, cut them into shards, and choose by the plain loop, for the tests of this folder."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from distal.query import STRATEGIES, LocalShards, Selection, Selector, View, coverer, reference, select


def cut(pool: View, ends: list[int]) -> list[View]:
    """Cut a pool into len(ends) + 1 shards after these numbers of blocks; shards may be empty."""
    n, rows = len(pool.row_ids), pool.block_rows
    edges = [0, *(min(end * rows, n) for end in sorted(ends)), n]

    return [
        View(
            pool.row_ids[a:b], pool.available[a:b], pool.labels[a:b], rows, pool.seed, pool.round,
            {name: tensor[a:b] for name, tensor in pool.tensors.items()}, pool.class_counts, pool.constants, pool.costs,
        )
        for a, b in pairwise(edges)
    ]  # fmt: skip


def choose(name: str, shards: list[View], k: int) -> Selection:
    strategy = STRATEGIES.find(name)
    group = LocalShards([Selector(view, strategy) for view in shards])
    return select(group, strategy, k, shards[0].seed, shards[0].round)


def same_whatever_the_cut(name: str, pool: View, k: int, ends: list[int], sampled: bool) -> tuple[Selection, Selection]:
    """Choose from one shard and from several, by the whole reference or a sample of it; require the same, all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "WHOLE", 100 if sampled else reference.WHOLE)
        patch.setattr(reference, "SAMPLE", 60)
        patch.setattr(coverer, "CANDIDATES", 50)
        patch.setattr(coverer, "ROOM", 4)
        one, many = choose(name, [pool], k), choose(name, cut(pool, ends), k)
    assert np.array_equal(one.row_ids, many.row_ids)
    assert np.array_equal(one.scores, many.scores)
    assert len(set(one.row_ids.tolist())) == min(k, int(pool.available.sum()))
    assert pool.available[one.row_ids].all()
    return one, many


def make_pool(
    n: int, seed: int = 0, classes: int = 4, features: int = 6, labeled: float = 0.1, unavailable: float = 0.1,
    block_rows: int = 16, whole: int = 0, round: int = 1,
) -> View:  # fmt: skip
    """Draw a pool; whole > 0: embeddings are integers in [-whole, whole], so that ties abound and sums are exact."""
    draw = np.random.default_rng(seed)
    embeddings = draw.standard_normal((n, features))
    if whole:
        embeddings = draw.integers(-whole, whole + 1, (n, features))
    probs = draw.dirichlet(np.full(classes, 0.3), n)
    has_label = draw.random(n) < labeled
    labels = np.where(has_label, probs.argmax(1), -1)
    available = ~has_label & (draw.random(n) >= unavailable)
    members = draw.dirichlet(np.full(classes, 0.5), (n, 5)) + 2 * probs[:, None]
    members /= members.sum(2, keepdims=True)
    told = {"probs": probs, "embeddings": embeddings, "committee": members, "dropout_probs": members[:, 2:]}
    return View(
        np.arange(n), available, labels, block_rows, seed, round,
        {name: torch.from_numpy(array.astype(np.float32)) for name, array in told.items()},
        np.bincount(labels[has_label], minlength=classes),
    )  # fmt: skip


def plain_k_center(pool: View, k: int) -> tuple[list[int], list[float]]:
    """Pick by the ten lines of numpy that everyone writes, in float64; ties to the lowest row id."""
    x = pool.embeddings.double().numpy()
    centers = np.flatnonzero(pool.labeled)
    between = ((x[:, None] - x[centers][None]) ** 2).sum(-1)
    squared = between.min(1) if len(centers) else (x**2).sum(1)
    covered = len(centers) > 0
    free = pool.available.copy()
    picks: list[int] = []
    distances: list[float] = []
    while len(picks) < k and free.any():
        pick = int(np.where(free, squared, -1.0).argmax())
        picks.append(pick)
        distances.append(float(np.sqrt(squared[pick])))
        free[pick] = False
        new = ((x - x[pick]) ** 2).sum(1)
        squared = np.minimum(squared, new) if covered else new
        covered = True
    return picks, distances


def gradient_embeddings(pool: View) -> np.ndarray:
    """Form (p - e_argmax) (x) h, float64 [n, K F], which the library never does."""
    residual = pool.probs.double().numpy().copy()
    residual[np.arange(len(residual)), residual.argmax(1)] -= 1.0
    return (residual[:, :, None] * pool.embeddings.double().numpy()[:, None, :]).reshape(len(residual), -1)
