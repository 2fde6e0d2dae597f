"""Say when and how the loop of rounds ends: distance goal, label budget, round count, patience, an empty pool."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distal.config import Config


@dataclass(frozen=True)
class Stop:
    """Say why a run ended: a word for programs and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """Say how the rounds ended: stopped (for good), waiting (for labels), interrupted or failed."""

    kind: str
    reason: str
    message: str


def decide_stop(config: Config, distances: Sequence[float | None], asked: int, available: int) -> Stop | None:
    """Return why the run ends before its next round, or None while it goes on.

    Args:
        distances: the goal's value after each committed round, None or NaN where it could not be computed.
        asked: rows asked of the oracle so far. available: rows of the pool that may still be asked.
    """
    stop = config.stop
    last = _finite(distances[-1]) if distances else math.inf
    if stop.fid is not None and last <= stop.fid:
        return Stop("goal", f"the distance {last:.4g} reached the goal stop.fid = {stop.fid:g}")
    if asked >= config.label_budget:
        return Stop("budget", f"the label budget is spent: {asked} of {config.label_budget}")
    if len(distances) >= config.rounds:
        return Stop("rounds", f"all {config.rounds} rounds are done")
    if stop.patience is not None and rounds_without_improvement(distances, stop.min_improvement) >= stop.patience:
        return Stop(
            "patience",
            f"the distance did not fall by {stop.min_improvement:.1%} in {stop.patience} rounds in a row",
        )
    if available <= 0:
        return Stop("pool", "no row of the pool is left to ask")
    return None


def rounds_without_improvement(distances: Sequence[float | None], min_improvement: float) -> int:
    """Count the rounds since the distance last fell by at least the fraction `min_improvement` of the best before.

    A distance that is missing or not finite is no improvement; the first finite one always is.
    """
    best, waited = math.inf, 0
    for distance in map(_finite, distances):
        if distance < best and (math.isinf(best) or distance <= best * (1.0 - min_improvement)):
            best, waited = distance, 0
        else:
            waited += 1
    return waited


def _finite(value: float | None) -> float:
    return math.inf if value is None or not math.isfinite(value) else value
