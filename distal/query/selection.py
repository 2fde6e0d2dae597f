"""Choose the rows to ask over shards: exactly the centralized answer, in a few exchanges of O(k) each."""

import logging
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from distal.query.batch import Ask, Batch, Candidates, Prepared, best
from distal.query.nearest import Rows
from distal.query.registry import Strategy
from distal.query.selector import Proposal, Selector
from distal.query.staged import Staged, size
from distal.query.view import Ints

logger = logging.getLogger(__name__)

# Candidates of one pass: more of them take fewer passes, but the coordinator's matrix grows with their square.
FEWEST, MOST = 64, 1024


@dataclass(frozen=True)
class Selection:
    """State what to ask.

    row_ids: int64 [k] in pick order. scores: float32 [k], the strategy's own value at pick time.
    passes: exchanges with the shards. bytes_moved: payload of these, to and from all shards.
    """

    row_ids: Ints
    scores: npt.NDArray[np.float32]
    passes: int
    bytes_moved: int


class ShardGroup(Protocol):
    """Reach the Selectors of all shards."""

    def call(self, method: str, *args: Any) -> list[Any]:
        """Invoke a method of every shard's Selector, in parallel where possible; results in shard order."""


class LocalShards:
    """Be a ShardGroup within this process."""

    def __init__(self, selectors: list[Selector]) -> None:
        self.selectors = selectors

    def call(self, method: str, *args: Any) -> list[Any]:
        """Invoke a method of every Selector, one after another."""
        return [getattr(selector, method)(*args) for selector in self.selectors]


def select(shards: ShardGroup, strategy: Strategy, k: int, seed: int, round: int) -> Selection:
    """Choose k rows, or all available ones where there are fewer.

    The same row ids and scores come out for any cut of the pool into shards of whole blocks. Raises TrainingError
    where the model's outputs are not finite, ValueError where k is below 1.
    """
    if k < 1:
        raise ValueError(f"select: k is {k}, expected at least 1")
    if strategy.kind == "score":
        chosen = _select_best(shards, k)
    elif strategy.kind == "batch":
        chosen = _select_batch(shards, strategy, k, seed, round)
    else:
        chosen = _select_staged(shards, strategy, k, seed, round)
    logger.info(
        "%s chose %d rows in %d passes, %d bytes moved",
        strategy.name,
        len(chosen.row_ids),
        chosen.passes,
        chosen.bytes_moved,
    )
    return chosen


def _select_best(shards: ShardGroup, k: int) -> Selection:
    tops = shards.call("top", k)
    row_ids = np.concatenate([top.row_ids for top in tops])
    scores = np.concatenate([top.scores for top in tops])
    ascending = np.argsort(row_ids, kind="stable")
    order = ascending[best(scores[ascending], min(k, len(row_ids)))]
    return Selection(row_ids[order], scores[order].astype(np.float32), 1, size(tops))


def _select_batch(shards: ShardGroup, strategy: Strategy, k: int, seed: int, round: int) -> Selection:
    """Run the passes; see `distal.query.batch`."""
    batch: Batch = strategy.make()
    moved = _Meter()
    begun = shards.call("begin")
    left = min(k, sum(available for available, _ in begun))
    news = Rows.concatenate([moved.one(centers) for _, centers in begun])
    row_ids: list[Ints] = []
    scores: list[npt.NDArray[np.float64]] = []
    passes = 0
    ask = moved.asking(shards)
    if left and isinstance(batch, Prepared):
        batch.prepare(news, left, seed, round, ask)
    while left:
        covered = passes > 0 or len(news) > 0
        passes += 1
        count = min(max(FEWEST, left), MOST)
        proposals = shards.call("propose", moved.every(news, len(begun)), count + 1, passes)
        leading, next_key, next_id = _merge([moved.one(proposal) for proposal in proposals], count)
        found = shards.call("fetch", moved.every(leading.row_ids, len(begun)))
        rows = Rows.concatenate([moved.one(part) for part in found])
        rows = rows.take(np.searchsorted(rows.row_ids, leading.row_ids))
        candidates = Candidates(rows, leading.keys, leading.gains, next_key, next_id, covered)
        settled = batch.settle(candidates, left, seed, round, passes, ask)
        if not len(settled.positions) and passes > 1:
            raise RuntimeError(f"strategy '{strategy.name}' settled no pick in pass {passes}")
        news = candidates.rows.take(settled.positions)
        row_ids.append(news.row_ids)
        scores.append(settled.scores)
        left -= len(settled.positions)
    ids = np.concatenate([np.empty(0, dtype=np.int64), *row_ids])
    return Selection(ids, np.concatenate([np.empty(0), *scores]).astype(np.float32), passes, moved.bytes)


def _select_staged(shards: ShardGroup, strategy: Strategy, k: int, seed: int, round: int) -> Selection:
    """Let the strategy talk with the shards; see `distal.query.staged`."""
    passes = moved = 0

    def ask(method: str, *args: Any) -> list[Any]:
        nonlocal passes, moved
        answers = shards.call("ask", method, *args)
        passes += 1
        moved += size(args) * len(answers) + size(answers)
        return answers

    staged: Staged = strategy.make()
    k = min(k, sum(shards.call("open")))
    nothing = np.empty(0, dtype=np.int64), np.empty(0)
    row_ids, scores = staged.choose(ask, k, seed, round) if k else nothing
    return Selection(row_ids, scores.astype(np.float32), passes, moved)


def _merge(proposals: list[Proposal], count: int) -> tuple[Proposal, float, int]:
    """Keep the globally best `count` proposals; return them with key and row id of the best one left out, if any."""
    row_ids = np.concatenate([proposal.row_ids for proposal in proposals])
    keys = np.concatenate([proposal.keys for proposal in proposals])
    gains = np.concatenate([proposal.gains for proposal in proposals])
    ascending = np.argsort(row_ids, kind="stable")
    order = ascending[best(keys[ascending], count + 1)]
    kept = order[:count]
    leading = Proposal(row_ids[kept], keys[kept], gains[kept])
    if len(order) <= count:
        return leading, -np.inf, -1
    return leading, float(keys[order[count]]), int(row_ids[order[count]])


class _Meter:
    """Count the bytes of what goes to and comes from shards."""

    def __init__(self) -> None:
        self.bytes = 0

    def asking(self, shards: ShardGroup) -> Ask:
        """Return what calls a method of every shard's state and counts arrays and rows on both ways."""

        def ask(method: str, *args: Any) -> list[Any]:
            answers = shards.call("ask", method, *args)
            self.bytes += sum(getattr(given, "nbytes", 0) for given in args) * len(answers)
            self.bytes += sum(getattr(answer, "nbytes", 0) for answer in answers)
            return answers

        return ask

    def one(self, payload: Any) -> Any:
        """Count a payload that one shard sent, and return it."""
        self.bytes += payload.nbytes
        return payload

    def every(self, payload: Any, shards: int) -> Any:
        """Count a payload that every shard gets, and return it."""
        self.bytes += payload.nbytes * shards
        return payload
