"""Ask people: a folder of PNGs to look at and a CSV to fill in, whenever they like, a part at a time."""

import logging
from collections.abc import Iterator

from distal.data.digits import encode_png
from distal.errors import OracleError
from distal.oracle.classes import Classes
from distal.oracle.decided import decided, opinions_of
from distal.oracle.files_page import page_of
from distal.oracle.originals import original_images
from distal.oracle.protocol import Images, RowIds
from distal.oracle.sheet import SHEET, SKIP, Sheet, blank_sheet, read_sheet
from distal.run.directory import RunDirectory, round_path
from distal.run.ledger import Answer, Ledger, Query

log = logging.getLogger(__name__)

FOLDER = "to-label"
PAGE = "index.html"
_SHOWN = 10


class FilesOracle:
    """Write what is asked into the run directory, and read what people have filled in.

    problems: what the last reading could not take of the CSV, or of an earlier round's, a line each.
    """

    def __init__(self, run: RunDirectory, images: Images, classes: Classes, max_pixels: int) -> None:
        self._run = run
        self._images = images
        self._classes = classes
        self._max_pixels = max_pixels
        self._ledger = Ledger(run, len(classes.names))
        self.problems: list[str] = []

    def submit(self, query: Query) -> None:
        """Write images, a page of them, README.txt and labels.csv; what is there, and may be edited, is left alone."""
        there = set(self._run.list(round_path(query.round, FOLDER)))
        listed = {SHEET, PAGE} <= there  # else the paths of all images are needed
        missing = query.row_ids[[not (listed and f"{row_id}.png" in there) for row_id in query.row_ids]]
        paths: dict[int, str] = {}
        for row_id, pixels, path in original_images(self._images, missing, self._max_pixels):
            paths[row_id] = path
            self._run.write(round_path(query.round, FOLDER, f"{row_id}.png"), encode_png(pixels))
        if "README.txt" not in there:
            self._run.write(round_path(query.round, FOLDER, "README.txt"), self._readme().encode())
        if PAGE not in there:
            page = page_of(self._run, query.round, paths, self._classes.names, self._ledger)
            self._run.write(round_path(query.round, FOLDER, PAGE), page.encode())
        if SHEET not in there:  # last: who sees it finds everything that it speaks of
            self._run.write(_sheet_path(query.round), blank_sheet(paths))
            log.info("round %d: %d images to label in %s", query.round, len(query.row_ids), self._place(query.round))

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield one list: what is filled in of the pending rows. Its time is the CSV's last change.

        What cannot be taken is said in warnings, a line each.
        """
        sheet = self._read(query)
        for problem in self.problems[:_SHOWN]:
            log.warning("not taken: %s", problem)
        if len(self.problems) > _SHOWN:
            log.warning("not taken: %d more lines", len(self.problems) - _SHOWN)
        when = self._run.modified(_sheet_path(query.round)) if sheet.entries else 0.0
        found = [sheet.entries[row_id] for row_id in pending.tolist() if row_id in sheet.entries]
        rest = [row_id for row_id in pending.tolist() if row_id not in sheet.entries]
        if on_the_page := decided(opinions_of(self._run), self._classes, rest):
            yield on_the_page
        if found:
            yield [
                Answer(entry.row_id, entry.label, entry.annotator or "files", when, self._classes.cost(entry.label))
                for entry in found
            ]

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say which file to fill in, and what to run then.

        Raises:
            OracleError: the CSV holds what cannot be taken; what could be is kept.
        """
        self._read(query)
        labels = f"waiting for {len(pending)} label" + ("" if len(pending) == 1 else "s")
        go_on = f"then run: distal resume {self._run.uri}"
        if not self.problems:
            return f"{labels}: fill in {self._place(query.round)}, {go_on}"
        first, *more = self.problems
        raise OracleError(
            f"not taken: {first}" + (f" (and {len(more)} more)" if more else "") + "\n"
            f"the other lines are kept; {labels}: fill in {self._place(query.round)}, {go_on}"
        )

    def _read(self, query: Query) -> Sheet:
        """Read a round's CSV, and note what cannot be taken of it and of the rounds before, whose answers stay."""
        self.problems = []
        for round in range(1, query.round + 1):
            sheet = Sheet()
            asked = query if round == query.round else self._ledger.read_query(round)
            if asked is None or not self._run.has(_sheet_path(round)):
                continue
            sheet = read_sheet(self._run.read(_sheet_path(round)), set(asked.row_ids.tolist()), self._classes)
            problems = sheet.problems if round == query.round else []
            for answer in self._ledger.answers(round):
                entry = sheet.entries.get(answer.row_id)
                if entry is not None and entry.label != answer.label:
                    stays = "declined" if answer.label is None else repr(self._classes.names[answer.label])
                    problems.append(
                        f"line {entry.line}: row {answer.row_id} was answered before; its first answer stays: {stays}"
                    )
            self.problems += [f"round {round}, {problem}" for problem in problems]
        return sheet

    def _place(self, round: int) -> str:
        return self._run.place(_sheet_path(round))

    def _readme(self) -> str:
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


def _sheet_path(round: int) -> str:
    return round_path(round, FOLDER, SHEET)
