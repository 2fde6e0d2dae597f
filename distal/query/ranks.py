"""Choose by scores of several strategies at once, or by score and price, put on one scale: the rank in the pool.

A row's rank by a strategy is the number of available rows that it scores below the row, plus half of its equals, over
all that there are: in [0, 1], whatever the unit. A strategy that picks rows one after another scores a row by what it
would gain as the first of them: `coreset` by its distance to the labeled rows. Ranks are over all shards and exact, in
six exchanges:

1. each shard tells some quantiles of its scores; 2. each counts its rows below and up to all of these. Between two
neighbouring values a rank is bounded from both sides. 3. Each shard tells the k largest lower bounds; the k-th largest
of all is a floor that k rows surpass. 4. Rows whose upper bound reaches it can win, and are told: k of them and a
share of about 1 / QUANTILES of the pool; 5. each shard counts its rows below and up to each of their scores, and
6. tells its best, of whose ranks nothing is left open. A row that cannot win stays below the floor.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from distal.errors import ConfigError
from distal.query.batch import Ask, best
from distal.query.nearest import Rows
from distal.query.registry import STRATEGIES, Parts, Strategy, modifier
from distal.query.selector import Selector
from distal.query.staged import Leaders, merge
from distal.query.view import Doubles, Ints, View

QUANTILES = 256  # of a shard's scores
VALUES = 1024  # of all shards' quantiles
LEAST = 1e-9  # of a cost: what is free is not infinitely good


@dataclass(frozen=True)
class Scale:
    """Hold values of one strategy, ascending, and how many rows of the pool are below and up to each, int64."""

    values: Doubles
    below: Ints
    upto: Ints
    rows: int

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.values.nbytes + self.below.nbytes + self.upto.nbytes

    def bounds(self, scores: Doubles) -> tuple[Doubles, Doubles]:
        """Return the ranks in [0, 1] between which those of the scores lie; they meet at a value that is held."""
        at = np.searchsorted(self.values, scores)
        held = np.append(self.values, np.nan)[at] == scores
        after, before = np.append(self.below, self.rows)[at], np.append(0, self.upto)[at]
        exact = (np.append(self.below, 0)[at] + np.append(self.upto, 0)[at] - 1) / 2
        least, most = np.where(held, exact, before), np.where(held, exact, after - 1)
        return least / max(1, self.rows - 1), most / max(1, self.rows - 1)


class Scored:
    """Be a shard's scores by each of the strategies, float64 [P, n], and what its rows are expected to cost."""

    def __init__(self, view: View, parts: Parts, priced: bool) -> None:
        self.available = np.flatnonzero(view.available)
        self.row_ids = view.row_ids[self.available]
        self.weights = np.array([weight for weight, _ in parts])
        self.scales: list[Scale] = []
        self.costs = _expected_costs(view)[self.available] if priced else np.ones(len(self.available))
        self.selectors = []
        for _, strategy in parts:
            tensors = {name: tensor for name, tensor in view.tensors.items() if name in strategy.tensors}
            self.selectors.append(Selector(replace(view, tensors=tensors), strategy))

    def begin(self, part: int) -> tuple[int, Rows]:
        """Open a batch strategy; see `Selector.begin`."""
        return self.selectors[part].begin()

    def within(self, part: int, method: str, *args: Any) -> Any:
        """Call a method of a batch strategy's state."""
        return self.selectors[part].ask(method, *args)

    def quantiles(self, centers: list[Rows | None]) -> Doubles:
        """Score every row; return scores at even steps of this shard's own order, float64 [P, q].

        centers: of each batch strategy, the rows of all shards that count as picked; None for scores.
        """
        pairs = zip(self.selectors, centers, strict=True)
        columns = [selector.scores() if rows is None else selector.opening(rows) for selector, rows in pairs]
        self.scores = np.stack([column[self.available] for column in columns])
        self.sorted = np.sort(self.scores, axis=1)
        rows = self.sorted.shape[1]
        steps = np.unique(np.linspace(0, rows - 1, min(rows, QUANTILES)).astype(np.int64))
        return self.sorted[:, steps]

    def count(self, values: list[Doubles]) -> list[tuple[Ints, Ints]]:
        """Return how many rows are below and up to each of the ascending values of each strategy."""
        return [
            (np.searchsorted(own, given, "left"), np.searchsorted(own, given, "right"))
            for own, given in zip(self.sorted, values, strict=True)
        ]

    def bounds(self) -> tuple[Doubles, Doubles]:
        """Return the total scores between which those of all rows lie."""
        low, high = np.zeros(len(self.row_ids)), np.zeros(len(self.row_ids))
        for weight, scale, scores in zip(self.weights, self.scales, self.scores, strict=True):
            least, most = scale.bounds(scores)
            low, high = low + weight * least, high + weight * most
        return low / self.costs, high / self.costs

    def lowest(self, scales: list[Scale], k: int) -> Doubles:
        """Return the k largest lower bounds."""
        self.scales = scales
        return -np.sort(-self.bounds()[0])[:k]

    def contenders(self, floor: float) -> tuple[Ints, Doubles]:
        """Return the rows whose upper bound reaches the floor, and their scores [P, c]."""
        mine = self.bounds()[1] >= floor
        return self.row_ids[mine], self.scores[:, mine]

    def leaders(self, scales: list[Scale], k: int) -> Leaders:
        """Return the k rows of largest lower bound, which is exact for contenders."""
        self.scales = scales
        low = self.bounds()[0]
        order = best(low, k)
        return Leaders(self.row_ids[order], low[order])


