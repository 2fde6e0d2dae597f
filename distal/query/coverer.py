"""Pick greedily what raises the coverage of the pool most: one objective, one exact lazy greedy, several similarities.

    f(S) = sum_r max_{j in S} w_r s(x_r, x_j),    gain of i = sum_r max(0, w_r s(x_r, x_i) - best_r),

r over the reference (`distal.query.reference`), best_r = max over what is labeled or picked. f is monotone and
submodular (Nemhauser, Wolsey, Fisher 1978: greedy reaches 1 - 1/e of the best), so gains only fall, an old one is a
bound, and the passes of `distal.query.batch` pick what the plain loop would. All sums are of whole numbers, exact in
any order, so picks, ties and scores do not depend on the sharding.

Of a pool that a sample stands for a batch is picked from about CANDIDATES rows, drawn anew each round by a hash of row
id and round: stochastic greedy (Mirzasoleiman, Badanidiyuru, Karbasi, Vondrak, Krause 2015, which draws anew for each
pick), so that what a round costs no longer grows with the pool.
"""

import numpy as np
import torch

from distal.query.batch import Ask, Candidates, Settled
from distal.query.nearest import Floats, Rows
from distal.query.reference import (
    FEW,
    GROUP,
    ROWS,
    UNIT,
    Kernel,
    Pooled,
    Reference,
    block_of,
    exact_sum,
    fill,
    gather,
    is_sampled,
)
from distal.query.view import Bools, Doubles, Ints, View
from distal.streams import row_uniforms

CANDIDATES = 2_048  # rows of a large pool that a batch is picked from
ROOM = 64  # candidates for each pick, where that is more
NEVER = 2**62  # the version that rows which are no candidates are up to date with
KEEP = 2**29  # bytes of similarities that a shard keeps of all its rows; where they are more it computes them anew


