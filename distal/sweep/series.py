"""Gather a sweep's trials into a few curves: one for each value of a key, or for each of the best points."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distal.sweep.results import Results
from distal.sweep.space import Choice, describe_point, parse_space
from distal.sweep.trials import RoundPoint, Trial
from distal.sweep.wording import NOT_SET, shown

STRATEGY = "query.strategy"
TOP = 6
MOST = 12
"""Curves in one figure: six colours, whole and dashed."""


@dataclass(frozen=True)
class Series:
    """Hold one curve over several trials; the tuples asked to high are parallel, one entry a number of labels asked.

    seconds: the compute until there, a sum of the medians of what each step took. middle, low, high: median, least and
    largest value of the trials that got there. stopped: labels, compute and value where a trial was given up.
    """

    name: str
    trials: int
    asked: tuple[int, ...]
    seconds: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    stopped: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class Curves:
    """Hold the series of a figure; key: whose values they are, None where they are the best points.

    left_out: how many more there would be.
    """

    key: str | None
    series: tuple[Series, ...]
    left_out: int


def known_points(trial: Trial) -> list[RoundPoint]:
    """Return the rounds of which the metric has a finite value."""
    return [point for point in trial.curve if point.value is not None and math.isfinite(point.value)]


def valued(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials whose last round has a finite value; only their objective can be compared."""
    return [t for t in trials if t.last is not None and t.last.value is not None and math.isfinite(t.last.value)]


def gather(results: Results) -> Curves:
    """Return the curves of a sweep: by query.strategy where it is searched, else by the first choice, else the best.

    Failed trials and rounds without a value are left out.
    """
    key = series_key(results)
    if key is None:
        groups = _points(results)
        return Curves(None, _summaries(groups[:TOP]), max(0, len(groups) - TOP))
    named: dict[str, list[Trial]] = {}
    for dimension in parse_space(results.sweep.space).dimensions:
        if dimension.key == key and isinstance(dimension, Choice):
            named = {shown(value): [] for value in dimension.values}  # in the order in which the user gave them
    for trial in results.trials:
        name = shown(trial.point[key]) if key in trial.point else NOT_SET
        named.setdefault(name, []).append(trial)
    whole = [(name, trials) for name, trials in named.items() if trials]
    return Curves(key, _summaries(whole[:MOST]), max(0, len(whole) - MOST))


def _points(results: Results) -> list[tuple[str, list[Trial]]]:
    """Return the ranked points, named by their place and by the keys in which any two of them differ."""
    points = [candidate.point for candidate in results.ranking]
    alike = {key for key in (points[0] if points else {}) if all(p.get(key) == points[0][key] for p in points)}
    return [
        (f"{place}: {describe_point({k: v for k, v in c.point.items() if k not in alike})}", list(c.trials))
        for place, c in enumerate(results.ranking, 1)
    ]


def series_key(results: Results) -> str | None:
    """Return the key whose values are compared, None where only numbers are searched."""
    choices = [d for d in parse_space(results.sweep.space).dimensions if isinstance(d, Choice) and len(d.values) > 1]
    keys = [dimension.key for dimension in choices]
    return STRATEGY if STRATEGY in keys else keys[0] if keys else None


def _summaries(groups: Sequence[tuple[str, list[Trial]]]) -> tuple[Series, ...]:
    found = [_summary(name, [trial for trial in trials if trial.state != "failed"]) for name, trials in groups]
    return tuple(series for series in found if series.asked)


def _summary(name: str, trials: Sequence[Trial]) -> Series:
    curves = [points for trial in trials if (points := known_points(trial))]
    grid = sorted({point.asked for points in curves for point in points})
    middle, low, high, seconds, spent, before = [], [], [], [], 0.0, 0
    for asked in grid:
        # Where a round of a trial has no value, a straight line between its neighbours stands in.
        there = [points for points in curves if points[0].asked <= asked <= points[-1].asked]
        values = [float(np.interp(asked, [p.asked for p in c], [p.value for p in c])) for c in there]  # type: ignore[arg-type]
        middle.append(statistics.median(values))
        low.append(min(values))
        high.append(max(values))
        # Summed step by step: the median of the totals would fall where a slow trial is given up.
        spent += statistics.median(_seconds_at(points, asked) - _seconds_at(points, before) for points in there)
        seconds.append(spent)
        before = asked
    ends = [(trial, known_points(trial)) for trial in trials if trial.state == "stopped"]
    stopped = tuple(
        (points[-1].asked, points[-1].seconds, float(points[-1].value or 0.0)) for _, points in ends if points
    )
    return Series(name, len(curves), tuple(grid), tuple(seconds), tuple(middle), tuple(low), tuple(high), stopped)


def _seconds_at(points: Sequence[RoundPoint], asked: int) -> float:
    return float(np.interp(asked, [0, *(p.asked for p in points)], [0.0, *(p.seconds for p in points)]))
