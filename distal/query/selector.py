"""Be one shard's side of a selection: everything that leaves it is O(k)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from distal.errors import StrategyError, TrainingError
from distal.query.batch import Batch, Cover, best, propose
from distal.query.nearest import Floats, Rows
from distal.query.registry import Strategy
from distal.query.view import Doubles, Ints, View


@dataclass(frozen=True)
class Top:
    """Carry a shard's best rows: row_ids int64 [p], scores float64 [p], by (score descending, row id ascending)."""

    row_ids: Ints
    scores: Doubles

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.row_ids.nbytes + self.scores.nbytes


@dataclass(frozen=True)
class Proposal:
    """Carry a shard's candidates of one pass, by (key descending, row id ascending).

    Without the rows themselves, of which nearly all would be thrown away: a pool's winners are few of all shards'.
    """

    row_ids: Ints
    keys: Doubles
    gains: Floats | Doubles

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.row_ids.nbytes + self.keys.nbytes + self.gains.nbytes


class Selector:
    """Be one shard's side of a selection; everything returned is O(k) and picklable."""

    def __init__(self, view: View, strategy: Strategy) -> None:
        self.view = view
        self.strategy = strategy
        self._askable: Ints | None = None
        self._cover: Any = None

    @property
    def askable(self) -> Ints:
        """Return the positions of the rows that may be asked, ascending, less what a selection at work has picked."""
        if self._askable is None:
            self._askable = np.flatnonzero(self.view.available)
        return self._askable

    def top(self, k: int) -> Top:
        """Return the k available rows of highest score.

        Raises:
            StrategyError: the scores are not one finite number a row. TrainingError: because the model's outputs are
                not finite either.
        """
        scores = self._scores()
        if self.view.available.all():  # of a large pool nearly none is not, and then a copy is half the time
            positions, values = _best_scores(scores, k)
        else:
            positions, values = _best_scores(scores[torch.from_numpy(self.askable).to(scores.device)], k)
            positions = self.askable[positions]
        self._refuse(positions, values, "score")
        return Top(self.view.row_ids[positions], values)

    def scores(self) -> Doubles:
        """Return the score of every row, available or not, float64 [n]; raises as `top` does."""
        scores = self._scores().double().cpu().numpy()
        self._refuse(self.askable, scores[self.askable], "score")
        return scores

    def begin(self) -> tuple[int, Rows]:
        """Open the batch strategy; return the number of available rows and the rows that count as picked."""
        batch: Batch = self.strategy.make()
        self._cover = batch.cover(self.view)
        centers = np.flatnonzero(batch.centers(self.view))
        used = np.flatnonzero(self.view.available | self.view.labeled)
        self._refuse(used, self._cover.bound()[used], "squared norm")
        return len(self.askable), self._cover.rows(centers, self.view.row_ids)

    def open(self) -> int:
        """Open the staged strategy; return the number of available rows.

        Raises:
            TrainingError: what the model says of a row that may be asked is not finite.
        """
        used = np.flatnonzero(self.view.available | self.view.labeled)
        for name, tensor in self.view.tensors.items():
            finite = torch.isfinite(tensor).reshape(len(tensor), tensor.shape[1:].numel()).all(1).cpu().numpy()
            bad = used[~finite[used]][:1]
            for position in bad:
                row = tensor[int(position)].double().reshape(-1).cpu().numpy()
                self._refuse(bad, row[~np.isfinite(row)][:1], name)
        self._cover = self.strategy.make().open(self.view)
        return len(self.askable)

    def opening(self, centers: Rows) -> Doubles:
        """Take the rows that count as picked, of all shards; return what each row gains as the first pick, [n]."""
        cover: Cover = self._opened()
        cover.add(centers)
        cover.refresh(None)
        return cover.bound().astype(np.float64)

    def propose(self, picks: Rows, count: int, number: int) -> Proposal:
        """Take the picks since the last pass, then propose the `count` rows of largest key in this pass."""
        cover: Cover = self._opened()
        cover.add(picks)
        self._askable = self.askable[~np.isin(self.view.row_ids[self.askable], picks.row_ids)]
        batch: Batch = self.strategy.make()
        positions, keys = propose(cover, batch.urgency(self.view, number), self.askable, count)
        return Proposal(self.view.row_ids[positions], keys, cover.bound()[positions])

    def fetch(self, row_ids: Ints) -> Rows:
        """Return those of these rows that lie on this shard."""
        cover: Cover = self._opened()
        return cover.rows(np.flatnonzero(np.isin(self.view.row_ids, row_ids)), self.view.row_ids)

    def ask(self, method: str, *args: Any) -> Any:
        """Call a further method of the strategy's state."""
        return getattr(self._opened(), method)(*args)

    def _opened(self) -> Any:
        if self._cover is None:
            raise ValueError("selector: begin() or open() comes first")
        return self._cover

    def _scores(self) -> torch.Tensor:
        """Call the strategy's function, which may return a tensor, an array or a list."""
        given, n = self.strategy.make(self.view), len(self.view.row_ids)
        try:
            scores = torch.as_tensor(given)
        except (TypeError, ValueError, RuntimeError):
            what = f"a {type(given).__name__} that holds no numbers"
        else:
            if tuple(scores.shape) == (n,) and not scores.is_complex():
                return scores if scores.is_floating_point() else scores.double()
            what = f"scores of type {scores.dtype} and shape {tuple(scores.shape)}"
        raise StrategyError(
            f"strategy '{self.strategy.name}' returned {what}.\n"
            f"Expected one number for each row of the view, shape ({n},): mend it, then run distal resume."
        )

    def _refuse(self, positions: Ints, values: Floats | Doubles, what: str) -> None:
        bad = np.flatnonzero(~np.isfinite(values))
        if not len(bad):
            return
        position = int(positions[bad[0]])
        wrong = (
            f"strategy '{self.strategy.name}': {what} of row {self.view.row_ids[position]} is {values[bad[0]]}, "
            "expected a finite number.\n"
        )
        if self.view.finite(position):
            raise StrategyError(
                f"{wrong}What the model says of this row is finite, so it is the strategy that fails: "
                "mend it, then run distal resume."
            )
        raise TrainingError(
            f"{wrong}The model's outputs are broken: lower model.learning_rate_g and _d, or go back to a round before."
        )


def _best_scores(scores: torch.Tensor, k: int) -> tuple[Ints, Doubles]:
    """Return positions and values of the k best, ties to the lowest position; NaN counts as best, and so is seen."""
    near = None
    if 0 < k < len(scores):
        values, indices = scores.topk(k + 1)
        last, following = values[k - 1 :].tolist()
        if last > following:
            near = indices[:k].sort().values
        elif math.isfinite(last):  # a tie at the edge, which topk breaks at will; what is below stays on the device
            near = torch.nonzero(~(scores < last)).squeeze(1)
    if near is None:
        near = torch.arange(len(scores), device=scores.device)
    found = scores[near].double().cpu().numpy()
    order = best(np.where(np.isnan(found), np.inf, found), k)
    return near.cpu().numpy()[order], found[order]
