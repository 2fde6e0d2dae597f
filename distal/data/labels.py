"""Read the hidden labels: integers or names become class ordinals, missing ones -1."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distal.data.rows import read_groups
from distal.data.schema import Columns
from distal.data.source import Source
from distal.errors import PoolError, nearest_name

MISSING = -1
_MOST_CLASSES = 65536
_LONGEST_NAME = 200


def find_classes(source: Source, columns: Columns, footers: Sequence[pq.FileMetaData]) -> tuple[str, ...] | None:
    """Return the class names: as the schema or the configuration has them, else from the labels found.

    Integers become "0", "1", ... up to the largest, which the footers' statistics tell; names are sorted. None where
    the pool has no labels. Raises PoolError where the column cannot hold class labels, or a name is none.
    """
    classes = _find_classes(source, columns, footers)
    for name in classes or ():
        if not name.strip() or len(name) > _LONGEST_NAME:
            raise PoolError(
                f"A class has a name of {len(name):,} characters: '{name[:60]}'.\n"
                f"Expected 1 to {_LONGEST_NAME}, not blank. Mend the label column (null is no label) or pool.classes."
            )
    return classes


def _find_classes(source: Source, columns: Columns, footers: Sequence[pq.FileMetaData]) -> tuple[str, ...] | None:
    if columns.label is None:
        return columns.classes
    if columns.classes is not None:
        _refuse_many(len(columns.classes), columns.label)
        known = _largest_in_statistics(columns.label, footers) if columns.label_kind == "code" else None
        if known is not None and known >= len(columns.classes):
            count_labels(source, columns, columns.classes)  # refuses, and names the row
        return columns.classes
    if columns.label_kind == "name":
        names: set[str] = set()
        for _, column in _every_group(source, columns.label):
            names.update(_names_in(column, columns.label))
            _refuse_many(len(names), columns.label)
        return tuple(sorted(names)) or None
    largest = _largest_in_statistics(columns.label, footers)
    if largest is None:
        highest = (pc.max(_plain(column)).as_py() for _, column in _every_group(source, columns.label))
        largest = max((value for value in highest if value is not None), default=MISSING)
    _refuse_many(largest + 1, columns.label)
    if largest >= source.rows:
        raise PoolError(
            f"The labels in column '{columns.label}' run up to {largest}, but the pool has only {source.rows} rows.\n"
            "Number the classes from 0 on without gaps, or name all of them in pool.classes."
        )
    return tuple(str(code) for code in range(largest + 1)) or None


def read_labels(
    source: Source, columns: Columns, classes: tuple[str, ...], row_ids: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the class ordinal of each row, int64 [n], -1 where missing; reads the label column alone.

    Raises PoolError for a label outside the classes, naming its row.
    """
    assert columns.label is not None, "asked of a table with labels"
    labels = np.full(len(row_ids), MISSING, dtype=np.int64)
    group_ids = source.group_of(row_ids)
    order = np.argsort(group_ids, kind="stable")
    groups, begins = np.unique(group_ids[order], return_index=True)
    bounds = np.append(begins, len(row_ids))
    for place, (number, column) in enumerate(read_groups(source, columns.label, groups)):
        chosen = order[bounds[place] : bounds[place + 1]]
        first = int(source.group_start[number])
        codes = _codes(column, columns, classes, first)
        labels[chosen] = codes[row_ids[chosen] - first]
    return labels


def any_label(source: Source, columns: Columns, classes: tuple[str, ...]) -> bool:
    """Return whether a row has a label; no more row groups are read than it takes to find one."""
    assert columns.label is not None, "asked of a table with labels"
    groups = _every_group(source, columns.label)
    return any(
        bool((_codes(column, columns, classes, int(source.group_start[number])) != MISSING).any())
        for number, column in groups
    )


def count_labels(source: Source, columns: Columns, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Return how many rows each class has, int64 [K + 1]; the last entry counts rows without a label."""
    assert columns.label is not None, "asked of a table with labels"
    counts = np.zeros(len(classes) + 1, dtype=np.int64)
    for number, column in _every_group(source, columns.label):
        codes = _codes(column, columns, classes, int(source.group_start[number]))
        counts += np.bincount(np.where(codes == MISSING, len(classes), codes), minlength=len(counts))
    return counts


def _every_group(source: Source, column: str) -> Iterator[tuple[int, pa.ChunkedArray]]:
    return read_groups(source, column, np.arange(len(source.group_file)))


def _names_in(column: pa.ChunkedArray, label: str) -> set[str]:
    """Return the distinct names of one row group."""
    try:
        return {name for name in pc.unique(column.cast(pa.string())).to_pylist() if name is not None}
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise PoolError(
            f"Column '{label}' holds names that cannot be read as text: {str(error).splitlines()[0][:150]}\n"
            "Expected UTF-8: write the labels again."
        ) from error


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return integers as they are, or as the dictionary has them; unsigned ones keep their full range."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _codes(column: pa.ChunkedArray, columns: Columns, classes: tuple[str, ...], first: int) -> npt.NDArray[np.int64]:
    """Turn one row group's labels into class ordinals; `first` is the row id of its first row, for messages."""
    if columns.label_kind == "name":
        text = column.cast(pa.string())
        found = pc.index_in(text, value_set=pa.array(classes, pa.string()))
        unknown = pc.and_(pc.is_valid(text), pc.is_null(found))
        if pc.any(unknown).as_py():
            row = int(pc.index(unknown, True).as_py())
            given = text[row].cast(pa.binary()).as_py().decode(errors="replace")
            near = nearest_name(given, classes) or f"Its classes: {', '.join(classes)[:200]}."
            raise PoolError(
                f"Row {first + row} of the pool has the label '{given[:80]}', which is no class. {near}\n"
                "Mend the label column or pool.classes."
            )
        codes = found
    else:
        plain = _plain(column)
        codes = plain.cast(pa.int64(), safe=False)
        if pa.types.is_unsigned_integer(plain.type):  # beyond int64 wraps around, and must not come out as "no label"
            codes = pc.if_else(pc.less(codes, 0), MISSING - 1, codes)
    values: npt.NDArray[np.int64] = pc.fill_null(codes.cast(pa.int64()), MISSING).to_numpy().astype(np.int64)
    outside = np.flatnonzero((values < MISSING) | (values >= len(classes)))
    if len(outside):
        row = int(outside[0])
        raise PoolError(
            f"Row {first + row} of the pool has the label {column[row].as_py()}, outside the {len(classes)} classes.\n"
            f"Expected 0 to {len(classes) - 1}, or -1 or null for none. Mend the label column or pool.classes."
        )
    return values


def _largest_in_statistics(label: str, footers: Sequence[pq.FileMetaData]) -> int | None:
    """Return the largest integer label that the footers know, None where one of them does not know."""
    largest = MISSING
    for footer in footers:
        for index in range(footer.num_row_groups):
            group = footer.row_group(index)
            column = next((c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == label), None)
            statistics = column.statistics if column is not None and column.is_stats_set else None
            if statistics is not None and statistics.has_min_max and isinstance(statistics.max, int):
                largest = max(largest, statistics.max)
            elif statistics is None or statistics.null_count != group.num_rows:
                return None
    return largest


def _refuse_many(count: int, column: str) -> None:
    if count > _MOST_CLASSES:
        raise PoolError(
            f"Column '{column}' names {count} classes or more: these are no class labels.\n"
            "Set pool.label_column to the column of labels, or to null."
        )
