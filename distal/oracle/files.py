"""Ask people: a folder of PNGs to look at and a CSV to fill in, whenever they like, a part at a time."""

import io
import logging
from collections.abc import Iterator

from PIL import Image

from distal.ledger import Answer, Ledger, Query
from distal.oracle.classes import Classes
from distal.oracle.originals import original_images
from distal.oracle.protocol import Images, RowIds
from distal.oracle.sheet import SKIP, Sheet, blank_sheet, read_sheet
from distal.rundir import RunDirectory, round_path

log = logging.getLogger(__name__)

FOLDER = "to-label"
SHEET = "labels.csv"
_SHOWN = 10


class FilesOracle:
    """Write what is asked into the run directory, and read what people have filled in.

    problems: what the last reading of the CSV could not take, a line each; `waiting` shows it.
    """

    def __init__(self, run: RunDirectory, images: Images, classes: Classes, max_pixels: int) -> None:
        self._run = run
        self._images = images
        self._classes = classes
        self._max_pixels = max_pixels
        self.problems: list[str] = []

    def submit(self, query: Query) -> None:
        """Write images, a page of them, README.txt and labels.csv; what is there, and may be edited, is left alone."""
        there = set(self._run.list(round_path(query.round, FOLDER)))
        missing = query.row_ids[[f"{row_id}.png" not in there for row_id in query.row_ids]]
        for row_id, pixels, _ in original_images(self._images, missing, self._max_pixels):
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, format="PNG")
            self._run.write(round_path(query.round, FOLDER, f"{row_id}.png"), png.getvalue())
        for name, text in (("README.txt", self._readme(query)), ("index.html", _page(query))):
            if name not in there:
                self._run.write(round_path(query.round, FOLDER, name), text.encode())
        if SHEET not in there:  # last: who sees it finds everything that it speaks of
            self._run.write(_sheet_path(query), blank_sheet(query.row_ids.tolist()))
            log.info("round %d: %d images to label in %s", query.round, len(query.row_ids), self._place(query))

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield one list: what is filled in of the pending rows. Its time is the CSV's last change."""
        sheet = self._read(query)
        when = self._run.modified(_sheet_path(query)) if sheet.entries else 0.0
        found = [sheet.entries[row_id] for row_id in pending.tolist() if row_id in sheet.entries]
        if found:
            yield [
                Answer(entry.row_id, entry.label, entry.annotator or "files", when, self._classes.cost(entry.label))
                for entry in found
            ]

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say which file to fill in, what to run then, and what the CSV holds that cannot be taken."""
        self._read(query)
        labels = f"{len(pending)} label" + ("" if len(pending) == 1 else "s")
        lines = [f"waiting for {labels}: fill in {self._place(query)}, then run: distal resume {self._run.uri}"]
        lines += [f"  not taken: {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  and {len(self.problems) - _SHOWN} more lines")
        return "\n".join(lines)

    def _read(self, query: Query) -> Sheet:
        """Read the CSV and note its problems, edits of recorded answers among them."""
        path = _sheet_path(query)
        if not self._run.has(path):
            self.problems = []
            return Sheet()
        sheet = read_sheet(self._run.read(path), set(query.row_ids.tolist()), self._classes)
        for answer in Ledger(self._run, len(self._classes.names)).answers(query.round):
            entry = sheet.entries.get(answer.row_id)
            if entry is not None and entry.label != answer.label:
                stays = "declined" if answer.label is None else repr(self._classes.names[answer.label])
                sheet.problems.append(
                    f"line {entry.line}: row {answer.row_id} was answered before; its first answer stays: {stays}"
                )
        self.problems = sheet.problems
        return sheet

    def _place(self, query: Query) -> str:
        return self._run.place(_sheet_path(query))

    def _readme(self, query: Query) -> str:
        names = self._classes.names
        skip = (
            "" if SKIP in (name.casefold() for name in names) else f"Write {SKIP} for an image that is none of these.\n"
        )
        return (
            f"Fill in the column `label` of {SHEET}: a class name, or its number in this list. Save it as CSV.\n"
            f"An empty cell is asked for again; a label that was collected stays.\n{skip}"
            f"Then run: distal resume {self._run.uri}\n\nClasses:\n"
            + "".join(f"{index}  {name}\n" for index, name in enumerate(names))
        )


def _page(query: Query) -> str:
    """Return a page that shows all images at a size that can be seen; its content is row ids alone."""
    figures = "\n".join(
        f'<figure><img src="{row_id}.png" alt=""><figcaption>{row_id}</figcaption></figure>' for row_id in query.row_ids
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Round {query.round}: {len(query.row_ids)} images to label</title>\n<style>\n"
        "body { font: 14px sans-serif; display: flex; flex-wrap: wrap; gap: 12px; }\n"
        "figure { margin: 0; text-align: center; }\n"
        "img { height: 160px; image-rendering: pixelated; border: 1px solid #ccc; }\n"
        f"</style>\n{figures}\n</html>\n"
    )


def _sheet_path(query: Query) -> str:
    return round_path(query.round, FOLDER, SHEET)
