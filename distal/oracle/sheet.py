"""Read the CSV that people fill in, whatever their spreadsheet has made of it.

Taken: UTF-8 with or without BOM, UTF-16, Windows-1252; comma, semicolon or tab; class names in any case, or indices;
an empty cell is "not yet", ``skip`` declines the row. What cannot be taken is reported by line, the rest is taken.
"""

import csv
import io
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from distal.oracle.classes import Classes, UnreadableLabelError, shown

SHEET = "labels.csv"
COLUMNS = ("row_id", "file", "path", "label")
SKIP = "skip"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How .xlsx and .ods files begin, and old .xls files."""


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


def blank_sheet(paths: Mapping[int, str]) -> bytes:
    """Return the CSV to fill in. paths: where each image comes from, by row id, in the order of asking."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([row_id, f"{row_id}.png", _harmless(path), ""] for row_id, path in paths.items())
    return text.getvalue().encode()


def read_sheet(data: bytes, row_ids: Container[int], classes: Classes) -> Sheet:
    """Read a filled CSV. row_ids: the rows that were asked for."""
    sheet = Sheet()
    clashes: set[int] = set()
    for line, row in csv_rows(data, ("row_id",), sheet.problems):
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


def csv_rows(data: bytes, keys: Sequence[str], problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells by column, in lower case, of every line below the header that is not blank.

    keys: columns that name an image; the header must have one of them, and `label`. problems: takes a line about each
    thing that keeps the file, or the rest of it, from being read.
    """
    if data.startswith(_WORKBOOKS):
        problems.append("line 1: this is an Excel workbook or the like, not CSV; save it as CSV under this name")
        return
    lines = _records(_decode(data), problems)
    header = next(lines, None)
    while header is not None and header[1][0].lower().startswith("sep="):  # Excel's own hint
        header = next(lines, None)
    names = [name.strip().casefold() for name in header[1]] if header else []
    line = header[0] if header else 1
    if "label" not in names or not any(key in names for key in keys):
        expected = ",".join(COLUMNS) if keys == ("row_id",) else f"{' or '.join(keys)}, and label"
        problems.append(f"line {line}: no header; expected {expected}")
        return
    for name in ("label", *keys):
        if names.count(name) > 1:
            problems.append(f"line {line}: {names.count(name)} columns are called {name}, so nothing is read")
            return
    for number, cells in lines:
        yield number, dict(zip(names, (cell.strip() for cell in cells), strict=False))


def _entry(line: int, row: dict[str, str], row_ids: Container[int], classes: Classes) -> Entry | None:
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


def _records(text: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every record that is not blank."""
    head = next((line for line in text.splitlines() if "label" in line.lower()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}; what follows is not read")


def _harmless(path: str) -> str:
    """Return a path in one line that no spreadsheet takes for a formula."""
    line = " ".join(path.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
