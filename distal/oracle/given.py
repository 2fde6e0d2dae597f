"""Read labels that people have already: a table of row ids or paths, and labels, before anything is asked."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from distal.data.encryption import ENCRYPTED, open_parquet
from distal.data.files import PoolFile, find_files
from distal.data.references import References
from distal.errors import ConfigError, PoolError
from distal.oracle.classes import Classes, UnreadableLabelError, shown
from distal.oracle.sheet import SKIP, csv_rows
from distal.run.given import given_labels
from distal.run.ledger import Labels

KEYS = ("row_id", "path")


class Rows(Protocol):
    """What is used of `distal.data.table.ImageTable`."""

    @property
    def first_rows(self) -> int:
        """Return the number of rows of the pool as it is when a run begins."""

    def rows_at(self, paths: set[str]) -> dict[str, list[int]]:
        """Return the rows whose image has one of these paths, by path."""


class GivenRow(NamedTuple):
    """One labeled row as the table has it. where: for messages; row_id, path: empty where it has none."""

    where: str
    row_id: str
    path: str
    label: str


def read_table(path: str) -> list[GivenRow]:
    """Read a CSV or Parquet file, or several, of `row_id` or `path`, and `label`; rows without a label are left out.

    Raises:
        ConfigError: there is no such file, or it is no such table.
    """
    try:
        files = find_files(path)
    except PoolError as error:
        raise ConfigError(
            str(error).replace("pool.path", "query.labels").replace("pool path", "query.labels")
        ) from None
    rows = [row for file in files for row in _rows(file) if row.label]
    if not rows:
        raise _refused(path, "it holds no label")
    return rows


def names_of(rows: Sequence[GivenRow]) -> tuple[str, ...] | None:
    """Return the distinct labels, sorted, where they are names of classes; None where one of them may be a number."""
    names = tuple(sorted({row.label for row in rows} - {SKIP}))
    return None if any(name.replace(".", "", 1).isdecimal() for name in names) else names or None


def match(rows: Sequence[GivenRow], images: Rows, classes: Classes) -> Labels:
    """Return the label of each row of the pool that the table names; rows to `skip` are left out.

    Where the table has both row id and path, they must name the same image. Raises ConfigError for a row or a class
    that is unknown, and for a row with two labels.
    """
    at = images.rows_at({row.path for row in rows if row.path})
    at = {path: [row for row in named if row < images.first_rows] for path, named in at.items()}  # not the references
    found: dict[int, tuple[int, str]] = {}
    problems = []
    for row in rows:
        try:
            label = classes.index(row.label)
            row_id = _row_id(row, at, images.first_rows)
        except UnreadableLabelError as error:
            if row.label.casefold() != SKIP:
                problems.append(f"{row.where}: {error}")
            continue
        before, where = found.setdefault(row_id, (label, row.where))
        if before != label:
            problems.append(f"{row.where}: row {row_id} has another label than in {where}")
    if problems:
        raise _refused("the table", *problems)
    pairs = np.array([(row_id, found[row_id][0]) for row_id in sorted(found)], dtype=np.int64).reshape(-1, 2)
    return given_labels(pairs[:, 0].copy(), pairs[:, 1].copy())


def examples_of(references: References, row_ids: range, classes: Classes) -> Labels:
    """Return the label of each reference, whose rows these are. Raises ConfigError for a class that is unknown."""
    try:
        index = {name: classes.index(name) for name in sorted(set(references.names))}
    except UnreadableLabelError as error:
        raise ConfigError(
            f"query.references: {error}\n"
            f"Expected the classes of the pool: {classes.known()}. Mend the names, or pool.classes."
        ) from None
    labels = [index[name] for name in references.names]
    return given_labels(np.array(row_ids, dtype=np.int64), np.array(labels, dtype=np.int64))


def _row_id(row: GivenRow, at: Mapping[str, list[int]], rows: int) -> int:
    """Return the row that is meant. Raises UnreadableLabelError."""
    named = at.get(row.path, [])
    if row.path and not named:
        raise UnreadableLabelError(f"no image of the pool has the path {shown(row.path)}")
    if not row.row_id:
        if len(named) != 1:
            many = f"{len(named)} images have the path {shown(row.path)}; give row_id" if named else "names no image"
            raise UnreadableLabelError(many)
        return named[0]
    try:
        number = float(row.row_id)
    except ValueError:
        number = math.nan
    if not number.is_integer() or not 0 <= number < rows:
        raise UnreadableLabelError(f"row id {shown(row.row_id)} is none of the pool's; its rows are 0 to {rows - 1}")
    if row.path and int(number) not in named:
        raise UnreadableLabelError(f"the path {shown(row.path)} is that of row {named[0]}, not of row {int(number)}")
    return int(number)


def _rows(file: PoolFile) -> Iterator[GivenRow]:
    try:
        with file.filesystem.open_input_file(file.path) as stream:
            data = stream.read()
        if data[:4] not in (b"PAR1", ENCRYPTED):
            problems: list[str] = []
            for line, cells in csv_rows(data, KEYS, problems):
                yield _row(f"line {line}", cells)
            if problems:
                raise _refused(file.name, *problems)
            return
        table = open_parquet(pa.BufferReader(data), file.name).read(use_threads=False)
    except PoolError as error:
        raise ConfigError(f"query.labels: {error}") from None
    except (OSError, pa.ArrowException) as error:
        raise _refused(file.name, " ".join(str(error).split())[:200]) from error
    names = [name for name in (*KEYS, "label") if table.schema.get_all_field_indices(name)]
    if "label" not in names or len(names) < 2 or any(table.column_names.count(name) > 1 for name in names):
        raise _refused(file.name, f"its columns are {', '.join(table.column_names)[:200]}")
    columns = {name: table.column(name).to_pylist() for name in names}
    for number in range(table.num_rows):
        texts = {name: _text(column[number]) for name, column in columns.items()}
        yield _row(f"row {number} of {file.name}", texts)


def _row(where: str, cells: Mapping[str, str]) -> GivenRow:
    return GivenRow(where, *(cells.get(name, "") for name in (*KEYS, "label")))


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()


def _refused(what: str, problem: str, *more: str) -> ConfigError:
    return ConfigError(
        f"query.labels: {what} cannot be used: {problem}" + (f" (and {len(more)} more)" if more else "") + "\n"
        "Expected a CSV or Parquet file with the columns row_id or path, and label (class names or numbers)."
    )
