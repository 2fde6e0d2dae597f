"""Draw the rows of each step: labeled ones balanced by class, unlabeled ones uniformly, in O(labels) memory."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distal import streams
from distal.data.protocol import Ids, Pixels, Rows
from distal.errors import TrainingError
from distal.train.ahead import Ahead
from distal.train.synthesized import Synthesized

PREFETCH_STEPS = 2
"""How many steps ahead of need pixels are asked for: a few batches of memory, and the network's time is hidden."""

BATCHES_AHEAD = 2
"""How many batches are made, and carried to a GPU, ahead of need: the next, and one more for two of an update."""


@dataclass(frozen=True)
class Slice:
    """Hold one rank's rows of a step's global batch, labeled ones first.

    positions: int64 [n], its rows in the global batch. labels: int64 [l], of the first l rows. total, labeled_total:
    rows, and labeled ones, of the global batch. pixels: returns uint8 [n, C, H, W], once they have come.
    """

    positions: Ids
    labels: Ids
    total: int
    labeled_total: int
    pixels: Callable[[], Pixels]


class TrainingRows:
    """Draw the global batch of step t as a function of the seed and t alone; every rank draws it and takes its slice.

    images: gives pixels by row id. total_rows: row ids are 0 .. total_rows - 1. excluded: sorted int64 rows that are
    never drawn (skipped images). held_out: int64 [n] -> bool [n], rows kept for evaluation; None: none is.
    labeled_ids, labels: int64 [n], the labels known so far (may be empty). balance: 0 draws labeled rows as they were
    labeled, 1 every class as often as any other; between, a class of c rows has the weight c^(1 - balance).
    synthesized: images that the run drew itself and people have answered; they are none of the rows. run_length:
    unlabeled rows are drawn in runs of so many neighbours.

    ahead, recent: batches on their way to a GPU, and what else those before were asked for (`train/batch.py`).
    """

    candidates: Callable[[np.random.Generator, int], Ids] | None = None

    def __init__(
        self,
        images: Rows,
        total_rows: int,
        excluded: Ids,
        held_out: Callable[[Ids], npt.NDArray[np.bool_]] | None,
        labeled_ids: Ids,
        labels: Ids,
        seed: int,
        balance: float = 1.0,
        synthesized: Synthesized | None = None,
        run_length: int = 1,
    ) -> None:
        self.images, self.total_rows, self.excluded, self.held_out = images, total_rows, excluded, held_out
        self.seed, self.synthesized, self.run_length = seed, synthesized, run_length
        order = np.lexsort((labeled_ids, labels))
        self.labeled_ids, self.labels = labeled_ids[order], labels[order]
        _, which, counts = np.unique(self.labels, return_inverse=True, return_counts=True)
        weights = counts[which] ** -float(balance) if len(labels) else np.zeros(0)
        self._weights = weights
        self._cumulative = np.cumsum(weights / weights.sum()) if len(labels) else weights
        self._forget()

    def _forget(self) -> None:
        """Begin with nothing that was asked for before."""
        self._asked: dict[tuple[int, ...], Slice] = {}
        self.ahead: Ahead[Any] = Ahead(BATCHES_AHEAD)
        self.recent: dict[tuple[str, int], int] = {}

    def reweighted(
        self,
        seed: int,
        times: npt.NDArray[np.float64] | None,
        candidates: Callable[[np.random.Generator, int], Ids] | None,
    ) -> "TrainingRows":
        """Return the same rows, drawn under another seed, and otherwise.

        times: float64 [n], how often each labeled row, in the order of `labels`, counts; None: once. candidates: draws
        about so many unlabeled rows, usable or not; None: uniformly.
        """
        other = copy.copy(self)
        other.seed, other.candidates = seed, candidates
        other._forget()
        if times is not None and len(times):
            other._weights = self._weights * times
            other._cumulative = np.cumsum(other._weights / other._weights.sum())
        return other

    def slice(self, step: int, total: int, labeled: int, rank: int, size: int, chance: bool = False) -> Slice:
        """Return what this rank of `size` trains on at a step: `total` rows, `labeled` of them if any label is known.

        chance: every row is drawn or not by itself, at the rates of `rates`, so that these numbers are expectations.

        The same rows of the next PREFETCH_STEPS steps are asked for on the way: a step's rows do not depend on when
        they are drawn. What was asked for beyond the last step goes with this object.
        """
        keys = [(ahead, total, labeled, rank, size, chance) for ahead in range(step, step + 1 + PREFETCH_STEPS)]
        self._asked = {key: self._asked.get(key) or self._ask(*key) for key in keys}
        return self._asked[keys[0]]

    def _ask(self, step: int, total: int, labeled: int, rank: int, size: int, chance: bool) -> Slice:
        if chance:
            labeled_ids, labels, unlabeled_ids = self.by_chance(step, total, labeled)
        else:
            labeled_ids, labels = self.labeled(step, labeled)
            unlabeled_ids = self.unlabeled(step, total - len(labeled_ids))
        count, others = len(labeled_ids), len(unlabeled_ids)
        mine, theirs = part(count, rank, size), part(others, rank, size)
        ids = np.concatenate([labeled_ids[mine], unlabeled_ids[theirs]])
        positions = np.concatenate([mine, count + theirs])
        return Slice(positions, labels[mine], count + others, count, self.images.request(ids))

    def rates(self, total: int, labeled: int) -> tuple[float, float]:
        """Return the chance of a labeled row, and of any other, to be in a batch of `total` rows, `labeled` of them.

        What is held out or skipped is none of the rows and makes batches smaller: the rates are functions of numbers
        of rows alone.
        """
        known = len(self.labels)
        of_labeled = min(1.0, labeled / known) if known else 0.0
        return of_labeled, min(1.0, (total - (labeled if known else 0)) / self.total_rows)

    def by_chance(self, step: int, total: int, labeled: int) -> tuple[Ids, Ids, Ids]:
        """Return ids of labeled rows, their labels, and ids of other rows, each drawn or not by itself (Poisson).

        A row is in a batch once or not at all, and whether it is says nothing of any other.
        """
        of_labeled, of_others = self.rates(total, labeled)
        source = streams.stream(self.seed, "rows by chance", step)
        chosen = source.random(len(self.labels)) < of_labeled
        # As many as a coin a row would give, then these without replacement: the same, in the time of a batch.
        count = int(source.binomial(self.total_rows, of_others))
        others = source.choice(self.total_rows, count, replace=False).astype(np.int64)
        others = others[self.usable(others) & ~np.isin(others, self.labeled_ids)]
        return self.labeled_ids[chosen], self.labels[chosen], others

    def labeled(self, step: int, n: int) -> tuple[Ids, Ids]:
        """Return (row ids, labels) of n labeled rows, int64 [n] each; none where nothing is labeled.

        Systematic sampling: one uniform, then equal steps through the distribution function, so that n draws cover the
        labels as evenly as n allows.
        """
        if n == 0 or len(self.labels) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        points = (np.arange(n) + streams.stream(self.seed, "labeled rows", step).random()) / n
        chosen = np.minimum(np.searchsorted(self._cumulative, points, side="right"), len(self.labels) - 1)
        return self.labeled_ids[chosen], self.labels[chosen]

    def unlabeled(self, step: int, n: int) -> Ids:
        """Return the n unlabeled rows of a step; see `drawn`."""
        return self.drawn(streams.stream(self.seed, "unlabeled rows", step), n, self.run_length)

    def drawn(self, source: np.random.Generator, n: int, run_length: int = 1) -> Ids:
        """Return n rows drawn from all that are neither excluded nor held out, int64 [n].

        By rejection, so that nothing of the pool's size is ever held. Rows that are labeled may be among them. In runs,
        which go round at the end of the pool, each row is as likely as any other, but neighbours come together: cluster
        sampling, whose means vary as if there were fewer rows, by 1 + (run_length - 1) rho (Kish 1965, 5.4), where rho
        is the correlation of neighbours.
        """
        found = np.zeros(0, np.int64)
        for _ in range(1000):
            if self.candidates is None:
                starts = source.integers(0, self.total_rows, size=-(-(2 * n + 8) // run_length))
                candidates = (starts[:, None] + np.arange(run_length)).ravel() % self.total_rows
            else:
                candidates = self.candidates(source, 2 * n + 8)
            found = np.concatenate([found, candidates[self.usable(candidates)]])
            if len(found) >= n:
                return found[:n]
        raise TrainingError(
            f"training: {len(found)} usable rows found in {1000 * (2 * n + 8)} draws of {self.total_rows} pool rows;\n"
            "nearly all rows are held out or skipped: lower evaluate.holdout or check `distal data info`."
        )

    def usable(self, row_ids: Ids) -> npt.NDArray[np.bool_]:
        """Return which rows are neither excluded nor held out, bool [n]."""
        keep = np.ones(len(row_ids), np.bool_)
        if len(self.excluded):
            at = np.minimum(np.searchsorted(self.excluded, row_ids), len(self.excluded) - 1)
            keep &= self.excluded[at] != row_ids
        if self.held_out is not None:
            keep &= ~self.held_out(row_ids)
        return keep


def part(n: int, rank: int, size: int) -> Ids:
    """Return the positions of 0 .. n - 1 that a rank takes: contiguous, as even as can be."""
    return np.arange(rank * n // size, (rank + 1) * n // size)
