"""Say when and how the loop of rounds ends: a goal, label budget, round count, patience, an empty pool."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distal.config import Config


@dataclass(frozen=True)
class Outcome:
    """Say how the rounds ended: stopped (for good), waiting (for labels), interrupted or failed."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True)
class Stop:
    """Say why a run ended: a word for programs and a sentence for people."""

    reason: str
    message: str


def decide_stop(
    config: Config,
    metric: str,
    better: Literal["lower", "higher"],
    values: Sequence[float | None],
    rounds: int,
    asked: int,
    available: int,
    recall: float | None = None,
) -> Stop | None:
    """Return why the run ends before its next round, or None while it goes on.

    Args:
        metric: what the goal and patience follow. better: which of its values are.
        values: of the metric after each round that trained, None or NaN where it could not be computed.
        rounds: done so far, whether they trained or not.
        asked: rows asked of the oracle so far. available: rows of the pool that may still be asked.
        recall: the least share that is found of a rare class, None where no class is rare or nothing is known of it.
    """
    stop, goal, lower = config.stop, config.stop.followed, better == "lower"
    last = _finite(values[-1]) if values else None
    if goal is not None and last is not None and (last <= goal.value if lower else last >= goal.value):
        return Stop("goal", f"the {metric} {last:.4g} reached the goal {goal.value:g}")
    if stop.recall is not None and recall is not None and recall >= stop.recall:
        return Stop("recall", f"at least {recall:.0%} of every rare class is found; the goal was {stop.recall:.0%}")
    if asked >= config.label_budget:
        return Stop("budget", f"the label budget is spent: {asked} of {config.label_budget}")
    if rounds >= config.rounds:
        return Stop("rounds", f"all {config.rounds} rounds are done")
    if stop.patience is not None and rounds_without_improvement(values, better, stop.min_improvement) >= stop.patience:
        of = "rounds" if config.train.every == 1 else "trainings"
        changed = f"{'fall' if lower else 'rise'} by {stop.min_improvement:.1%}"
        return Stop("patience", f"the {metric} did not {changed} in {stop.patience} {of} in a row")
    if available <= 0:
        return Stop("pool", "no row of the pool is left to ask")
    return None


def rounds_without_improvement(
    values: Sequence[float | None], better: Literal["lower", "higher"], min_improvement: float
) -> int:
    """Count the rounds since the metric last improved by at least the fraction `min_improvement` of the best before.

    A value that is missing or not finite is no improvement; the first finite one always is.
    """
    sign = 1.0 if better == "lower" else -1.0
    best: float | None = None
    waited = 0
    for value in map(_finite, values):
        # What counts as a change is in proportion to the best so far, whose sign a metric may leave open.
        if value is not None and (
            best is None or (value != best and sign * value <= sign * best - min_improvement * abs(best))
        ):
            best, waited = value, 0
        else:
            waited += 1
    return waited


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
