"""Choose a core-set by greedy k-center: Sener and Savarese 2018 (Algorithm 1), after Gonzalez 1985."""

import numpy as np

from distal.query.batch import Ask, Candidates, Settled
from distal.query.nearest import Nearest
from distal.query.registry import batch_strategy
from distal.query.view import Bools, Doubles, View


@batch_strategy("coreset", needs={"embeddings"})
class Coreset:
    """Pick, each time, the row farthest from its nearest center: u = argmax_i min_{j in s} |x_i - x_j|.

    Centers are the labeled rows and the picks. Where nothing is labeled, the first pick is the row of largest norm:
    any first center keeps Gonzalez's factor 2, and this one needs nothing but the row itself, so sharding cannot
    change it. Scores are Euclidean distances to the nearest center at pick time (of the very first: its norm).
    """

    def cover(self, view: View) -> Nearest:
        """Open lazy distances over the embeddings."""
        return Nearest((view.need("embeddings"),))

    def centers(self, view: View) -> Bools:
        """Return the labeled rows."""
        return view.labeled

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Order proposals by distance alone."""
        return None

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Take the farthest candidate while it still precedes the best row not shown.

        Rows not shown are at most next_key away, and picks only bring them nearer; so a candidate that is farther
        (or as far, with a lower row id) is the pick of the plain loop.
        """
        limit = limit if candidates.covered else 1
        order = np.argsort(candidates.rows.row_ids)  # argmax returns the first maximum: the lowest row id
        row_ids = candidates.rows.row_ids[order]
        among = candidates.rows.take(order).squared_distances()
        squared = candidates.gains[order].copy()
        picks: list[int] = []
        scores: list[float] = []
        while len(picks) < limit:
            top = int(squared.argmax())
            value = float(squared[top])
            ahead = value > candidates.next_key or (value == candidates.next_key and row_ids[top] < candidates.next_id)
            if value < 0.0 or not ahead:
                break
            picks.append(top)
            scores.append(value)
            np.minimum(squared, among[top], out=squared)
            squared[picks[-1]] = -1.0
        return Settled(order[np.asarray(picks, dtype=np.int64)], np.sqrt(np.asarray(scores)))
