"""Turn a run's scores into the value that trials are compared by: smoothed, never NaN, at equal labels."""

import math
from collections.abc import Sequence

from distal.errors import ConfigError, nearest_name
from distal.metrics.evaluator import distance_name

WORST = 1e12
"""What stands for a score that is missing or not finite: schedulers take percentiles, which NaN and infinity spoil."""

HIGHER_IS_BETTER = ("accuracy", "accuracy_balanced", "agreement")


def metric_names(extractor: str) -> list[str]:
    """Return the scores over all classes that a run with this extractor can be compared by."""
    distance = distance_name(extractor)
    kernel = "kid" if extractor == "inception" else f"kd_{extractor}"
    return ["distance", distance, f"{distance}_class_mean", f"{distance}_class_worst", kernel, *HIGHER_IS_BETTER]


def direction(metric: str, given: str | None, extractor: str) -> str:
    """Return "min" or "max" for a metric; it may be given as well, to be sure.

    Raises:
        ConfigError: an unknown metric, or a direction that makes the worst trial the best.
    """
    known = metric_names(extractor)
    if metric not in known:
        hint = nearest_name(metric, known)
        raise ConfigError(f"metric: unknown score '{metric}'{'; ' + hint if hint else '.'}\nKnown: {', '.join(known)}.")
    mode = "max" if metric in HIGHER_IS_BETTER else "min"
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
