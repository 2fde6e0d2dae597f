"""Draw the map of the pool: where the labels lie, and what is asked, among images that stand for the rest.

Marks differ by colour and by shape, from the palette of `distal.report.figures`. Drawn by hand: the figure has no axes,
and a dot costs a dozen characters.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from distal.report.collect import RunRecord
from distal.report.page import class_name
from distal.run.ledger import Labels
from distal.run.map import PoolMap

WIDTH, MARGIN = 720, 14
COLORS = 6
SHAPES = (
    "M-5.2 0a5.2 5.2 0 1 0 10.4 0a5.2 5.2 0 1 0-10.4 0z",
    "M-4.7-4.7h9.4v9.4h-9.4z",
    "M0-6.2L5.8 4.4H-5.8z",
    "M0-6.6L6.6 0L0 6.6L-6.6 0z",
    "M0 6.2L5.8-4.4H-5.8z",
    "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
)
"""Circle, square, triangle, diamond, triangle on its head, cross: as the markers of `distal.report.figures`."""
CROSS = "M-4-4L4 4M4-4L-4 4"
MOST_MARKS = 2000


@dataclass(frozen=True)
class Entry:
    """Hold a line of the key: a symbol, a name and how many rows have it."""

    symbol: Markup
    name: str
    rows: int


@dataclass(frozen=True)
class MapView:
    """Hold the figure and what is said of it. open_round: whose query has rings; 0 without one."""

    figure: Markup
    key: tuple[Entry, ...]
    sample: int
    open_round: int
    left_out: int


def map_view(drawn: PoolMap, record: RunRecord, given: Labels, classes: Sequence[str]) -> MapView:
    """Draw every row that was labeled, newest last, with the last query's rows in rings, on the sample of the pool."""
    scale = WIDTH / 2 - MARGIN
    top = max((abs(y) for _, y in drawn.places.tolist()), default=0.0) * scale + MARGIN
    places = {
        row: (round(WIDTH / 2 + x * scale, 1), round(top - y * scale, 1))  # a tenth of a pixel is seen by nobody
        for row, (x, y) in zip(drawn.row_ids.tolist(), drawn.places.tolist(), strict=True)
    }
    rows: dict[int, int | None] = dict(zip(given.row_ids.tolist(), given.labels.tolist(), strict=True))
    asked = [row for r in record.rounds for row in r.asked]
    rows |= {row.row_id: row.label for row in asked if row.state != "waiting"}
    shown = {row: label for row, label in rows.items() if row in places}
    kept = dict(list(shown.items())[-MOST_MARKS:])
    last = next((r for r in reversed(record.rounds) if r.asked), None)
    ringed = [] if last is None else [row.row_id for row in last.asked if row.row_id in places]
    dots = [places[row] for row in drawn.row_ids[drawn.sample].tolist() if row not in kept]
    figure = [
        f'<svg viewBox="0 0 {WIDTH} {2 * top:.0f}" role="img" aria-label="Map of the pool">',
        f'<path class="pool" d="{"".join(f"M{x} {y}h0" for x, y in dots)}"/>',
        *(_mark(label, places[row], row, classes) for row, label in kept.items()),
        *(f'<circle class="ring" cx="{x}" cy="{y}" r="9.5"/>' for x, y in map(places.__getitem__, ringed)),
        "</svg>",
    ]
    key = _key(kept, classes)
    return MapView(
        Markup("".join(figure)), key, int(drawn.sample.sum()), last.round if last else 0, len(shown) - len(kept)
    )


def _key(kept: dict[int, int | None], classes: Sequence[str]) -> tuple[Entry, ...]:
    counts = Counter(kept.values())
    entries = [
        Entry(_symbol(label), class_name(label, classes), counts[label])
        for label in sorted(label for label in counts if label is not None)
    ]
    return (*entries, *([Entry(_symbol(None), "declined", counts[None])] if counts[None] else []))


def _symbol(label: int | None) -> Markup:
    return Markup(f'<svg viewBox="-8 -8 16 16" aria-hidden="true">{_path(label)}/></svg>')


def _mark(label: int | None, place: tuple[float, float], row: int, classes: Sequence[str]) -> str:
    name = "declined" if label is None else class_name(label, classes)
    title = Markup("<title>row {}: {}</title>").format(row, name)
    return f'{_path(label)} transform="translate({place[0]} {place[1]})">{title}</path>'


def _path(label: int | None) -> str:
    """Begin a symbol: 36 classes differ, by shape and colour, then by colour alone."""
    if label is None:
        return f'<path class="declined" d="{CROSS}"'
    shape = SHAPES[(label + label // COLORS) % len(SHAPES)]
    return f'<path class="mark c{label % COLORS + 1}" d="{shape}"'