class Coverer(Pooled):
    """Be the lazy gains of a shard's rows, whole numbers of 1 / UNIT, float64 [n]."""

    def __init__(self, view: View, factors: tuple[torch.Tensor, ...]) -> None:
        super().__init__(view, factors, view.available | view.labeled)
        self.seen = np.full(len(self.gains), -1)
        self.states: list[torch.Tensor] = []

    def askable(self) -> int:
        """Return how many rows here may be asked."""
        return int(self.view.available.sum())

    def take(self, rows: Rows, kernel: Kernel, weights: Floats | None, share: float) -> None:
        """Take the reference of all shards and the share of rows that are candidates; bounds become those of gains."""
        self.reference = Reference(rows.factors[0], kernel, weights, self.device)
        size = len(self.reference.directions)
        self.states = [torch.zeros(size, device=self.device)]
        drawn = row_uniforms(self.view.row_ids, self.view.seed, "query", "candidates", self.view.round) < share
        self.members = np.flatnonzero(drawn)
        self.gains = np.where(drawn, UNIT * len(rows), -1.0)
        self.seen = np.where(drawn, -1, NEVER)
        keeps = share == 1.0 and 4 * size * len(self.members) <= KEEP
        self.kept = torch.empty(size, len(self.members), device=self.device) if keeps else None

    def cover(self, best: Floats) -> None:
        """Take how well each row of the reference is covered, float32 [m], in 1 / UNIT; gains fall."""
        state = torch.tensor(best, device=self.device)
        self.states.append(fill(state, len(self.states[0])))

    def stale(self, positions: Ints) -> Ints:
        """Return those of the positions whose bound may be above the gain."""
        return positions[self.seen[positions] < len(self.states) - 1]

    def add(self, rows: Rows) -> None:
        """Do nothing: the coordinator says by `cover` what the picks cover."""

    def refresh(self, positions: Ints | None) -> None:
        """Lower the bounds at these ascending positions to the gains.

        From one state to the next a gain falls by the rows of the reference that are covered better, by these alone.
        """
        where = self.members if positions is None or self.kept is not None else positions
        for version in np.unique(self.seen[where]).tolist():
            rows = where[self.seen[where] == version]
            chunks = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
            if version < 0:
                self._measure(chunks)
            else:
                self._lower(chunks, self.states[version])
        self.seen[where] = len(self.states) - 1

    def _measure(self, chunks: list[Ints]) -> None:
        """Set gains from the start: sum_r max(s, best_r) - best_r."""
        best = self.states[-1][:, None]
        bare = not bool(best.any())
        for place, chunk in enumerate(chunks):
            total = torch.zeros(ROWS, dtype=torch.float64, device=self.device)
            tiles = self.reference.similarities(block_of(self.factors[0], chunk, self.inverse))
            for number, tile in enumerate(tiles):
                part = slice(number * GROUP, (number + 1) * GROUP)
                if self.kept is not None:  # all members are measured at once then
                    self.kept[part, place * ROWS : place * ROWS + len(chunk)] = tile[:, : len(chunk)]
                total += exact_sum(tile if bare else torch.maximum(tile, best[part], out=tile))
            self.gains[chunk] = (total - best.double().sum())[: len(chunk)].cpu().numpy()

    def _lower(self, chunks: list[Ints], old: torch.Tensor) -> None:
        """Take sum_r clamp(s, old_r, new_r) - old_r from the gains."""
        changed = torch.nonzero(self.states[-1] > old).squeeze(1)
        if not len(changed):
            return
        whole = torch.arange(-(-len(changed) // GROUP) * GROUP, device=self.device)
        filled = changed[whole.clamp_(max=len(changed) - 1)]
        low, high = old[filled, None], self.states[-1][filled, None]
        high[len(changed) :] = low[len(changed) :]
        base = low.double().sum()
        kept = self.kept
        size = GROUP if kept is None else FEW
        parts = [slice(start, start + size) for start in range(0, len(filled), size)]
        for chunk in chunks if kept is None else [self.members]:  # kept: all rows are in one state
            if kept is None:
                tiles = self.reference.similarities(block_of(self.factors[0], chunk, self.inverse), filled)
            else:
                buffer = torch.empty(FEW, len(self.members), device=self.device)
                tiles = (torch.index_select(kept, 0, filled[part], out=buffer) for part in parts)
            total = -base
            for part, tile in zip(parts, tiles, strict=True):
                torch.minimum(tile, high[part], out=tile)
                total = total + exact_sum(torch.maximum(tile, low[part], out=tile))
            self.gains[chunk] -= total[: len(chunk)].cpu().numpy()


class Covering:
    """Be the coordinator's side: a strategy gives its kernel and, where it has any, its weights.

    Scores are by how much the mean similarity of the reference to its best covering row rises.
    """

    def cover(self, view: View) -> Coverer:
        """Open lazy gains over the embeddings."""
        return Coverer(view, (view.need("embeddings"),))

    def centers(self, view: View) -> Bools:
        """Return the labeled rows."""
        return view.labeled

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Order proposals by gain alone."""
        return None

    def kernel(self, reference: Rows, centers: Rows, seed: int, round: int, ask: Ask) -> Kernel:
        """Return the similarity of this selection."""
        raise NotImplementedError

    def weights(self, reference: Rows) -> Floats | None:
        """Return how much each row of the reference counts, float32 [m] in [0, 1]; None for all alike."""
        return None

    def prepare(self, centers: Rows, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Gather the reference and show it to every shard."""
        rows = gather(ask)
        kernel, weights = self.kernel(rows, centers, seed, round, ask), self.weights(rows)
        self.reference = Reference(rows.factors[0], kernel, weights, torch.device("cpu"))
        self.best = torch.zeros(len(rows))
        self.shown: Ints = np.empty(0, dtype=np.int64)
        for start in range(0, len(centers), ROWS):
            near = self.reference.matrix(torch.tensor(centers.factors[0][start : start + ROWS]))
            self.best = torch.maximum(self.best, near.amax(1))
        ask("take", rows, kernel, weights, candidates(sum(ask("population")), sum(ask("askable")), limit))
        ask("cover", self.best.numpy())

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Pick while the best candidate precedes the best row not shown, whose gain is at most next_key.

        A pick changes the gains only by the rows of the reference that it covers better, fewer with every pick.
        """
        slots = self._show(candidates.rows)
        gains = np.full(len(self.shown), -1.0)
        gains[slots] = candidates.gains
        places = np.zeros(len(gains), dtype=np.int64)
        places[slots] = np.arange(len(slots))
        picks: list[int] = []
        scores: list[float] = []
        while len(picks) < limit:
            ties = np.flatnonzero(gains == gains.max())
            top = int(ties[self.shown[ties].argmin()])
            value, row_id = float(gains[top]), self.shown[top]
            ahead = value > candidates.next_key or (value == candidates.next_key and row_id < candidates.next_id)
            if value < 0.0 or not ahead:
                break
            picks.append(top)
            scores.append(value / (UNIT * len(self.best)))
            news = torch.nonzero(self.similar[:, top] > self.best).squeeze(1)
            low, high = self.best[news, None], self.similar[news, top, None]
            lost = torch.minimum(self.similar[news], high)
            lost = fill(torch.maximum(lost, low, out=lost), -(-len(news) // FEW) * FEW)
            gains -= (exact_sum(lost) - low.sum(dtype=torch.float64)).numpy()
            self.best[news] = high[:, 0]
            gains[top] = -1.0
        ask("cover", self.best.numpy())
        return Settled(places[picks], np.asarray(scores))

    def _show(self, rows: Rows) -> Ints:
        """Return the columns of `similar` that hold these candidates; most were shown in the pass before."""
        if not len(self.shown):  # no later pass has more candidates
            self.shown, self.similar = np.full(len(rows), -1), torch.zeros(self.reference.size, len(rows))
        free = np.flatnonzero(~np.isin(self.shown, rows.row_ids))
        news = np.flatnonzero(~np.isin(rows.row_ids, self.shown))
        slots = free[: len(news)]
        self.shown[slots] = rows.row_ids[news]
        self.similar[:, torch.from_numpy(slots)] = self.reference.matrix(torch.tensor(rows.factors[0][news]))
        order = np.argsort(self.shown)
        found: Ints = order[np.searchsorted(self.shown[order], rows.row_ids)]
        return found


def candidates(population: int, askable: int, limit: int) -> float:
    """Return the share of rows that are candidates for a batch of `limit`: all of a pool that is its own reference."""
    return min(1.0, max(CANDIDATES, ROOM * limit) / max(askable, 1)) if is_sampled(population) else 1.0
