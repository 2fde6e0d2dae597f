"""Draw the report's curves and bars as inline SVG that follows the page's colours, light or dark.

Matplotlib draws with placeholder colours, which are then replaced by CSS variables (`style.css.j2` sets them, from the
palette of Okabe and Ito 2008, told apart in all common forms of colour blindness; markers differ as well). Text stays
text. No name chosen by a user enters a figure.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter
from numpy import nan

from distal.report.wording import duration_unit, number

_INK, _GRID = "#010101", "#020202"
_SERIES = ("#110101", "#110202", "#110303", "#110404")
_VARIABLES = {_INK: "--muted", _GRID: "--rule", **{c: f"--series-{i + 1}" for i, c in enumerate(_SERIES)}}
_MARKERS = ("o", "s", "^", "D")
_RC = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.6,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
}
_LOG_FROM = 8.0  # a distance that changed by this factor is drawn on a logarithmic axis
_MANY = 12  # rounds beyond which not each gets its own tick and marker


@dataclass(frozen=True)
class Line:
    """Hold one curve: a name of ours and one value for each point, None where it is missing."""

    name: str
    values: Sequence[float | None]


def distance_curves(labels: Sequence[int], lines: Sequence[Line], goal: float | None = None) -> str:
    """Draw distances (lower is better) against labels spent; `goal` is the distance at which the run stops."""
    with matplotlib.rc_context({**_RC, "svg.hashsalt": "distance"}):
        figure, axes = _panel()
        known = [v for line in lines for v in line.values if v is not None]
        _draw(axes, labels, lines)
        if goal is not None:
            axes.axhline(goal, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"goal {number(goal)}")
        if known and min(known) > 0 and max(known) / min(known) >= _LOG_FROM:
            axes.set_yscale("log")
            steps = (1.0, 2.0, 5.0) if max(known) / min(known) < 100 else (1.0,)
            axes.yaxis.set_major_locator(LogLocator(subs=steps))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.set_ylim(bottom=min(0.0, *known, 0.0))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        _legend(axes, len(lines) + (goal is not None))
        return _svg(figure, "distance", "Distance to the held-out images against labels spent")


def share_curves(labels: Sequence[int], lines: Sequence[Line]) -> str:
    """Draw shares between 0 and 1 (higher is better), as percentages, against labels spent."""
    with matplotlib.rc_context({**_RC, "svg.hashsalt": "share"}):
        figure, axes = _panel()
        _draw(axes, labels, lines)
        axes.set_ylim(0.0, 1.04)
        axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _legend(axes, len(lines))
        return _svg(figure, "share", "Accuracy and agreement against labels spent")


def time_bars(rounds: Sequence[int], lines: Sequence[Line]) -> str:
    """Draw one bar a round of the seconds spent, one layer a phase."""
    totals = [sum(line.values[i] or 0.0 for line in lines) for i in range(len(rounds))]
    unit, seconds = duration_unit(max(totals, default=0.0))
    with matplotlib.rc_context({**_RC, "svg.hashsalt": "time"}):
        figure, axes = _panel(width=9.6, height=2.6)
        bottom = [0.0] * len(rounds)
        for line, color in zip(lines, _SERIES, strict=False):
            heights = [(value or 0.0) / seconds for value in line.values]
            axes.bar(
                rounds, heights, bottom=bottom, color=color, label=line.name, width=0.62 if len(rounds) > 3 else 0.3
            )
            bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
        if len(rounds) <= _MANY:
            axes.set_xticks(list(rounds))
            for position, total in zip(rounds, bottom, strict=True):
                axes.annotate(
                    number(total, 3), (position, total), (0, 3), textcoords="offset points", ha="center", va="bottom"
                )
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(min(rounds) - 0.8, max(rounds) + 0.8)
        axes.set_xlabel("round")
        axes.set_ylabel(unit)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        _legend(axes, len(lines))
        return _svg(figure, "time", f"Time of each round by phase, in {unit}")


def _panel(width: float = 5.0, height: float = 3.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _draw(axes: Any, labels: Sequence[int], lines: Sequence[Line]) -> None:
    for i, (line, color, marker) in enumerate(zip(lines, _SERIES, _MARKERS, strict=False)):
        axes.plot(
            labels,
            [nan if value is None else value for value in line.values],
            color=color,
            marker=marker if len(labels) <= 2 * _MANY else None,
            markersize=4.5,
            linewidth=2.0 if i == 0 else 1.3,
            label=line.name,
        )
    if len(set(labels)) <= _MANY:
        axes.set_xticks(sorted(set(labels)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("labels spent")


def _legend(axes: Any, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.03), ncols=max(1, columns))


def _svg(figure: Figure, name: str, title: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Inside HTML the namespaces are implied; without them the page holds no address at all.
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'^<svg([^>]*?)\swidth="[^"]*"', r"<svg\1", text)
    text = re.sub(r'^<svg([^>]*?)\sheight="[^"]*"', r"<svg\1", text)
    # Several figures share a page: their ids must not meet.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
