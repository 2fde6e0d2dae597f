"""Say what a strategy is that chooses rows one after another: a bound, a gain and an update.

The weights of greedy selection only fall as rows are picked. So an old weight is a bound, and exact selection takes a
handful of passes over a pool that is cut into shards:

1. every shard proposes its rows of largest bound, their weight brought up to date (`propose`, written once below);
2. the coordinator fetches the globally best of them and settles picks for as long as what it was not shown cannot
   matter (`Batch.settle`, the strategy's own mathematics);
3. the picks go to every shard (`Cover.add`), and the next pass begins.

The number of candidates is global, and ties go to the lowest row id, so the picks do not depend on the sharding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from distal.query.nearest import Floats, Rows
from distal.query.view import Bools, Doubles, Ints, View

FIRST_LOOK = 1024  # rows that a shard brings up to date at first; doubled while the best may lie elsewhere


class Cover(Protocol):
    """Be a strategy's state on one shard."""

    def bound(self) -> Floats | Doubles:
        """Return float [n], never below the gain of picking that row next; never negative where there is urgency."""

    def stale(self, positions: Ints) -> Ints:
        """Return those of the positions whose bound may be above the gain."""

    def refresh(self, positions: Ints | None) -> None:
        """Lower the bounds at these ascending positions to the gains."""

    def add(self, rows: Rows) -> None:
        """Take picks (of any shard); gains fall."""

    def rows(self, positions: Ints, row_ids: Ints) -> Rows:
        """Copy what the coordinator and the other shards must know of these rows."""


@dataclass(frozen=True)
class Candidates:
    """Hold rows in order of (key descending, row id ascending).

    keys: float64 [p], the order of proposal. gains: float [p], up to date.
    next_key, next_id: the best row that is not among them; next_key is -inf where there is none.
    covered: whether there is any pick or center yet; where there is none, gains say which row is first.
    """

    rows: Rows
    keys: Doubles
    gains: Floats | Doubles
    next_key: float
    next_id: int
    covered: bool


@dataclass(frozen=True)
class Settled:
    """Return picks: positions among the candidates int64 [p] in pick order, and their scores float64 [p]."""

    positions: Ints
    scores: Doubles


# Calls a method of every shard's state with these arguments and returns the results in shard order: for strategies
# whose gain is a sum over all shards (facility location), and for those that are `staged`.
Ask = Callable[..., list[Any]]


@runtime_checkable
class Prepared(Protocol):
    """Be a batch strategy whose shards must know something of one another before the first pass."""

    def prepare(self, centers: Rows, limit: int, seed: int, round: int, ask: Ask) -> None:
        """Exchange it; centers: the rows that count as picked. limit: the picks to come. Only then are bounds read."""


class Batch(Protocol):
    """Be a batch strategy; registered with `batch_strategy`, made without arguments on shards and coordinator alike."""

    def cover(self, view: View) -> Cover:
        """Open the state of a shard, with no pick and no label in it."""

    def centers(self, view: View) -> Bools:
        """Return bool [n], rows that count as picked from the start."""

    def urgency(self, view: View, number: int) -> Doubles | None:
        """Return float64 [n] > 0 that multiplies the bounds into the keys of this pass (1-based), None for ones."""

    def settle(self, candidates: Candidates, limit: int, seed: int, round: int, number: int, ask: Ask) -> Settled:
        """Pick up to limit candidates; never one that a row not shown could have preceded.

        At least one, but in the first pass, which may be spent on asking the shards what the next ones shall propose.
        """


def best(keys: npt.NDArray[Any], count: int) -> Ints:
    """Return the positions of the `count` largest keys, by (key descending, position ascending)."""
    n = len(keys)
    if count <= 0 or n == 0:
        return np.empty(0, dtype=np.int64)
    if count < n:
        threshold = np.partition(keys, n - count)[n - count]
        above = np.flatnonzero(keys > threshold)
        ties = np.flatnonzero(keys == threshold)[: count - len(above)]
        chosen = np.concatenate([above, ties])
    else:
        chosen = np.arange(n)
    order: Ints = chosen[np.lexsort((chosen, -keys[chosen]))]
    return order


def propose(cover: Cover, urgency: Doubles | None, askable: Ints, count: int) -> tuple[Ints, Doubles]:
    """Return the positions of the `count` askable rows of largest key, up to date, and their keys.

    A row is brought up to date only when its old key is among the largest: keys only fall, so once the `count` largest
    are all up to date no other row can belong among them.
    """
    weight = np.ones(len(askable)) if urgency is None else urgency[askable]
    keys = cover.bound()[askable] * weight
    look = max(FIRST_LOOK, count)
    while True:
        leaders = best(keys, min(look, len(keys)))
        if not len(cover.stale(askable[leaders[:count]])):
            return askable[leaders[:count]], keys[leaders[:count]]
        ascending = np.sort(leaders)
        stale = cover.stale(askable[ascending])
        cover.refresh(stale if 2 * len(stale) < len(askable) else None)
        keys = cover.bound()[askable] * weight
        look *= 2
