"""Say which searched keys the outcome of a sweep depends on: permutation importance of a random forest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.sweep.results import Results
from distal.sweep.series import valued
from distal.sweep.space import Choice, Dimension, Range, parse_space
from distal.sweep.trials import Trial

LEAST_TRIALS = 8
_TREES = 200
_SHUFFLES = 20

Columns = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KeyShare:
    """Hold a key, its share of the variance that the forest explains, in [0, 1], and that share's standard deviation.

    The shares of all keys add up to 1. The deviation is over shuffles: it says how well the share is computed, not how
    it would differ in another sweep.
    """

    key: str
    share: float
    spread: float


@dataclass(frozen=True)
class Importance:
    """Hold the keys' shares, the largest first, and the forest's out-of-bag R2; or the reason why there are none."""

    shares: tuple[KeyShare, ...] = ()
    r2: float | None = None
    reason: str = ""


def importance(results: Results) -> Importance:
    """Return how much of the difference between trials each searched key explains.

    A random forest (Breiman 2001, doi:10.1023/A:1010933404324) learns the objective, of a distance its logarithm, from
    the values of the keys; a key is worth what the out-of-bag R2 loses when its values are shuffled among the trials.
    Seeds are no key: what they change is noise that the forest cannot explain. Trials that were stopped count with the
    objective that they were stopped at. Failed and unfinished ones are left out, and those that ended before every key
    could make a difference: they would say that it makes none. The same trials give the same shares.
    """
    space = parse_space(results.sweep.space)
    ended = [trial for trial in valued(results.trials) if trial.state in ("finished", "stopped")]
    trials = [trial for trial in ended if len(trial.curve) >= space.tells_from]
    if len(space.keys) < 2:
        return Importance(reason="Only one key is searched, so there is nothing to share out.")
    if len(trials) < LEAST_TRIALS:
        return Importance(
            reason=f"It takes {LEAST_TRIALS} trials that came to a value, finished or stopped, in round "
            f"{space.tells_from} or later; here are {len(trials)}."
        )
    outcome = _outcome(trials, results.mode)
    if np.ptp(outcome) < 1e-12:
        return Importance(reason="All trials came to the same value.")
    blocks = _blocks(space.dimensions, trials)
    r2, drops = _r2_and_drops(blocks, outcome)
    if r2 <= 0.0:
        return Importance(
            r2=r2,
            reason="A random forest predicts no trial from the others better than their mean would: either the keys "
            "matter little beside the noise, or there are too few trials to see it.",
        )
    means = {key: max(0.0, float(drop.mean())) for key, drop in drops.items()}
    whole = sum(means.values())
    if whole <= 0.0:
        return Importance(r2=r2, reason="No key changes the forest's prediction when its values are shuffled.")
    shares = [KeyShare(key, mean / whole, float(drops[key].std()) / whole) for key, mean in means.items()]
    return Importance(tuple(sorted(shares, key=lambda s: -s.share)), r2)


def _outcome(trials: Sequence[Trial], mode: str) -> Columns:
    values = np.array([trial.last.objective for trial in trials if trial.last])
    # A kernel distance is unbiased and may fall below zero, where there is no logarithm.
    return np.log(values) if mode == "min" and values.min() > 0.0 else values


def _blocks(dimensions: Sequence[Dimension], trials: Sequence[Trial]) -> dict[str, Columns]:
    """Return the columns [trials, any] of each key, which are shuffled together.

    A conditional key has a column that says where it is missing. That column is a function of the key that the
    condition asks about, and is shuffled with it: else half of that key's effect would be counted for this one.
    """
    blocks: dict[str, Columns] = {}
    for dimension in dimensions:
        there = [dimension.key in trial.point for trial in trials]
        values = [trial.point.get(dimension.key) for trial in trials]
        if isinstance(dimension, Choice):
            blocks[dimension.key] = _one_hot(values, there)
        else:
            blocks[dimension.key] = _numbers(dimension, values)
        if dimension.when is not None:
            missing = ~np.array(there)[:, None]
            blocks[dimension.when.key] = np.hstack([blocks[dimension.when.key], missing.astype(np.float64)])
    return blocks


def _one_hot(values: Sequence[Any], there: Sequence[bool]) -> Columns:
    kinds: list[Any] = []
    for value, known in zip(values, there, strict=True):
        if known and value not in kinds:  # a list of augmentations has no hash
            kinds.append(value)
    columns = [[float(known and value == kind) for kind in kinds] for value, known in zip(values, there, strict=True)]
    return np.array(columns, dtype=np.float64).reshape(len(values), len(kinds))


def _numbers(dimension: Range, values: Sequence[Any]) -> Columns:
    column = np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=np.float64)
    if dimension.kind == "loguniform":
        column = np.log(column)
    known = column[np.isfinite(column)]
    return np.where(np.isfinite(column), column, np.median(known) if len(known) else 0.0)[:, None]


def _r2_and_drops(blocks: dict[str, Columns], outcome: Columns) -> tuple[float, dict[str, Columns]]:
    """Return the forest's out-of-bag R2, and for each key what it loses in each of the shuffles, [shuffles]."""
    from sklearn.ensemble import RandomForestRegressor  # seconds of import that only a sweep of many trials pays

    features = np.hstack(list(blocks.values()))
    forest = RandomForestRegressor(_TREES, min_samples_leaf=2, bootstrap=True, random_state=0, n_jobs=1)
    forest.fit(features, outcome)
    outside = np.ones((_TREES, len(outcome)), dtype=bool)
    for tree, drawn in enumerate(forest.estimators_samples_):
        outside[tree, drawn] = False

    def r2_of(tables: Columns) -> Columns:
        """Return R2 [tables] of tables [tables, trials, features], each trial judged by trees that did not see it."""
        count, trials, _ = tables.shape
        flat = tables.reshape(count * trials, -1)
        total = np.zeros((count, trials))
        for tree, rows in zip(forest.estimators_, outside, strict=True):
            total += tree.predict(flat).reshape(count, trials) * rows
        predicted = total / np.maximum(1, outside.sum(axis=0))
        judged = outside.any(axis=0)
        error = ((predicted - outcome) ** 2)[:, judged].mean(axis=1)
        return np.asarray(1.0 - error / outcome[judged].var())

    r2 = float(r2_of(features[None])[0])
    random = np.random.default_rng(0)
    orders = np.array([random.permutation(len(outcome)) for _ in range(_SHUFFLES)])
    drops, start = {}, 0
    for key, block in blocks.items():
        tables = np.repeat(features[None], _SHUFFLES, axis=0)
        tables[:, :, start : start + block.shape[1]] = block[orders]
        drops[key] = r2 - r2_of(tables)
        start += block.shape[1]
    return r2, drops
