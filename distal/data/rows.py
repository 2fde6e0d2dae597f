"""Read rows of a Parquet source by row id: in sequence for decoding, by row group for single rows."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.data.source import Source
from distal.errors import PoolError

_BATCH_ROWS = 256
_BATCH_BYTES = 32 * 2**20
_BUFFER_BYTES = 2**20


class RowReader:
    """Stream one column in row order, in memory of O(batch), however large the row groups are.

    Parquet cannot be entered in the middle of a row group. The reader therefore stays where the last call ended, so
    that a shard that decodes its chunks in order reads every row group once. Not for several threads at a time.
    """

    def __init__(self, source: Source, column: str) -> None:
        self._source = source
        self._column = column
        self._position = -1
        self._batches: Iterator[tuple[int, pa.Array]] = iter(())
        self._rest: tuple[int, pa.Array] | None = None

    def stream(self, start: int, stop: int) -> Iterator[pa.Array]:
        """Yield arrays that together hold exactly the rows `start` to `stop - 1`, in order.

        Raises PoolError where the file is damaged.
        """
        self._seek(start)
        while self._position < stop:
            first, array = self._rest or self._next()
            self._rest = None
            skip = max(0, start - first)
            take = min(len(array), stop - first) - skip
            if take < len(array) - skip:
                self._rest = (first + skip + take, array.slice(skip + take))
            self._position = first + skip + take
            if take > 0:
                yield array.slice(skip, take)

    def _next(self) -> tuple[int, pa.Array]:
        self._position = -1  # should the read fail, the next call begins anew
        return next(self._batches)

    def _seek(self, start: int) -> None:
        """Go on from the present position where that saves work, else begin at the row group that holds `start`."""
        group = int(self._source.group_of(np.array([start]))[0])
        if not int(self._source.group_start[group]) <= self._position <= start:
            self._rest = None
            self._batches = _column_batches(self._source, self._column, group)
            self._position = start


def _column_batches(source: Source, column: str, first_group: int) -> Iterator[tuple[int, pa.Array]]:
    """Yield (first row id, array) over all row groups from the given one on."""
    for number in range(first_group, len(source.group_file)):
        row = int(source.group_start[number])
        for batch in _group_batches(source, column, number):
            yield row, batch
            row += len(batch)


def _group_batches(source: Source, column: str, number: int) -> Iterator[pa.Array]:
    """Yield one row group's column in batches that hold at most about 32 MiB."""
    file = source.files[source.group_file[number]]
    index = int(source.group_index[number])
    rows = int(np.clip(_BATCH_BYTES // max(1, int(source.group_row_bytes[number])), 1, _BATCH_ROWS))
    try:
        with file.filesystem.open_input_file(file.path) as stream:
            # buffer_size makes the reader fetch pages as it goes; without it the whole column chunk is held.
            parquet = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            for batch in parquet.iter_batches(rows, row_groups=[index], columns=[column], use_threads=False):
                yield batch.column(0)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:300]
        raise PoolError(
            f"Cannot read column '{column}' of {file.name}, row group {index}: {reason}\n"
            "The file is damaged, gone or out of reach since it was opened: restore it."
        ) from error


def read_groups(source: Source, column: str, groups: npt.NDArray[np.int64]) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """Yield (row group, whole column of it) for small columns such as labels."""
    for number in groups:
        yield int(number), pa.chunked_array(list(_group_batches(source, column, int(number))))


def take_rows(source: Source, column: str, row_ids: npt.NDArray[np.int64]) -> pa.Array:
    """Return the column at these row ids, in the order asked; only the row groups that hold them are read."""
    order = np.argsort(row_ids, kind="stable")
    ascending = row_ids[order]
    pieces = []
    for number in np.unique(source.group_of(ascending)):
        first = int(source.group_start[number])
        for batch in _group_batches(source, column, int(number)):
            low, high = np.searchsorted(ascending, [first, first + len(batch)])
            if high > low:
                pieces.append(batch.take(pa.array(ascending[low:high] - first)))
            first += len(batch)
    places = np.empty(len(row_ids), dtype=np.int64)
    places[order] = np.arange(len(row_ids))
    return pa.concat_arrays(pieces).take(pa.array(places))
