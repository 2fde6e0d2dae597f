"""Part the pool into clusters and pick from each the row that stands for it best: k-means, TypiClust.

Clusters are found on the reference (`distal.query.reference`): all rows of a small pool, a hashed sample of a large one
(`approximate`); then every row is given to its nearest center and scored, each for itself. Rows are at unit length.
Which rows are picked is planned before the passes, from the best rows of each cluster on each shard.
"""

from dataclasses import dataclass

import numpy as np
import torch

from distal.query.batch import Ask, Candidates, Settled, best
from distal.query.lloyd import k_means
from distal.query.nearest import Floats, Rows
from distal.query.reference import GROUP, ROWS, UNIT, Pooled, block_of, directions, fill, gather
from distal.query.registry import batch_strategy
from distal.query.view import Bools, Doubles, Ints, View
from distal.streams import stream

MOST_CLUSTERS, FEWEST_ROWS, NEIGHBOURS = 500, 5, 20  # of TypiClust, as in the authors' code


@dataclass(frozen=True)
class Leaders:
    """Carry a shard's best rows of clusters: clusters, row_ids int64 [p], scores float64 [p]."""

    clusters: Ints
    row_ids: Ints
    scores: Doubles

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.clusters.nbytes + self.row_ids.nbytes + self.scores.nbytes


