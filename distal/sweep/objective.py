"""Turn a run's scores into the value that trials are compared by: smoothed, never NaN, at equal labels."""

import math
from collections.abc import Sequence

from distal.config import EvaluateConfig
from distal.errors import ConfigError
from distal.metrics.registry import find_score

WORST = 1e12
"""What stands for a score that is missing or not finite: schedulers take percentiles, which NaN and infinity spoil."""


def direction(metric: str, given: str | None, evaluate: EvaluateConfig) -> str:
    """Return "min" or "max" for a metric of runs with this evaluation; it may be given as well, to be sure.

    Raises:
        ConfigError: an unknown metric, or a direction that makes the worst trial the best.
    """
    mode = "min" if find_score(metric, evaluate, "metric").better == "lower" else "max"
    if given not in (None, mode):
        raise ConfigError(f"mode: '{given}' would look for the worst '{metric}'.\nLeave mode out, or set mode={mode}.")
    return mode


def worst(mode: str) -> float:
    """Return the value of a trial that has none."""
    return WORST if mode == "min" else -WORST


def smoothed(values: Sequence[float | None], mode: str, weight: float) -> float:
    """Return the exponential mean of a trial's values so far, each past round weighing `weight` of the next.

    A value to be made small is a distance, whose noise is in proportion to it: the mean is taken of its logarithm.
    Values that are missing or not finite are left out; where the last one is, the trial stands at its worst.

    >>> smoothed([4.0, 1.0], "min", 0.5)
    2.0
    """
    last = values[-1] if values else None
    if last is None or not math.isfinite(last) or (mode == "min" and last <= 0.0):
        return worst(mode) if last is None or not math.isfinite(last) else last
    mean: float | None = None
    for value in values:
        if value is None or not math.isfinite(value) or (mode == "min" and value <= 0.0):
            continue
        level = math.log(value) if mode == "min" else value
        mean = level if mean is None else weight * mean + (1.0 - weight) * level
    assert mean is not None
    return math.exp(mean) if mode == "min" else mean
