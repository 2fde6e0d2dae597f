"""Write a run's report: one HTML file that needs nothing else, neither network nor script."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distal.errors import DistalError, RunError, StorageError
from distal.metrics.registry import is_share, score_title, short_title
from distal.report import page, wording
from distal.report.advice import next_steps
from distal.report.collect import AskedRow, RoundRecord, RunRecord, collect
from distal.report.eyes import eyes_view
from distal.report.grid import data_uri, thumbnail
from distal.report.pool_map import MapView, map_view
from distal.report.private import private_view
from distal.report.proof import ProofView, proof_view
from distal.report.rows import REAL, is_picture, legend
from distal.run.directory import RunDirectory, round_path
from distal.run.given import read_given
from distal.run.map import read_map

log = logging.getLogger(__name__)

FILE = "report.html"

_GRIDS = 12  # sample grids shown at most
_THUMBNAILS = 600  # thumbnails in the whole page, shared evenly among the rounds
_LEAST_A_ROUND, _MOST_A_ROUND = 8, 40
_OPEN_ROUNDS = 10  # rounds beyond which only the last ones are unfolded
_SKIPPED_SHOWN = 50
_CLASSES_SHOWN = 100


class Gallery(Protocol):
    """Give the images of rows, as `distal.data.ImageTable` does."""

    def pixels(self, row_ids: npt.NDArray[np.int64], /) -> npt.NDArray[np.uint8]:
        """Return uint8 [n, C, H, W] for row ids int64 [n], in their order."""


@dataclass(frozen=True)
class Thumbnail:
    """Hold one asked row as shown: its picture (None without images), what it was called, and its score."""

    row: AskedRow
    picture: str | None
    caption: str


@dataclass(frozen=True)
class AskedRound:
    """Hold what one round asked, cut to what a page can show."""

    record: RoundRecord
    thumbnails: list[Thumbnail]
    more: int
    unfolded: bool


def write_report(run: RunDirectory, images: Gallery | None, classes: Sequence[str], at_work: bool = False) -> str:
    """Write `report.html` into the run directory and return its URI.

    images: where the thumbnails of asked rows are read; None, or a pool that cannot be read, leaves them out.
    classes: class names in label order.
    at_work: the run's driver writes this between two rounds.

    The run may be in any state: unstarted, amid a round, ended. Raises RunError where the directory holds no run or a
    damaged file, StorageError where the report cannot be written.
    """
    record = collect(run)
    run.write(FILE, render(run, record, images, classes, at_work).encode("utf-8"))
    uri = f"{run.uri.rstrip('/')}/{FILE}"
    log.info("wrote the report of %d rounds to %s", len(record.rounds), uri)
    return uri


def render(
    run: RunDirectory, record: RunRecord, images: Gallery | None, classes: Sequence[str], at_work: bool = False
) -> str:
    """Return the page. Every name, path and note in it is escaped: they are other people's data."""
    asked, missing = _asked(record, images, classes)
    drawn = page.spread([r for r in record.rounds if r.has_samples], _GRIDS)
    last = record.trained[-1][1] if record.trained else None
    time = page.time_view(record)
    rows = page.class_rows(record, classes)
    eyes = eyes_view(record)
    pool_map, map_missing = _map(run, record, classes)
    proof, proof_missing = _proof(run)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            record=record,
            lead=page.lead(record),
            status=page.status(record),
            steps=next_steps(record, at_work),
            tiles=page.tiles(record),
            private=private_view(record),
            curves=[(caption, Markup(svg)) for caption, svg in page.curves(record)],
            real=_picture(run, REAL) if record.has_real else None,
            grids=[(r, _picture(run, round_path(r.round, "samples.png"))) for r in drawn],
            legend=legend(classes),
            grids_left_out=sum(r.has_samples for r in record.rounds) - len(drawn),
            asked=asked,
            images_missing=missing,
            class_rows=rows[:_CLASSES_SHOWN],
            classes_left_out=max(0, len(rows) - _CLASSES_SHOWN),
            most_labels=max((row.labels for row in rows), default=0),
            last=last,
            eyes=eyes,
            eyes_figure=Markup(eyes.figure) if eyes else None,
            map=pool_map,
            map_missing=map_missing,
            proof=proof,
            proof_missing=proof_missing,
            time=time,
            time_figure=Markup(time.figure) if time else None,
            warnings=page.warnings(record),
            skipped=record.skipped[:_SKIPPED_SHOWN],
        )
    )


def _asked(record: RunRecord, images: Gallery | None, classes: Sequence[str]) -> tuple[list[AskedRound], str | None]:
    """Return what each round asked, and why thumbnails are missing where they are."""
    rounds = [r for r in record.rounds if r.asked]
    most = min(_MOST_A_ROUND, max(_LEAST_A_ROUND, _THUMBNAILS // max(1, len(rounds))))
    shown = {r.round: r.asked[:most] for r in rounds}
    missing = None if images is not None else "The pool's images were not at hand when this page was written."
    pictures: dict[int, str] = {}
    ids = np.array(sorted({row.row_id for rows in shown.values() for row in rows}), dtype=np.int64)
    if images is not None and len(ids):
        try:
            pictures = {i: thumbnail(p) for i, p in zip(ids.tolist(), images.pixels(ids), strict=True)}
        except DistalError as error:
            # The labels and scores are worth a report even where the pool has moved away.
            log.warning("the report shows no thumbnails: %s", error)
            missing = f"The pool's images could not be read: {error}"
    found = []
    for r in rounds:
        thumbnails = [Thumbnail(row, pictures.get(row.row_id), _caption(row, classes)) for row in shown[r.round]]
        unfolded = len(rounds) <= _OPEN_ROUNDS or r.round > rounds[-1].round - 3
        found.append(AskedRound(r, thumbnails, len(r.asked) - len(thumbnails), unfolded))
    return found, missing


def _map(run: RunDirectory, record: RunRecord, classes: Sequence[str]) -> tuple[MapView | None, str]:
    """Return the map of the pool, and why it is missing where its file, or that of the given labels, is damaged."""
    try:
        drawn = read_map(run)
        if drawn is None:
            return None, ""
        resolved = record.config.get("resolved")
        given = read_given(run, resolved.get("given") if isinstance(resolved, dict) else None)
    except StorageError as error:
        log.warning("the report shows no map of the pool: %s", error)
        return None, str(error)
    return map_view(drawn, record, given, classes), ""


def _proof(run: RunDirectory) -> tuple[ProofView | None, str]:
    """Return the last proof, and why it is missing where its file is damaged."""
    try:
        return proof_view(run), ""
    except RunError as error:
        log.warning("the report shows no proof: %s", error)
        return None, str(error)


def _caption(row: AskedRow, classes: Sequence[str]) -> str:
    return page.class_name(row.label, classes) if row.label is not None else row.state


def _picture(run: RunDirectory, path: str) -> str:
    """Return a PNG of the run as a data: URI; empty where it is damaged."""
    png = run.read(path)
    return data_uri(png) if is_picture(png) else ""


@cache
def environment(package: str = "distal.report") -> Environment:
    """Return what renders the templates of a package, which may include this one's; all that they show is escaped."""
    rendering = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("distal.report", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "number": wording.number,
        "percent": wording.percent,
        "duration": wording.duration,
        "count": wording.count,
        "score_title": score_title,
        "short_title": short_title,
    }
    rendering.filters.update(filters)
    rendering.tests["share"] = is_share
    return rendering