class Clustered(Pooled):
    """Be a shard's rows in their clusters; bounds say the place in the plan."""

    def assign(self, rows: Rows, centers: Floats, labels: Ints, typical: bool) -> Ints:
        """Give each row to its nearest center; return the rows of each cluster and the labeled among them, [2, K].

        labels: int64 [m], the clusters of the reference's rows. typical: whether leaders are the most typical rows,
        and not the nearest to the center.
        """
        self.rows_known, self.labels_known, self.typical = rows, labels, typical
        self.clusters = np.full(len(self.gains), -1)
        self.nearness = np.zeros(len(self.gains))
        c = torch.tensor(centers, device=self.device)
        half = 0.5 * c.square().sum(1)
        used = np.flatnonzero(self.among | self.view.available)
        for start in range(0, len(used), ROWS):
            chunk = used[start : start + ROWS]
            products = self._products(c, chunk) - half[:, None]
            top = products.max(0)
            self.clusters[chunk] = top.indices.cpu().numpy()
            nearness = (top.values.double() * UNIT).round_()  # the two rows of a pair are as near: a tie, not rounding
            self.nearness[chunk] = (nearness / UNIT).cpu().numpy()
        counts = [self.among, self.among & self.view.labeled]
        return np.stack([np.bincount(self.clusters[marks], minlength=len(centers)) for marks in counts])

    def lead(self, clusters: Ints, count: int) -> Leaders:
        """Return the best `count` rows that may be asked of each of these clusters."""
        askable = np.flatnonzero(self.view.available)
        parts = []
        for cluster in clusters.tolist():
            positions = askable[self.clusters[askable] == cluster]
            scores = self._typicality(cluster, positions) if self.typical else self.nearness[positions]
            top = best(scores, count)
            parts.append((np.full(len(top), cluster), self.view.row_ids[positions[top]], scores[top]))
        return Leaders(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def plan(self, row_ids: Ints) -> None:
        """Take the picks to come, in order."""
        self.gains = np.zeros(len(self.gains))
        here = np.isin(row_ids, self.view.row_ids)
        self.gains[np.searchsorted(self.view.row_ids, row_ids[here])] = len(row_ids) - np.flatnonzero(here)

    def stale(self, positions: Ints) -> Ints:
        """Return none: the plan stands."""
        return positions[:0]

    def refresh(self, positions: Ints | None) -> None:
        """Do nothing: the plan stands."""

    def add(self, rows: Rows) -> None:
        """Do nothing: the plan stands."""

    def _typicality(self, cluster: int, positions: Ints) -> Doubles:
        """Return one over the mean distance to the nearest rows of the reference in the same cluster."""
        members = np.flatnonzero(self.labels_known == cluster)
        out = np.zeros(len(positions))
        others = torch.tensor(directions(self.rows_known.factors[0][members]), device=self.device)
        count = max(min(NEIGHBOURS, len(members) // 2), 1)
        for start in range(0, len(positions) if len(members) else 0, ROWS):
            chunk = positions[start : start + ROWS]
            distances = (2.0 - 2.0 * self._products(others, chunk)).clamp_(min=0.0).sqrt_()
            itself = self.rows_known.row_ids[members][:, None] == self.view.row_ids[chunk]
            distances[torch.from_numpy(itself).to(self.device)] = torch.inf
            nearest = distances.topk(count, dim=0, largest=False).values.double().mean(0)
            out[start : start + ROWS] = (1.0 / (nearest + 1e-5)).cpu().numpy()
        return out

    def _products(self, others: torch.Tensor, chunk: Ints) -> torch.Tensor:
        """Return the products of others [m, F] with the rows of a chunk at unit length, [m, p], in one shape."""
        block = block_of(self.factors[0], chunk, self.inverse).T
        filled = fill(others, -(-len(others) // GROUP) * GROUP)
        groups = [filled[start : start + GROUP] for start in range(0, len(filled), GROUP)]
        tiles = [torch.mm(group, block)[:, : len(chunk)] for group in groups]
        return torch.cat(tiles)[: len(others)]


class Clustering:
    """Be the coordinator's side of both strategies."""

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Order proposals by their place in the plan."""
        return None

    def robin(self, clusters: Ints, limit: int, ask: Ask) -> list[tuple[int, float]]:
        """Go round the clusters, taking the best row left in each, until there are limit; row ids and scores."""
        visited, depth = clusters[:limit], -(-limit // max(len(clusters), 1))
        while len(visited):
            found: list[Leaders] = ask("lead", visited, depth)
            cluster, row_ids = (np.concatenate([getattr(f, n) for f in found]) for n in ("clusters", "row_ids"))
            scores = np.concatenate([f.scores for f in found])
            place = np.argsort(visited)[np.searchsorted(np.sort(visited), cluster)]
            order = np.lexsort((row_ids, -scores, place))
            visit = np.empty(len(order), dtype=np.int64)
            visit[order] = np.arange(len(order)) - np.searchsorted(place[order], place[order])
            plan = np.lexsort((place, visit))
            plan = plan[visit[plan] < depth]  # beyond, a cluster may have better rows on another shard
            if len(plan) >= limit or (len(visited) == len(clusters) and visit.max(initial=-1) < depth - 1):
                return [(int(row_ids[i]), float(scores[i])) for i in plan[:limit]]
            depth = 2 * depth if len(visited) == len(clusters) else depth
            visited = clusters
        return []

    def announce(self, plan: list[tuple[int, float]], ask: Ask) -> None:
        """Show every shard what is picked."""
        self.scores = dict(plan)
        ask("plan", np.asarray([row_id for row_id, _ in plan], dtype=np.int64))

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Take them in the order of the plan."""
        count = min(limit, len(candidates.keys))
        scores = [self.scores[row_id] for row_id in candidates.rows.row_ids[:count].tolist()]
        return Settled(np.arange(count), np.asarray(scores))


@batch_strategy("kmeans", needs={"embeddings"})
class KMeans(Clustering):
    """Part the rows that may be asked into as many clusters as are asked; of each, take the row nearest to its center.

    Bodo, Minier, Csato 2011; Lloyd 1982. What is labeled does not matter. Larger clusters come first; a cluster that
    holds no row gives way to the second row of the largest. Scores are x . c - |c|^2 / 2, highest nearest to c.
    """

    def cover(self, view: View) -> Clustered:
        """Open the rows that may be asked."""
        return Clustered(view, (view.need("embeddings"),), view.available)

    def centers(self, view: View) -> Bools:
        """Return no row."""
        return np.zeros(len(view.row_ids), dtype=np.bool_)

    def prepare(self, centers: Rows, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Find the clusters, then plan."""
        rows = gather(ask)
        found = k_means(directions(rows.factors[0]), limit, stream(seed, "query", "kmeans", round))
        sizes = np.sum(ask("assign", rows, found.centers, found.labels, False), axis=0)[0]
        order = np.argsort(-sizes, kind="stable")
        self.announce(self.robin(order[sizes[order] > 0], limit, ask), ask)


@batch_strategy("typiclust", needs={"embeddings"})
class TypiClust(Clustering):
    """Part the pool into a cluster for each label there is or will be; take the most typical row of uncovered ones.

    Hacohen, Dekel, Weinshall 2022 (Algorithm 1): min(labels + batch, 500) clusters; those with the fewest labels come
    first, larger before smaller, those of at most 5 rows last. Typicality (equation 4) is one over the mean distance
    to the nearest 20 rows of the same cluster, or half of them where it is small. It is computed once: a row that was
    picked stays a neighbour of those picked from its cluster later on, where a batch has more rows than clusters.
    """

    def cover(self, view: View) -> Clustered:
        """Open all rows that may be asked or carry a label."""
        return Clustered(view, (view.need("embeddings"),), view.available | view.labeled)

    def centers(self, view: View) -> Bools:
        """Return the labeled rows, whose number counts."""
        return view.labeled

    def prepare(self, centers: Rows, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Find the clusters, then plan."""
        rows = gather(ask)
        clusters = min(len(centers) + limit, MOST_CLUSTERS)
        found = k_means(directions(rows.factors[0]), clusters, stream(seed, "query", "typiclust", round))
        sizes, labeled = np.sum(ask("assign", rows, found.centers, found.labels, True), axis=0)
        order = np.lexsort((-sizes, labeled))
        large = sizes[order] > FEWEST_ROWS
        plan = self.robin(order[large], limit, ask)
        if len(plan) < limit:
            plan += self.robin(order[~large], limit - len(plan), ask)
        self.announce(plan, ask)
