"""Choose a batch by BADGE: Ash, Zhang, Krishnamurthy, Langford, Agarwal 2020 (Algorithm 1).

The gradient embedding of a row, for the label that the model itself would give, is g = (p - e_argmax) (x) h (their
equation 1): an outer product, so distances factor (`distal.query.nearest`) and the n x (K F) matrix is never formed.
k-means++ seeding (Arthur and Vassilvitskii 2007): the first pick is the row of largest norm, as in the authors' code;
each further one is row i with probability D_i^2 / sum_j D_j^2.

Exact in law in a few passes, by a race. Give each row a Poisson process of arrivals with rate D_i^2 as it stands when
the pass begins. The first arrival of row i is E_i / D_i^2, E_i an Exp(1) of (row id, pass), so shards agree on it. The
coordinator takes the m rows of earliest first arrival and walks through all arrivals in order of time, accepting one
with probability (D_i^2 now) / (rate it was drawn with). By thinning (Lewis and Shedler 1979) accepted arrivals
come at rate D_i^2 now, so the next pick is row i with the right probability, whatever was picked before. A row that is
refused goes on from that moment at its rate now. The walk ends after the m-th first arrival, that one included: up to
then every arrival of every row is known, and it is a stopping time, at which the processes, having no memory, may be
started afresh. (To end *before* that arrival would be wrong: it would throw away arrivals of rows that are new to the
walk and keep those of rows that return.)
"""

import heapq

import numpy as np
import torch

from distal.query.batch import Ask, Candidates, Settled
from distal.query.nearest import Nearest
from distal.query.registry import batch_strategy
from distal.query.view import Bools, Doubles, View
from distal.streams import row_uniforms, stream


def residuals(probs: torch.Tensor) -> torch.Tensor:
    """Return p - e_argmax, float32 [n, K], from probs [n, K]; the lowest class wins a tie."""
    out = probs.float().clone()
    out.scatter_add_(1, out.argmax(1, keepdim=True), torch.full((len(out), 1), -1.0, device=out.device))
    return out


@batch_strategy("badge", needs={"gradients"})
class Badge:
    """Sample k-means++ seeds among gradient embeddings; scores are D^2 at pick time (of the first: its squared norm).

    Picks never repeat. Where every row left coincides with a pick, rows are taken by lowest row id, with score 0.
    """

    def cover(self, view: View) -> Nearest:
        """Open lazy distances over the factors (p - e_argmax, h)."""
        return Nearest((residuals(view.need("probs")), view.need("embeddings")))

    def centers(self, view: View) -> Bools:
        """Return no row: the authors seed among the unlabeled rows alone."""
        return np.zeros(len(view.row_ids), dtype=np.bool_)

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Return 1 / E_i, so that the key is one over the first arrival, D_i^2 / E_i; the first pick needs no race."""
        if number == 1:
            return None
        uniforms = row_uniforms(view.row_ids, view.seed, "query", "badge", view.round, number)
        return -1.0 / np.log(uniforms)

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Walk through the arrivals in order of time; see the head of this file."""
        if not candidates.covered:
            return Settled(np.zeros(1, dtype=np.int64), candidates.gains[:1].astype(np.float64))
        racing = np.flatnonzero(candidates.keys > 0.0)
        if not len(racing):
            return Settled(np.arange(min(limit, len(candidates.keys))), np.zeros(min(limit, len(candidates.keys))))
        among = candidates.rows.squared_distances()
        squared = candidates.gains.copy()
        rates = squared.copy()
        draw = stream(seed, "query", "badge", round, "walk", number)
        horizon = 1.0 / candidates.keys[racing[-1]] if candidates.next_key > 0.0 else np.inf
        arrivals = [(1.0 / float(candidates.keys[i]), int(i)) for i in racing]  # ascending times: a heap already
        picks: list[int] = []
        scores: list[float] = []
        while arrivals and len(picks) < limit and arrivals[0][0] <= horizon:
            time, i = heapq.heappop(arrivals)
            if draw.random() * rates[i] < squared[i]:
                picks.append(i)
                scores.append(float(squared[i]))
                np.minimum(squared, among[i], out=squared)
                squared[i] = 0.0
            elif squared[i] > 0.0:
                rates[i] = squared[i]
                heapq.heappush(arrivals, (time + draw.standard_exponential() / rates[i], i))
        return Settled(np.asarray(picks, dtype=np.int64), np.asarray(scores))
