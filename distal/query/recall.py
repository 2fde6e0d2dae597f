"""Estimate how many images of a class the pool holds, from the labels that were asked for so far.

A row was asked with the classifier's log odds l of the class at that time, and the answer y says whether it was of it.
The answers teach how far such odds can be believed: a row is of the class with probability

    pi(l) = 1 - (1 - sigma(a + b l)) (1 - e).

a + b l mends the odds (Platt 1999). e is the share of images that the classifier does not know for what they are: they
lie anywhere, whatever their odds, so that the expectation of what a search has not found never falls to zero by its own
word. Prior: a ~ N(0, 2^2), b ~ N(1, 0.4^2), and log e uniform between a tenth of an image and as many as were found.
Answers of old rounds come from other weights, so each counts half as much as one HALF rounds later. That an answer was
sought or audited makes no difference to its likelihood (selection by l alone is ignorable: Rubin 1976): audits are what
binds pi where l is low. The posterior is summed over a grid; given (a, b, e), the images among the rows not asked are
about Poisson with mean sum_i pi(l_i), which is wider than their Poisson-binomial law.

The interval: `high` is the 0.95 quantile of this posterior. `low` supposes nothing of the classifier: it is the exact
lower bound from the audits alone, each a hypergeometric draw from the rows that were left (at level 0.95), and never
below what was found. `benchmarks/recall.py` measures how often the interval covers the truth.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distal.query.view import Bools, Ints

Doubles = npt.NDArray[np.float64]

EDGE = 16.0
BINS = 64
MIDDLES = (np.arange(BINS) + 0.5) * (2.0 * EDGE / BINS) - EDGE
HALF = 6.0
LEVEL = 0.95
"""Of each of the two bounds, which makes an interval of 90%."""

SHIFT, SLOPE = (0.0, 2.0), (1.0, 0.4)
"""Mean and standard deviation of the prior of a and of b."""

SHIFTS = np.linspace(-6.0, 4.0, 21)
SLOPES = np.linspace(0.2, 1.8, 17)
UNSEEN = 10
"""Values of a, of b, and how many of e."""


@dataclass(frozen=True)
class RecallEstimate:
    """State how many images of a class the pool holds: found of about total, low to high with 90% confidence."""

    found: int
    total: int
    low: int
    high: int

    @property
    def at_least(self) -> float:
        """Return the share that is found at least, in [0, 1], wrong at most once in twenty."""
        return self.found / self.high if self.high else 1.0


@dataclass(frozen=True)
class Asked:
    """Hold the rows that were asked for, as one class sees them, m rows in any order.

    rounds: int64 [m]. probs: float64 [m] in [0, 1], the class's probability when the row was asked. hits: bool [m],
    whether the answer was this class. scores: float64 [m], the strategy's: of an audit, minus the chance to be drawn.
    """

    rounds: Ints
    probs: Doubles
    hits: Bools
    scores: Doubles


def bin_of(probs: npt.NDArray[np.floating]) -> Ints:
    """Return the bin of the log odds of each probability, int64 in [0, BINS)."""
    p = np.clip(probs.astype(np.float64), 1e-9, 1.0 - 1e-9)
    odds = np.log(p) - np.log1p(-p)
    bins: Ints = np.clip((odds + EDGE) * (BINS / (2.0 * EDGE)), 0.0, BINS - 1.0).astype(np.int64)
    return bins


def count_odds(probs: npt.NDArray[np.floating]) -> Ints:
    """Return how many rows of probs [n, K] have log odds in each bin, int64 [K, BINS]; shards add theirs up."""
    bins = bin_of(probs) + BINS * np.arange(probs.shape[1])
    counts: Ints = np.bincount(bins.ravel(), minlength=BINS * probs.shape[1]).reshape(-1, BINS)
    return counts


def estimate_recall(found: int, asked: Asked, left: Ints) -> RecallEstimate:
    """Estimate the class's images in the pool.

    found: labels of the class among the pool's rows, those of rounds that `asked` does not know included.
    left: int64 [BINS], log odds of the rows that may still be asked, by the newest classifier (`count_odds`).
    """
    rows = int(left.sum())
    means, weights = _posterior(found, asked, left)
    low = min(max(found, _audited_at_least(found, asked)), found + rows)
    high = max(found + _quantile(means, weights, LEVEL, rows), low)
    total = min(max(found + _quantile(means, weights, 0.5, rows), low), high)
    return RecallEstimate(found, total, low, high)


def enough_found(estimates: list[RecallEstimate], goal: float) -> bool:
    """Say whether of every class at least the share `goal` is found, by the upper end of each interval."""
    return all(estimate.at_least >= goal for estimate in estimates)


def _posterior(found: int, asked: Asked, left: Ints) -> tuple[Doubles, Doubles]:
    """Return the images to expect among the rows left at each point of the grid, and its weights, float64 [G]."""
    from scipy.special import expit  # a third of a second's import that only a search pays, here and below

    rows = max(int(left.sum()), 1)
    ages = (asked.rounds.max() - asked.rounds) / HALF if len(asked.rounds) else asked.rounds
    bins, worth = bin_of(asked.probs), 0.5**ages
    yes = np.bincount(bins, weights=worth * asked.hits, minlength=BINS)
    no = np.bincount(bins, weights=worth * ~asked.hits, minlength=BINS)
    grid = np.meshgrid(SHIFTS, SLOPES, np.minimum(np.geomspace(0.1, max(found, 1), UNSEEN) / rows, 0.5), indexing="ij")
    a, b, e = (axis.ravel() for axis in grid)
    logs = -0.5 * ((a - SHIFT[0]) / SHIFT[1]) ** 2 - 0.5 * ((b - SLOPE[0]) / SLOPE[1]) ** 2
    means = np.zeros(len(a))
    for k in np.flatnonzero((yes > 0) | (no > 0) | (left > 0)):
        missed = (1.0 - e) * expit(-a - b * MIDDLES[k])
        logs += yes[k] * np.log1p(-missed) + no[k] * np.log(missed)
        means += left[k] * (1.0 - missed)
    weights = np.exp(logs - logs.max())
    return means, weights / weights.sum()


def _quantile(means: Doubles, weights: Doubles, level: float, most: int) -> int:
    """Return the smallest count, at most `most`, that a mixture of Poisson laws exceeds with at most 1 - level."""
    from scipy.special import pdtr

    kept = weights > 1e-6 * weights.max()
    means, weights = means[kept], weights[kept] / weights[kept].sum()
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if weights @ pdtr(middle, means) >= level:
            high = middle
        else:
            low = middle + 1
    return low


def _audited_at_least(found: int, asked: Asked) -> int:
    """Return the least total that would not make the audits' hits a surprise of less than 1 - LEVEL.

    m_t audits of N_t rows, among them T - f_t images, bring m_t (T - f_t) / N_t on average; the sum over rounds is
    taken as Poisson, whose upper tail is the heavier.
    """
    from scipy.special import gammaincinv

    audits = asked.scores < 0.0
    hits = int(asked.hits[audits].sum())
    if not hits:
        return found
    least = gammaincinv(hits, 1.0 - LEVEL)  # of a Poisson law's mean, from this many events (Garwood 1936)
    chances, expected = 0.0, 0.0
    for round in np.unique(asked.rounds[audits]):
        now = asked.rounds == round
        since = asked.hits & ((asked.rounds > round) | (now & audits))
        chance = float(-asked.scores[now & audits].mean())
        chances += chance
        expected += chance * (found - int(since.sum()))
    return int(np.ceil((least + expected) / chances))
