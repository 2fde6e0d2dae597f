"""Read the CSV that people fill in, whatever their spreadsheet has made of it.

Taken: UTF-8 with or without BOM, UTF-16, Windows-1252; comma, semicolon or tab; class names in any case, or indices;
an empty cell is "not yet", ``skip`` declines the row. What cannot be taken is reported by line, the rest is taken.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from distal.oracle.classes import Classes, UnreadableLabelError, shown

COLUMNS = ("row_id", "file", "label")
SKIP = "skip"


@dataclass(frozen=True)
class Entry:
    """One filled row. label: None where it is declined; annotator: empty where the column is missing."""

    line: int
    row_id: int
    label: int | None
    annotator: str


@dataclass
class Sheet:
    """What a CSV holds: one entry a row, and one line about each thing that was not taken."""

    entries: dict[int, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def blank_sheet(row_ids: list[int]) -> bytes:
    """Return the CSV to fill in."""
    lines = [",".join(COLUMNS), *(f"{row_id},{row_id}.png," for row_id in row_ids)]
    return ("\r\n".join(lines) + "\r\n").encode()


def read_sheet(data: bytes, row_ids: set[int], classes: Classes) -> Sheet:
    """Read a filled CSV. row_ids: the rows that were asked for."""
    sheet = Sheet()
    lines = _records(_decode(data), sheet)
    header = next(lines, None)
    while header is not None and header[1][0].lower().startswith("sep="):  # Excel's own hint
        header = next(lines, None)
    names = [name.strip().casefold() for name in header[1]] if header else []
    if "row_id" not in names or "label" not in names:
        sheet.problems.append(f"line {header[0] if header else 1}: no header; expected {','.join(COLUMNS)}")
        return sheet
    clashes: set[int] = set()
    for line, cells in lines:
        row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
        try:
            entry = _entry(line, row, row_ids, classes)
        except UnreadableLabelError as error:
            sheet.problems.append(f"line {line}: {error}")
            continue
        if entry is None:
            continue
        before = sheet.entries.setdefault(entry.row_id, entry)
        if before.label != entry.label:
            clashes.add(entry.row_id)
            both = f"on line {before.line} and here"
            sheet.problems.append(f"line {line}: row {entry.row_id} has two different labels, {both}; neither is taken")
    for row_id in clashes:
        del sheet.entries[row_id]
    return sheet


def _entry(line: int, row: dict[str, str], row_ids: set[int], classes: Classes) -> Entry | None:
    """Return a row's entry, None if it is not filled in. Raises UnreadableLabelError."""
    label = row.get("label", "")
    if not label:
        return None
    given = row.get("row_id", "")  # missing where the line is short and the label comes first
    try:
        number = float(given)
    except ValueError:
        raise UnreadableLabelError(f"row id {shown(given)} is no number") from None
    if not number.is_integer() or int(number) not in row_ids:
        raise UnreadableLabelError(f"row {shown(given)[1:-1]} is not asked for in this round")
    try:
        index = classes.index(label)
    except UnreadableLabelError:
        if label.casefold() != SKIP:
            raise
        return Entry(line, int(number), None, row.get("annotator", ""))
    return Entry(line, int(number), index, row.get("annotator", ""))


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _records(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every record that is not blank."""
    head = next((line for line in text.splitlines() if "row_id" in line.lower()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        sheet.problems.append(f"line {reader.line_num}: {error}; what follows is not read")
