"""Hold whole blocks of the pool and score them, in one process, without Ray."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distal.data.chunks import Skipped
from distal.data.table import ImageTable
from distal.errors import StrategyError
from distal.models import read_scorer
from distal.nets.precision import hardware_gains
from distal.pool.moments import Moment
from distal.pool.sight import Frozen, ShardSight, Sight
from distal.query import Known, Selector, Strategy, View
from distal.query.view import PAST

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ready:
    """Report a shard whose blocks are decoded: its rows, how many may be asked, and what was skipped.

    gains: whether its hardware gains from bfloat16.
    """

    rows: int
    available: int
    skipped: list[Skipped]
    gains: bool


@dataclass(frozen=True)
class Scored:
    """Report one pass over a shard: the rows that it looked at, and how many of them may be asked."""

    rows: int
    seconds: float
    available: int


class Shard:
    """Own the blocks [first_block, last_block) of a pool: decode them once, score them each round, answer a selection.

    Args:
        images: the pool's table. holdout: the fraction of rows kept for evaluation, 0 where none is. seed: the run's.
        network: the frozen network that features are made by, None where the run needs none.
        device: where the scorer runs. threads: CPU threads, the same on every shard, so that a score does not depend
            on the sharding.
    """

    def __init__(
        self,
        images: ImageTable,
        first_block: int,
        last_block: int,
        holdout: float,
        seed: int,
        network: Frozen | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        torch.set_num_threads(threads)
        self.images = images
        self.blocks = range(first_block, last_block)
        self.device = torch.device(device)
        self.seed = seed
        first_row = first_block * images.block_rows
        last_row = min(last_block * images.block_rows, images.rows)
        self.row_ids: Ids = np.arange(first_row, last_row, dtype=np.int64)
        self.usable = ~images.held_out(self.row_ids, holdout)
        self.selector: Selector | None = None
        self.sight = ShardSight(images, first_row, last_row, self.usable, network, self.device)
        self._realism: dict[bytes, torch.Tensor] = {}  # of the moments of the last round, by their scorers

    def prepare(self) -> Ready:
        """Decode the blocks into the cache, where they are not there yet, and leave out what cannot be read."""
        skipped = self.images.skipped(self.blocks.start, self.blocks.stop)
        if len(self.row_ids):
            self.usable[[s.row_id - int(self.row_ids[0]) for s in skipped]] = False
        return Ready(len(self.row_ids), int(self.usable.sum()), skipped, hardware_gains(self.device))

    def open_round(
        self,
        round: int,
        strategy: Strategy,
        scorer: bytes | None,
        asked: Ids,
        known: Known,
        gains: bool | None = None,
        sight: Sight | None = None,
        moments: Sequence[Moment] = (),
        looked: Ids | None = None,
    ) -> Scored:
        """Score rows as the strategy needs it and make the shard ready for a selection.

        Args:
            scorer: a `Scorer.to_bytes()`, or None where the strategy needs no model. asked: sorted row ids of the whole
                pool that were asked before, or whose label was given; they are not asked (again). known: all labels.
            sight: what the frozen features are needed for, None where the model's own eyes serve.
            gains: whether the hardware of every shard gains from bfloat16, so that all score alike; None where this
            is the only one. moments: scorers of the last rounds, where the strategy needs them.
            looked: row ids of the whole pool, ascending, that alone may be asked in this round, and that alone are
            scored, with those that carry a label; None for all.
        """
        started = time.perf_counter()
        self.selector = None  # the last round's scores make room for this one's
        wanted = strategy.tensors - PAST if sight is None else sight.of_head(strategy.tensors)
        available = self.usable.copy()
        available[self._here(asked)] = False
        at: Ids | None = None
        row_ids = self.row_ids
        if looked is not None:
            at = np.union1d(self._here(looked), self._here(known.row_ids))
            row_ids, available = self.row_ids[at], available[at] & np.isin(self.row_ids[at], looked)
        tensors = {} if scorer is None else self._score(scorer, wanted, gains, at)
        if sight is not None:
            tensors = self.sight.tensors(sight, strategy.tensors, tensors, at)
        if moments:
            tensors["ldr"] = self._ratios(moments, gains, at)
        view = View(
            row_ids=row_ids,
            available=available,
            labels=known.of(row_ids),
            block_rows=self.images.block_rows if looked is None else 1,
            seed=self.seed,
            round=round,
            tensors=tensors,
            class_counts=known.counts(),
            constants={} if sight is None else sight.constants(),
            costs=known.costs,
        )
        self.selector = Selector(view, strategy)
        return Scored(len(row_ids), time.perf_counter() - started, int(available.sum()))

    def select(self, method: str, *args: Any) -> Any:
        """Answer one call of the selection (see `distal.query.selection.Selector`)."""
        if self.selector is None:
            raise RuntimeError("select() before open_round(): the shard has no scores yet")
        return getattr(self.selector, method)(*args)

    def _here(self, row_ids: Ids) -> Ids:
        """Return the positions of those of these rows that lie here, in their order."""
        first, last = self.blocks.start * self.images.block_rows, self.blocks.stop * self.images.block_rows
        return row_ids[(row_ids >= first) & (row_ids < min(last, self.images.rows))] - first

    def _ratios(self, moments: Sequence[Moment], gains: bool | None, at: Ids | None) -> torch.Tensor:
        """Return the log density ratios float32 [n, T]; a round's scorer looks at a row once while it is kept."""
        if at is not None:  # others in the next round: nothing to keep
            seen = [self._score(m.scorer, frozenset({"realism"}), gains, at)["realism"] - m.centre for m in moments]
            return torch.stack(seen, 1)
        kept, none = self._realism, torch.empty(0)
        self._realism = {m.scorer: kept.get(m.scorer, none) for m in moments}
        for data, realism in self._realism.items():
            if len(realism) != len(self.row_ids):
                self._realism[data] = self._score(data, frozenset({"realism"}), gains)["realism"]
        return torch.stack([self._realism[m.scorer] - m.centre for m in moments], 1)

    def _score(
        self, scorer_bytes: bytes, wanted: frozenset[str], gains: bool | None, at: Ids | None = None
    ) -> dict[str, torch.Tensor]:
        """Score all rows, or those at these positions, block by block: with whom a row is seen is the same anywhere."""
        scorer = read_scorer(scorer_bytes, self.device, gains)
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in wanted}
        with torch.inference_mode():
            for pixels in self._pixels(at):
                scores = scorer(torch.from_numpy(pixels).to(self.device))
                for name, tensors in parts.items():
                    tensors.append(scores[name])
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def _pixels(self, at: Ids | None) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the rows of each block, or those of them that are at these positions; one part at least."""
        rows = self.images.block_rows
        if at is None:
            yield from (np.array(self.images.block(block)) for block in self.blocks)
            return
        blocks, starts = np.unique(at // rows, return_index=True)
        for block, places in zip(blocks.tolist(), np.split(at % rows, starts[1:]), strict=True):
            yield self.images.block(self.blocks.start + block)[places]
        if not len(at):
            yield self.images.block(self.blocks.start)[:0]


def divide_blocks(blocks: int, shards: int) -> list[tuple[int, int]]:
    """Divide blocks into at most `shards` contiguous runs of nearly equal length, none of them empty.

    >>> divide_blocks(5, 2)
    [(0, 3), (3, 5)]
    """
    shards = max(1, min(shards, blocks))
    base, more = divmod(blocks, shards)
    starts = [i * base + min(i, more) for i in range(shards + 1)]
    return list(pairwise(starts))


def strategy_failed(cause: Exception, place: str) -> StrategyError:
    """Return what to raise for an exception in a query strategy's own code; place: where in it, for people."""
    return StrategyError(
        f"the query strategy raised {type(cause).__name__}: {' '.join(str(cause).split())[:160]}\n{place}\n"
        "nothing was asked in this round; mend it, then run distal resume"
    )
