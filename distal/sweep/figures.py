"""Draw a sweep's curves and bars as inline SVG, in the manner of `distal.report.figures`.

Values of choices are a user's text: they enter as text alone, cut to one short line, escaped by Matplotlib's writer,
and mathematics is off (`RC`). They are set after the legend is made, which hides a label that begins with "_".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from distal.report.figures import GRID, INK, LOG_FROM, MANY, MARKERS, RC, SERIES, legend, panel, svg
from distal.report.wording import count, duration_unit, number
from distal.sweep.importance import KeyShare
from distal.sweep.series import Series
from distal.sweep.trials import State
from distal.sweep.wording import one_line

_STATES: dict[State, str] = {"finished": SERIES[0], "stopped": SERIES[1], "failed": SERIES[3], "unfinished": SERIES[4]}
_NAMED = 40  # trials up to which each bar of rounds bears its name
_CHARACTERS = 62  # of a legend's line over a panel
_CROSSES = 60  # marks of stopped trials beyond which they are drawn small

Against = Literal["labels", "compute"]


@dataclass(frozen=True)
class TrialBar:
    """Hold one trial of the figure of rounds: how many it did, and how many were planned."""

    name: str
    state: State
    rounds: int
    planned: int


def learning_curves(series: Sequence[Series], metric: str, share: bool, against: Against) -> str:
    """Draw the median of each series with its range, against labels asked or compute spent.

    metric: its name in words. share: whether it is a share in [0, 1], drawn in percent; else a distance, drawn on a
    logarithmic axis where it changes by a large factor. A cross marks where a trial was stopped.
    """
    names = [one_line(s.name, _CHARACTERS - 8) for s in series]
    columns = max(1, min(len(names), _CHARACTERS // (max(map(len, names), default=0) + 7)))
    title = f"{metric} against {'labels asked' if against == 'labels' else 'compute'}"
    unit, divisor = duration_unit(max((s.seconds[-1] for s in series), default=0.0))
    crosses = sum(len(s.stopped) for s in series)
    with matplotlib.rc_context({**RC, "svg.hashsalt": against}):
        figure, axes = panel(height=3.2 + 0.17 * (-(-len(names) // columns)))
        for i, s in enumerate(series):
            color, dashed = SERIES[i % len(SERIES)], i >= len(SERIES)
            x = list(s.asked) if against == "labels" else [seconds / divisor for seconds in s.seconds]
            if s.trials > 1:
                axes.fill_between(x, s.low, s.high, color=color, alpha=0.13, linewidth=0)
            axes.plot(
                x,
                s.middle,
                color=color,
                linestyle=(0, (4, 2)) if dashed else "-",
                marker=MARKERS[i % len(MARKERS)] if len(x) <= 2 * MANY else None,
                markersize=4.5,
                linewidth=1.6,
                label=str(i),
            )
            ends = [(asked if against == "labels" else seconds / divisor, v) for asked, seconds, v in s.stopped]
            size, alpha = (4.0, 0.85) if crosses <= _CROSSES else (3.0, 0.6)
            axes.plot(*zip(*ends, strict=True), "x", color=color, markersize=size, alpha=alpha) if ends else None
        axes.set_xlabel("labels asked" if against == "labels" else f"compute of a trial, {unit}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=against == "labels", steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axes.set_xlim(left=0.0)
        _metric_axis(axes, [v for s in series for v in (*s.low, *s.high, *(e[2] for e in s.stopped))], share)
        legend(axes, columns)
        for text, name in zip(axes.get_legend().get_texts(), names, strict=True):
            text.set_text(name)
        return svg(figure, against, title)


def _metric_axis(axes: Any, values: Sequence[float], share: bool) -> None:
    if share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        return
    ratio = max(values) / min(values) if min(values) > 0 else 0.0
    if ratio >= LOG_FROM:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 100 else (1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def importance_bars(shares: Sequence[KeyShare]) -> str:
    """Draw each key's share of what is explained, the largest on top, with its spread."""
    with matplotlib.rc_context({**RC, "svg.hashsalt": "importance", "axes.grid.axis": "x"}):
        figure, axes = panel(width=9.6, height=0.55 + 0.28 * len(shares))
        places = list(range(len(shares)))[::-1]
        axes.barh(places, [s.share for s in shares], color=SERIES[0], height=0.62)
        lows = [min(s.spread, s.share) for s in shares]
        spreads = [lows, [s.spread for s in shares]]
        axes.errorbar([s.share for s in shares], places, xerr=spreads, fmt="none", ecolor=INK, elinewidth=1.0)
        for place, s in zip(places, shares, strict=True):
            axes.annotate(
                f"{s.share:.0%}", (s.share + s.spread, place), (5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(places, [one_line(s.key, 40) for s in shares])
        axes.set_ylim(-0.6, len(shares) - 0.4)
        axes.set_xlim(0.0, max(s.share + s.spread for s in shares) * 1.08)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        return svg(figure, "importance", "Share of the explained variance by searched key")


def round_bars(bars: Sequence[TrialBar]) -> str:
    """Draw one bar a trial: rounds done in the colour of its state, on a pale bar of the rounds planned."""
    order = sorted(bars, key=lambda bar: (-bar.rounds, list(_STATES).index(bar.state)))
    named = len(order) <= _NAMED
    step = 0.17 if named else max(0.02, 5.0 / len(order))  # inches: 200 trials fill a screen, not five
    with matplotlib.rc_context({**RC, "svg.hashsalt": "rounds", "axes.grid.axis": "x"}):
        figure, axes = panel(width=9.6, height=0.85 + step * len(order))
        places = list(range(len(order)))[::-1]
        thick = 0.7 if named else 1.0
        axes.barh(places, [bar.planned for bar in order], color=GRID, height=thick, alpha=0.55)
        colors = [_STATES[bar.state] for bar in order]
        edge = 0.0 if named else 0.4  # closes the hairlines that a browser leaves between bars that touch
        axes.barh(places, [bar.rounds for bar in order], color=colors, height=thick, edgecolor=colors, linewidth=edge)
        axes.set_yticks(places if named else [], [one_line(bar.name) for bar in order] if named else [])
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.set_xlim(0.0, max((max(bar.planned, bar.rounds) for bar in order), default=1) * 1.01)
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.set_xlabel("rounds")
        states = [(state, sum(bar.state == state for bar in order)) for state in _STATES]
        keys: list[Patch | Line2D] = [
            Patch(color=_STATES[state], label=f"{count(n, 'trial')} {state}") for state, n in states if n
        ]
        if any(bar.rounds < bar.planned for bar in order):
            keys.append(Patch(color=GRID, alpha=0.55, label="planned, not run"))
        axes.legend(handles=keys, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=max(1, len(keys)))
        return svg(figure, "rounds", "Rounds of each trial, done and planned")
