"""Choose dense regions of the pool, without and with regard to what was picked there before: density, graph cut.

The mass of a row is sum_r k(x_r, x), r over the other rows of the reference (`distal.query.reference`), with
k = exp(-|x - y|^2) of rows at unit length. Exact while the pool has at most `distal.query.reference.WHOLE` rows,
`approximate` beyond it. Similarities are whole numbers, and so sums are exact in any order.
"""

import numpy as np
import torch

from distal.query.batch import Ask, Candidates, Settled
from distal.query.nearest import Floats, Rows
from distal.query.reference import FEW, GROUP, ROWS, UNIT, Gaussian, Pooled, Reference, block_of, exact_sum, gather
from distal.query.registry import batch_strategy
from distal.query.view import Bools, Doubles, Ints, View

KERNEL = Gaussian(1.0)


class Mass(Pooled):
    """Be the masses of a shard's rows, and how near the picks are: float64 [n], whole numbers."""

    def __init__(self, view: View) -> None:
        super().__init__(view, (view.need("embeddings"),), view.available | view.labeled)
        self.seen = np.zeros(len(self.gains), dtype=np.int64)
        self.picks = np.empty((0, self.factors[0].shape[1]), dtype=np.float32)
        self.price = 0.0

    def take(self, rows: Rows, worth: float, price: float) -> None:
        """Take the reference; gains are worth * mass - price * similarity to the picks."""
        self.gains = worth * self._near(rows.factors[0], np.arange(len(self.gains)), GROUP)
        own = np.isin(self.view.row_ids, rows.row_ids) & (self.inverse > 0.0).cpu().numpy()
        self.gains[own] -= worth * UNIT
        self.price = price

    def stale(self, positions: Ints) -> Ints:
        """Return those of the positions whose bound may be above the gain."""
        return positions[self.seen[positions] < len(self.picks)]

    def add(self, rows: Rows) -> None:
        """Take picks (of any shard); gains fall where they have a price."""
        if self.price:
            self.picks = np.concatenate([self.picks, rows.factors[0]])

    def refresh(self, positions: Ints | None) -> None:
        """Lower the bounds at these ascending positions to the gains."""
        where = np.arange(len(self.gains)) if positions is None else positions
        for count in np.unique(self.seen[where]).tolist():
            rows = where[self.seen[where] == count]
            if count < len(self.picks):
                self.gains[rows] -= self.price * self._near(self.picks[count:], rows, FEW)
        self.seen[where] = len(self.picks)

    def _near(self, others: Floats, positions: Ints, group: int) -> Doubles:
        """Return the sum of similarities of the rows at these positions with others [m, F]."""
        reference = Reference(others, KERNEL, None, self.device, group)
        out = np.zeros(len(positions))
        for start in range(0, len(positions), ROWS):
            chunk = positions[start : start + ROWS]
            for tile in reference.similarities(block_of(self.factors[0], chunk, self.inverse)):
                out[start : start + ROWS] += exact_sum(tile)[: len(chunk)].cpu().numpy()
        return out


@batch_strategy("density", needs={"embeddings"})
class Density:
    """Pick the rows of largest mass: kernel density, the information density of Settles and Craven 2008 (equation 13).

    Scores are the mean similarity to the reference. What is labeled does not matter: meant for combinations.
    """

    def cover(self, view: View) -> Mass:
        """Open the masses over the embeddings."""
        return Mass(view)

    def centers(self, view: View) -> Bools:
        """Return no row."""
        return np.zeros(len(view.row_ids), dtype=np.bool_)

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Order proposals by mass alone."""
        return None

    def prepare(self, centers: Rows, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Gather the reference and show it to every shard."""
        rows = gather(ask)
        self.scale = UNIT * len(rows)
        ask("take", rows, 1.0, 0.0)

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Take them in order: masses do not change."""
        count = min(limit, len(candidates.keys))
        return Settled(np.arange(count), candidates.gains[:count].astype(np.float64) / self.scale)


@batch_strategy("graph_cut", needs={"embeddings"})
class GraphCut:
    """Maximise the graph cut 2 (b / m) sum_{r, j in S} k(x_r, x_j) - sum_{i, j in S} k(x_i, x_j) greedily.

    Iyer, Khargoankar, Bilmes, Asanani 2021 (generalised graph cut; lambda = 2 b / m): m rows in the reference, b in
    what is labeled and the batch together. At this lambda the cut is -b^2 times the squared maximum mean discrepancy
    between S and the pool (up to a constant) when the batch is full: greedy MMD, as Kim, Khanna, Koyejo 2016. Gains
    fall with every pick and may be negative. Scores are gains over 2 b.
    """

    def cover(self, view: View) -> Mass:
        """Open the masses over the embeddings."""
        return Mass(view)

    def centers(self, view: View) -> Bools:
        """Return the labeled rows."""
        return view.labeled

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Order proposals by gain alone."""
        return None

    def prepare(self, centers: Rows, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Gather the reference and show it to every shard; gains are those of the cut times m / 2, whole numbers.

        The mass leaves a row's similarity to itself out, which shifts every gain alike.
        """
        rows = gather(ask)
        self.budget, self.price = len(centers) + limit, float(len(rows))
        ask("take", rows, float(self.budget), self.price)

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Pick while the best candidate precedes the best row not shown, whose gain is at most next_key."""
        order = np.argsort(candidates.rows.row_ids)  # argmax returns the first maximum: the lowest row id
        row_ids, x = candidates.rows.row_ids[order], candidates.rows.factors[0][order]
        near = Reference(x, KERNEL, None, torch.device("cpu"), FEW).matrix(torch.tensor(x)).double().numpy()
        gains = candidates.gains[order].astype(np.float64)
        picks: list[int] = []
        scores: list[float] = []
        while len(picks) < min(limit, len(order)):
            top = int(gains.argmax())
            value = float(gains[top])
            if not (
                value > candidates.next_key or (value == candidates.next_key and row_ids[top] < candidates.next_id)
            ):
                break
            picks.append(top)
            scores.append(value / (UNIT * self.price * self.budget))
            gains -= self.price * near[top]
            gains[top] = -np.inf
        return Settled(order[np.asarray(picks, dtype=np.int64)], np.asarray(scores))
