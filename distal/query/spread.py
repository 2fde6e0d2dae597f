"""Choose among candidates by clusters of them, so that a batch is not of one kind.

The candidates are gathered, O(k) of them, so what is chosen does not depend on the sharding.
"""

import numpy as np
import numpy.typing as npt

from distal.query.batch import Ask
from distal.query.registry import staged_strategy
from distal.query.staged import Leaders, lead, merge
from distal.query.uncertainty import margin
from distal.query.view import Doubles, Ints, View
from distal.streams import row_uniforms, stream

PER_PICK = 10  # candidates for one pick
MOST = 4096  # candidates; distances among them are 128 MiB


class Candidates:
    """Be a shard that proposes its rows."""

    def __init__(self, view: View) -> None:
        self.view = view

    def unsure(self, count: int) -> Leaders:
        """Return rows whose class changes in more than half of the dropout draws, then others; each by its number.

        Keys are above 0 for the former alone. Rows come with their embeddings.
        """
        view = self.view
        changed = (view.need("dropout_probs").argmax(2) != view.need("probs").argmax(1, keepdim=True)).double().mean(1)
        uniforms = row_uniforms(view.row_ids, view.seed, "query", "drop_query", view.round)
        keys = np.where(changed.cpu().numpy() > 0.5, 1.0 - uniforms, -uniforms)
        return lead(view, keys, count, view.need("embeddings"))

    def smallest_margins(self, count: int) -> Leaders:
        """Return the rows of smallest margin, with their embeddings."""
        return lead(self.view, margin(self.view).double().cpu().numpy(), count, self.view.need("embeddings"))


@staged_strategy("cluster_margin", needs={"gradients"})
class ClusterMargin:
    """Ask rows of small margin, in turns from their clusters, the smallest cluster first.

    Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar 2021, Algorithm 2: of the PER_PICK k rows of
    smallest margin, clusters take turns in ascending order of size, and each gives a row at random. They cluster the
    whole pool once by average linkage, which takes its square; this clusters the candidates alone, into k clusters.
    Scores are minus the margin.
    """

    def open(self, view: View) -> Candidates:
        """Hold the rows."""
        return Candidates(view)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Gather the candidates, cluster them, and take turns."""
        count = max(k, min(PER_PICK * k, MOST))
        found = merge(ask("smallest_margins", count), count)
        clusters = average_linkage(found.more[0], k)
        numbers = row_uniforms(found.row_ids, seed, "query", "cluster_margin", round)
        order = in_turns(clusters, numbers)[:k]
        return found.row_ids[order], found.keys[order]


@staged_strategy("drop_query", needs={"probs", "embeddings", "dropout_probs"})
class DropQuery:
    """Ask, of the rows whose class does not survive dropout on their features, those nearest to k clusters' means.

    Gupte, Aklilu, Nirschl, Yeung-Levy 2024, Algorithm 1: a row is a candidate where more than half of M draws (they
    take 3, of rate 0.75) change its class; candidates are clustered by k-means, and each mean's nearest row is asked.
    Where candidates are too few, rows at random fill up. Scores are 1 for candidates, 0 for others.

    Exact while candidates are at most PER_PICK k; of more, approximate: that many are drawn by their own numbers, the
    same for any sharding.
    """

    def open(self, view: View) -> Candidates:
        """Hold the rows."""
        return Candidates(view)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Gather the candidates and cluster them."""
        count = max(k, min(PER_PICK * k, MOST))
        found = merge(ask("unsure", count), count)
        unsure = int((found.keys > 0.0).sum())
        picks = np.arange(k)
        if unsure > k:
            number = int(stream(seed, "query", "drop_query", round).integers(2**31))
            picks = nearest_to_means(found.more[0][:unsure], k, number)
        return found.row_ids[picks], (found.keys[picks] > 0.0).astype(np.float64)


def nearest_to_means(x: npt.NDArray[np.float32], k: int, seed: int) -> Ints:
    """Return k positions: the row nearest to each mean of k-means over x [m, F], then, of doubles, the first others."""
    from sklearn.cluster import KMeans  # a second's import that only this strategy pays

    points = x.astype(np.float64)
    clusters = min(k, len(np.unique(points, axis=0)))
    distances = KMeans(clusters, n_init=1, random_state=seed).fit_transform(points)
    nearest = np.unique(distances.argmin(0))
    others = np.setdiff1d(np.arange(len(x)), nearest)
    return np.concatenate([nearest, others])[:k]


def average_linkage(x: npt.NDArray[np.float32], clusters: int) -> Ints:
    """Return the cluster of each of the rows x [m, F], by average linkage of distances until so many are left."""
    if clusters >= len(x):
        return np.arange(len(x))
    from sklearn.cluster import AgglomerativeClustering  # a second's import that only this strategy pays

    found = AgglomerativeClustering(n_clusters=clusters, linkage="average").fit_predict(x.astype(np.float64))
    return np.asarray(found, dtype=np.int64)


def in_turns(clusters: Ints, numbers: Doubles) -> Ints:
    """Return all positions: clusters in ascending order of size give one at a time, each its smallest number first.

    Of clusters of one size that goes first which holds the smaller number.
    """
    inside = np.lexsort((numbers, clusters))
    _, starts, sizes = np.unique(clusters[inside], return_index=True, return_counts=True)
    turns = np.arange(len(clusters)) - np.repeat(starts, sizes)
    rank = np.repeat(np.lexsort((numbers[inside][starts], sizes)).argsort(), sizes)
    return inside[np.lexsort((rank, turns))]
