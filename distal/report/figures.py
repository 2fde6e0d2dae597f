"""Draw the report's curves and bars as inline SVG that follows the page's colours, light or dark.

Matplotlib draws with placeholder colours, which are then replaced by CSS variables (`style.css.j2` sets them, from the
palette of Okabe and Ito 2008, told apart in all common forms of colour blindness; markers differ as well). Text stays
text: it is escaped, never read as mathematics, and no replacement touches it. A sweep's figures share the
public pieces.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from distal.report.wording import duration_unit, number

INK, GRID = "#010101", "#020202"
SERIES = ("#110101", "#110202", "#110303", "#110404", "#110505", "#110606")
VARIABLES = {INK: "--muted", GRID: "--rule", **{c: f"--series-{i + 1}" for i, c in enumerate(SERIES)}}
MARKERS = ("o", "s", "^", "D", "v", "P")
RC = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.6,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
}
LOG_FROM = 8.0  # a distance that changed by this factor is drawn on a logarithmic axis
MANY = 12  # rounds beyond which not each gets its own tick and marker


@dataclass(frozen=True)
class Line:
    """Hold one curve: a name of ours and one value for each point, None where it is missing."""

    name: str
    values: Sequence[float | None]


def distance_curves(
    labels: Sequence[int], lines: Sequence[Line], goal: float | None = None, floor: float | None = None
) -> str:
    """Draw distances (lower is better) against labels spent.

    goal: the distance at which the run stops. floor: that of real images from real images.
    """
    with matplotlib.rc_context({**RC, "svg.hashsalt": "distance"}):
        figure, axes = panel()
        floor = floor if floor is not None and floor > 0 else None
        known = [v for line in lines for v in (*line.values, floor) if v is not None]
        _draw(axes, labels, lines)
        if goal is not None:
            axes.axhline(goal, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"goal {number(goal)}")
        if floor is not None:
            axes.axhline(
                floor, color=SERIES[2], linewidth=1.4, linestyle=(0, (1, 2)), label=f"real images {number(floor, 2)}"
            )
        if known and min(known) > 0 and max(known) / min(known) >= LOG_FROM:
            axes.set_yscale("log")
            steps = (1.0, 2.0, 5.0) if max(known) / min(known) < 100 else (1.0,)
            axes.yaxis.set_major_locator(LogLocator(subs=steps))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.set_ylim(bottom=min(0.0, *known, 0.0))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        legend(axes, min(3, len(lines) + (goal is not None) + (floor is not None)))
        return svg(figure, "distance", "Distance to the held-out images against labels spent")


def share_curves(
    labels: Sequence[int],
    lines: Sequence[Line],
    name: str = "share",
    title: str = "Accuracy and agreement",
) -> str:
    """Draw shares between 0 and 1 (higher is better), as percentages, against labels spent.

    name: keeps the figure's ids apart from those of others.
    """
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
        figure, axes = panel()
        _draw(axes, labels, lines)
        axes.set_ylim(0.0, 1.04)
        axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        legend(axes, min(2, len(lines)))
        return svg(figure, name, f"{title} against labels spent")


def time_bars(rounds: Sequence[int], lines: Sequence[Line]) -> str:
    """Draw one bar a round of the seconds spent, one layer a phase."""
    totals = [sum(line.values[i] or 0.0 for line in lines) for i in range(len(rounds))]
    unit, seconds = duration_unit(max(totals, default=0.0))
    with matplotlib.rc_context({**RC, "svg.hashsalt": "time"}):
        figure, axes = panel(width=9.6, height=2.6)
        bottom = [0.0] * len(rounds)
        for line, color in zip(lines, SERIES, strict=False):
            heights = [(value or 0.0) / seconds for value in line.values]
            axes.bar(
                rounds, heights, bottom=bottom, color=color, label=line.name, width=0.62 if len(rounds) > 3 else 0.3
            )
            bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
        if len(rounds) <= MANY:
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
        legend(axes, len(lines))
        return svg(figure, "time", f"Time of each round by phase, in {unit}")


def panel(width: float = 5.0, height: float = 3.0) -> tuple[Figure, Any]:
    """Return a figure of this size in inches and its axes; made and drawn within `rc_context(RC)`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _draw(axes: Any, labels: Sequence[int], lines: Sequence[Line]) -> None:
    for i, (line, color, marker) in enumerate(zip(lines, SERIES, MARKERS, strict=False)):
        # A round that did not measure this is passed over: with train.every=3 two of three measure the probe alone.
        known = [(x, y) for x, y in zip(labels, line.values, strict=True) if y is not None]
        axes.plot(
            [x for x, _ in known],
            [y for _, y in known],
            color=color,
            marker=marker if len(labels) <= 2 * MANY else None,
            markersize=4.5,
            linewidth=2.0 if i == 0 else 1.3,
            label=line.name,
        )
    if len(set(labels)) <= MANY:
        axes.set_xticks(sorted(set(labels)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("labels spent")


def legend(axes: Any, columns: int) -> None:
    """Put the legend above the axes, in this many columns."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.03), ncols=max(1, columns))


def svg(figure: Figure, name: str, title: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """Return the figure as an SVG element to stand inside HTML.

    name: keeps its ids apart from other figures'. variables: placeholder colours and the page's variables for them.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The browser has the letters that Matplotlib's font lacks: here it only measures with them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'^<svg([^>]*?)\swidth="[^"]*"', r"<svg\1", text)
    text = re.sub(r'^<svg([^>]*?)\sheight="[^"]*"', r"<svg\1", text)
    # Only tags change: what stands between them may be a user's, who may call a thing "#010101".
    text = re.sub(r"<[^>]*>", lambda tag: _in_page(tag[0], name, variables), text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)


def _in_page(tag: str, name: str, variables: Mapping[str, str]) -> str:
    # Inside HTML the namespaces are implied; without them the page holds no address at all.
    tag = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", tag)
    # Several figures share a page: their ids must not meet.
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag)
    for color, variable in variables.items():
        tag = tag.replace(color, f"var({variable})")
    return tag
