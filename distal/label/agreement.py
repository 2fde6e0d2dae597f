"""Say how far people agree beyond chance, from the rows that more than one of them has answered.

Two people: Cohen's kappa (Cohen 1960), (p_o - p_e) / (1 - p_e), where p_o is the share of rows on which they agree and
p_e what it would be if each kept the shares of answers that are theirs and gave them at random. More people: Fleiss'
kappa (Fleiss 1971), with one set of shares for all, in the form for rows that differ in how many have answered them.
The interval is that of the percentile bootstrap over rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distal.streams import stream

Doubles = npt.NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class Agreement:
    """Hold how far people agree. kappa: 1 always, 0 by chance; None where all of them only ever gave one answer.

    low, high: of the 95% interval. rows: that two people or more have answered. people: their names. agreed: share of
    pairs of answers to one row that are equal.
    """

    statistic: str
    kappa: float | None
    low: float | None
    high: float | None
    rows: int
    people: tuple[str, ...]
    agreed: float


def agreement(answers: Sequence[Mapping[str, int]], seed: int = 0) -> Agreement | None:
    """Return how far people agree, None where no row has two answers.

    answers: of each row, the answer of each person, as a number; being of no class is an answer as well.
    """
    shared = [row for row in answers if len(row) > 1]
    if not shared:
        return None
    people = sorted({person for row in shared for person in row})
    values = sorted({answer for row in shared for answer in row.values()})
    chosen = np.zeros((len(shared), len(people), len(values)))
    for i, row in enumerate(shared):
        for person, answer in row.items():
            chosen[i, people.index(person), values.index(answer)] = 1.0
    n = len(shared)
    # Rows with the same answers count alike: drawn are numbers of each kind of row, of which there are few.
    chosen, times = np.unique(chosen, axis=0, return_counts=True)
    weights = stream(seed, "agreement").multinomial(n, times / n, RESAMPLES).astype(np.float64)
    kappa = cohen if len(people) == 2 else fleiss
    found = kappa(chosen, times[None].astype(np.float64))[0]
    resampled = kappa(chosen, weights)
    low, high = np.nanpercentile(resampled, [2.5, 97.5]) if np.isfinite(resampled).any() else (np.nan, np.nan)
    counts = chosen.sum(1)
    given = counts.sum(1)
    agreed = float(times @ (counts * (counts - 1)).sum(1) / (times @ (given * (given - 1))))
    statistic = "Cohen's kappa" if len(people) == 2 else "Fleiss' kappa"
    return Agreement(statistic, _or_none(found), _or_none(low), _or_none(high), n, tuple(people), agreed)


def cohen(chosen: Doubles, weights: Doubles) -> Doubles:
    """Return Cohen's kappa of two people, float64 [B], NaN where both only ever gave one answer.

    chosen: [n, 2, V], 1 where the person gave this answer to the row. weights: [B, n], how often each row counts.
    """
    total = weights.sum(1)
    observed = weights @ (chosen[:, 0] * chosen[:, 1]).sum(1) / total
    first, second = (weights @ chosen[:, person] / total[:, None] for person in (0, 1))
    return _beyond_chance(observed, (first * second).sum(1))


def fleiss(chosen: Doubles, weights: Doubles) -> Doubles:
    """Return Fleiss' kappa of many people, float64 [B]; `chosen` [n, J, V] and `weights` [B, n] as of `cohen`."""
    counts = chosen.sum(1)
    n = counts.sum(1)
    within = (counts * (counts - 1)).sum(1) / (n * (n - 1))
    shares = weights @ counts
    shares /= shares.sum(1, keepdims=True)
    return _beyond_chance(weights @ within / weights.sum(1), (shares**2).sum(1))


def _beyond_chance(observed: Doubles, expected: Doubles) -> Doubles:
    possible = 1.0 - expected
    kappa: Doubles = np.divide(
        observed - expected, possible, out=np.full(len(observed), np.nan), where=possible > 1e-12
    )
    return kappa


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