class Ranked:
    """Add up the ranks of several scores by weight, and divide by the expected cost of an answer where it is priced.

    Combining uncertainty and density by rank: Ebert, Fritz, Schiele 2012 (RALF), section 3; ranks of use and cost:
    Tomanek and Hahn 2010, A Comparison of Models for Cost-Sensitive Active Learning. Scores are sum_j w_j r_j, w scaled
    to 1, over sum_c p_c cost_c.
    """

    def __init__(self, parts: Parts, priced: bool) -> None:
        whole = sum(weight for weight, _ in parts)
        self.parts = tuple((weight / whole, strategy) for weight, strategy in parts)
        self.priced = priced

    def open(self, view: View) -> Scored:
        """Score every row by every strategy."""
        return Scored(view, self.parts, self.priced)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Bound, then settle, as the head of this file says."""
        parts = enumerate(strategy for _, strategy in self.parts)
        everything = ask("quantiles", [_begun(ask, j, strategy, k, seed, round) for j, strategy in parts])
        columns = [_thinned(np.concatenate([shard[j] for shard in everything])) for j in range(len(self.parts))]
        scales = _scales(ask, columns, None)
        floor = float(-np.sort(-np.concatenate(ask("lowest", scales, k)))[k - 1])
        contenders = ask("contenders", floor)
        told = [np.concatenate([scores[j] for _, scores in contenders]) for j in range(len(self.parts))]
        leaders = merge(ask("leaders", _scales(ask, told, scales[0].rows), k), k)
        return leaders.row_ids, leaders.keys


def _begun(ask: Ask, part: int, strategy: Strategy, k: int, seed: int, round: int) -> Rows | None:
    """Open a batch strategy on every shard, and return the rows that count as picked from the start."""
    if strategy.kind == "score":
        return None
    centers = Rows.concatenate([rows for _, rows in ask("begin", part)])
    prepare = getattr(strategy.make(), "prepare", None)  # where shards must know something of one another first
    if prepare is not None:
        prepare(centers, k, seed, round, lambda method, *args: ask("within", part, method, *args))
    return centers


def _thinned(values: Doubles) -> Doubles:
    """Leave VALUES of the values, evenly by their order, the largest among them."""
    steps = np.unique(np.linspace(0, len(values) - 1, min(len(values), VALUES)).astype(np.int64))
    return np.sort(values)[steps]


def _scales(ask: Ask, values: list[Doubles], rows: int | None) -> list[Scale]:
    """Hold these values of each strategy. rows: in the pool; None where the largest value of all is among them."""
    ascending = [np.unique(given) for given in values]
    counts = ask("count", ascending)
    scales = []
    for j, given in enumerate(ascending):
        below, upto = (np.sum([shard[j][side] for shard in counts], axis=0) for side in (0, 1))
        scales.append(Scale(given, below, upto, int(upto[-1]) if rows is None else rows))
    return scales


def _expected_costs(view: View) -> Doubles:
    """Return sum_c p_c cost_c, float64 [n], added class by class."""
    probs = view.need("probs").double().cpu().numpy()
    costs = np.zeros(len(probs))
    for c, price in enumerate(view.costs if len(view.costs) else np.ones(probs.shape[1])):
        costs += probs[:, c] * price
    return np.maximum(costs, LEAST)


def _ranked(name: str, parts: Parts, priced: bool) -> Strategy:
    for weight, strategy in parts:
        usable = 0.0 < weight < np.inf
        if strategy.kind == "staged" or not usable:
            wrong = f"'{strategy.name}' scores no row by itself" if usable else f"the weight is {weight:g}"
            raise ConfigError(
                f"query.strategy: '{name}' cannot be, {wrong}.\n"
                "Strategies whose ranks can be added up, by weights above 0: "
                f"{', '.join(sorted(n for n, s in STRATEGIES.entries.items() if s.kind != 'staged'))}."
            )
    needs = frozenset().union(*(strategy.needs for _, strategy in parts), {"probs"} if priced else ())
    return Strategy(name, needs, "staged", partial(Ranked, parts, priced))


@modifier("+", apart=True)
def weighted(name: str, parts: Parts) -> Strategy:
    """Return the strategy that adds up ranks, for example 0.5*margin+0.5*coreset."""
    return _ranked(name, parts, priced=False)


@modifier("per_cost", apart=True)
def per_cost(name: str, parts: Parts) -> Strategy:
    """Return the strategy that asks what ranks high for what its answer is expected to cost (`oracle.cost`)."""
    return _ranked(name, parts, priced=True)
