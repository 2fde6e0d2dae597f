"""Say which rows a round looks at, on rank 0, so that its cost grows with the labels and not with the pool.

`query.subpool` rows are drawn, others in each round; `query.neighbours` rows around each label are always looked at.
With both it is their union: what is near to labels is looked at closely, and what is far from all of them now and then.
Nothing is kept on disk: what a round looks at is a function of seed, round, labels and frozen features.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.config import Config
from distal.pool.eyes import Eyes
from distal.pool.found import estimate_found
from distal.query import Strategy
from distal.query.subpool import Neighbourhood, drawn_rows
from distal.run.ledger import Labels, Ledger

logger = logging.getLogger(__name__)

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

COUNTED = 16_384
"""Rows outside the neighbourhood from which, without a sub-pool, the rest of the pool is estimated."""


class Scope:
    """Keep the neighbourhood of what is labeled from round to round.

    config: query.subpool, query.neighbours and seed are read. rows: of the pool. eyes: None where the run has none;
    then there are no neighbours.
    """

    def __init__(self, config: Config, rows: int, eyes: Eyes | None) -> None:
        self._config, self._rows, self._eyes = config, rows, eyes
        self._near = Neighbourhood.empty()

    @property
    def whole(self) -> bool:
        """Say whether every round looks at the whole pool, as it does unless it is told otherwise."""
        return self._config.query.subpool is None and self._config.query.neighbours is None

    def rows(self, strategy: Strategy, labels: Labels, round: int) -> Ids | None:
        """Return the row ids that alone may be asked in a round, ascending; None for all.

        A strategy that needs nothing of a row costs nothing a row, and sees all; so does a round without a label,
        where there is no sub-pool. The eyes are open where there is a label.
        """
        if self.whole or not strategy.tensors:
            return None
        size, near = self._config.query.subpool, self._neighbourhood(labels)
        if size is None:
            return near if len(near) else None
        return np.union1d(near, self._drawn(size, round))

    def scores(self, strategy: Strategy, scores: Floats, looked: int, left: int) -> Floats:
        """Return the scores of a query as they are kept: of an audit of `search`, minus its chance to be drawn.

        looked: rows looked at that may be asked; left: rows of the pool that may be asked. Each of the pool was as
        likely to be in the sub-pool; a neighbourhood is no fair sample of the pool, so nothing in it is an audit.
        """
        if self.whole or strategy.name != "search" or looked >= left:
            return scores
        if self._config.query.neighbours is not None:
            return np.abs(scores)
        return np.where(scores < 0.0, scores * np.float32(looked / left), scores).astype(np.float32)

    def recall(
        self, round: int, labels: Labels, ledger: Ledger, classes: Sequence[str], left: int
    ) -> list[dict[str, Any]]:
        """Estimate, after a round, how many images of each class the pool holds (`distal.pool.found`).

        left: rows of the pool that may be asked. They are counted one by one in the neighbourhood, and outside of it by
        those that are drawn.
        """
        assert self._eyes is not None
        taken = np.union1d(ledger.asked(), labels.row_ids)
        if self.whole:
            odds = self._eyes.odds(labels, taken)
        else:
            near = self._neighbourhood(labels)
            size = self._config.query.subpool or COUNTED
            inside = self._eyes.odds(labels, taken, near)
            drawn = self._eyes.odds(labels, taken, np.setdiff1d(self._drawn(size, round), near))
            each = (left - int(inside[0].sum())) / max(int(drawn[0].sum()), 1)
            odds = inside + np.rint(drawn * each).astype(np.int64)
        return estimate_found(self._eyes.run, round, labels, ledger, classes, odds)

    def _neighbourhood(self, labels: Labels) -> Ids:
        """Look up the neighbours of what was labeled since the last round; return all rows near to a label."""
        count = self._config.query.neighbours
        if count is None or self._eyes is None:
            return self._near.row_ids
        missing = self._near.missing(labels.row_ids)
        if len(missing):
            self._near = self._near.grown(missing, self._eyes.near(missing, count))
            logger.info("%d rows lie near to the %d that are labeled", len(self._near.row_ids), len(labels.row_ids))
        return self._near.row_ids

    def _drawn(self, size: int, round: int) -> Ids:
        return drawn_rows(self._rows, size, self._config.seed, "query", "subpool", round)
