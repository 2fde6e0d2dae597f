"""Draw a sweep's trials as parallel coordinates: an axis for each searched key and one for what came out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.ticker import LogLocator, MaxNLocator

from distal.report.figures import GRID, INK, LOG_FROM, RC, SERIES, VARIABLES, panel, svg
from distal.sweep.space import Choice, Dimension, Range
from distal.sweep.trials import Trial
from distal.sweep.wording import NOT_SET, one_line, score, shown

MOST_KEYS = 8
RANKS = ("#120101", "#120202", "#120303", "#120404", "#120505", "#120606")
"""Placeholders of the colours from the best trials to the worst, ``--rank-1`` to ``--rank-6`` of the page."""

_UNSET = -0.14  # where a line passes whose trial does not have the key
_SPREAD = 0.05  # of a category's lines, the best on top, so that they do not hide each other
_TICKS = 5
_CROWD = 60  # lines beyond which they shine through each other


@dataclass(frozen=True)
class Axis:
    """Hold one axis: its ticks as (position, text) and the position of each trial; positions are in [0, 1] or unset."""

    title: str
    ticks: tuple[tuple[float, str], ...]
    positions: tuple[float, ...]


def parallel_coordinates(
    trials: Sequence[Trial], dimensions: Sequence[Dimension], titles: Sequence[str], metric: tuple[str, str], mode: str
) -> str:
    """Draw trials, of which each has a finite objective and the best comes first, to be thick and of another colour.

    titles: of the dimensions. metric: the score's name and the same in words. mode: min or max; the better end of the
    last axis is on top.
    """
    axes_drawn = [_key_axis(d, title, trials) for d, title in zip(dimensions, titles, strict=True)]
    axes_drawn.append(_objective_axis(trials, metric, mode))
    with matplotlib.rc_context({**RC, "svg.hashsalt": "space", "axes.spines.bottom": False, "axes.grid": False}):
        figure, axes = panel(width=9.6, height=3.9)
        for i in reversed(range(len(trials))):  # the best last, above the others
            finished = trials[i].state == "finished"
            axes.plot(
                range(len(axes_drawn)),
                [axis.positions[i] for axis in axes_drawn],
                color=SERIES[1] if i == 0 else RANKS[_bucket(i, len(trials))],
                linewidth=3.2 if i == 0 else 1.1 if finished else 0.8,
                linestyle="-" if finished else (0, (4, 2)),
                alpha=1.0 if i == 0 or len(trials) <= _CROWD else 0.5,
                zorder=3 if i == 0 else 2,
                solid_joinstyle="round",
            )
        for x, axis in enumerate(axes_drawn):
            last = x == len(axes_drawn) - 1
            axes.plot([x, x], [0.0, 1.0], color=GRID if not last else INK, linewidth=1.0, zorder=1)
            # Two neighbours' titles must not meet: what is cut here stands whole in the table of keys.
            width = max(9, 120 // len(axes_drawn))
            axes.text(x, 1.08, one_line(axis.title, width), ha="center", va="bottom", fontweight="bold")
            for y, text in axis.ticks:
                axes.annotate(
                    one_line(text, width - 2), (x, y), (5, 0), textcoords="offset points", va="center", zorder=4
                )
        axes.set_xlim(-0.15, len(axes_drawn) - 1 + 0.35)
        axes.set_ylim(_UNSET - 0.06 if _has_unset(axes_drawn) else -0.06, 1.18)
        axes.set_xticks([])
        axes.set_yticks([])
        return svg(figure, "space", "Searched values and objective of each trial", VARIABLES | _RANK_VARIABLES)


_RANK_VARIABLES = {color: f"--rank-{i + 1}" for i, color in enumerate(RANKS)}


def _bucket(rank: int, count: int) -> int:
    return min(len(RANKS) - 1, rank * len(RANKS) // max(1, count))


def _has_unset(axes: Sequence[Axis]) -> bool:
    return any(position == _UNSET for axis in axes for position in axis.positions)


def _key_axis(dimension: Dimension, title: str, trials: Sequence[Trial]) -> Axis:
    if isinstance(dimension, Choice):
        return _choice_axis(dimension, title, trials)
    return _range_axis(dimension, title, trials)


def _choice_axis(dimension: Choice, title: str, trials: Sequence[Trial]) -> Axis:
    values = list(dimension.values)
    for trial in trials:
        if dimension.key in trial.point and trial.point[dimension.key] not in values:
            values.append(trial.point[dimension.key])
    heights = [i / (len(values) - 1) if len(values) > 1 else 0.5 for i in range(len(values))]
    positions = []
    for rank, trial in enumerate(trials):
        if dimension.key not in trial.point:
            positions.append(_UNSET)
            continue
        apart = _SPREAD * (0.5 - rank / max(1, len(trials) - 1)) if len(trials) > 1 else 0.0
        positions.append(heights[values.index(trial.point[dimension.key])] + apart)
    ticks = [(height, shown(value)) for height, value in zip(heights, values, strict=True)]
    return Axis(title, _with_unset(ticks, positions), tuple(positions))


def _range_axis(dimension: Range, title: str, trials: Sequence[Trial]) -> Axis:
    values = [_number(trial.point.get(dimension.key)) for trial in trials]
    log = dimension.kind == "loguniform" and all(value is None or value > 0 for value in values)
    # A population's values may leave the range that the first were drawn from.
    known = [dimension.low, dimension.high, *(value for value in values if value is not None)]
    whole = all(isinstance(value, int) for value in known)
    place, ticks = _scale(min(known), max(known), log, whole)
    positions = [_UNSET if value is None else place(value) for value in values]
    named = [(place(tick), shown(float(tick))) for tick in ticks]
    return Axis(title, _with_unset(named, positions), tuple(positions))


def _objective_axis(trials: Sequence[Trial], metric: tuple[str, str], mode: str) -> Axis:
    values = [trial.last.objective for trial in trials if trial.last is not None]
    low, high = min(values), max(values)
    log = mode == "min" and low > 0 and high / low >= LOG_FROM
    place, ticks = _scale(low, high, log, whole=False)

    def better_up(value: float) -> float:
        return 1.0 - place(value) if mode == "min" else place(value)

    named = tuple((better_up(tick), score(metric[0], tick)) for tick in ticks)
    return Axis(metric[1], named, tuple(better_up(value) for value in values))


def _scale(low: float, high: float, log: bool, whole: bool) -> tuple[Callable[[float], float], list[float]]:
    """Return the function from values to [0, 1], and ticks within [low, high]."""
    if high <= low:
        return (lambda _: 0.5), [low]
    locator = (
        LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 100 else (1.0,)) if log else MaxNLocator(_TICKS, integer=whole)
    )
    slack = 1e-9 * (high - low)
    ticks = [float(tick) for tick in locator.tick_values(low, high) if low - slack <= tick <= high + slack]

    def place(value: float) -> float:
        if log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    return place, ticks if len(ticks) > 1 else [low, high]


def _with_unset(ticks: list[tuple[float, str]], positions: Sequence[float]) -> tuple[tuple[float, str], ...]:
    return (*ticks, (_UNSET, NOT_SET)) if _UNSET in positions else tuple(ticks)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
