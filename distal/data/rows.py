"""Read rows of a Parquet source by row id: in sequence for decoding, by row group for single rows."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distal.data.encryption import open_parquet
from distal.data.source import Source
from distal.errors import PoolError

_BATCH_ROWS = 256
_BATCH_BYTES = 32 * 2**20
_READ_ROWS = 4
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


class _Opened:
    """Keep the file of the last row group open: a footer is parsed once a file, not once a row group."""

    def __init__(self, source: Source, column: str) -> None:
        self._source = source
        self._column = column
        self._number = -1
        self._parquet: pq.ParquetFile | None = None

    def batches(self, group: int) -> Iterator[pa.Array]:
        """Yield one row group's column in batches of about 32 MiB at most, whatever the footer says of its size.

        A value that a dictionary holds once may come back in every row, so that only rows as they are read tell how
        large they are: a few are read at a time and joined.
        """
        rows = int(np.clip(_BATCH_BYTES // max(1, int(self._source.group_row_bytes[group])), 1, _READ_ROWS))
        with self._damage(group) as (parquet, index):
            held: list[pa.Array] = []
            held_rows = held_bytes = 0
            for batch in parquet.iter_batches(rows, row_groups=[index], columns=[self._column], use_threads=False):
                held.append(batch.column(0))
                held_rows += len(batch)
                held_bytes += held[-1].nbytes
                if held_rows >= _BATCH_ROWS or held_bytes >= _BATCH_BYTES:
                    yield pa.concat_arrays(held)
                    held, held_rows, held_bytes = [], 0, 0
            if held:
                yield pa.concat_arrays(held)

    def whole(self, group: int) -> pa.ChunkedArray:
        """Return one row group's column at once, for small columns such as labels."""
        with self._damage(group) as (parquet, index):
            return parquet.read_row_group(index, columns=[self._column], use_threads=False).column(0)

    def close(self) -> None:
        if self._parquet is not None:
            self._parquet.close(force=True)
            self._parquet = None

    @contextmanager
    def _damage(self, group: int) -> Iterator[tuple[pq.ParquetFile, int]]:
        """Give the open file of a row group and its ordinal there; say which file an error is about."""
        number, index = int(self._source.group_file[group]), int(self._source.group_index[group])
        file = self._source.files[number]
        try:
            if self._parquet is None or self._number != number:
                self.close()
                # buffer_size makes the reader fetch pages as it goes; without it the whole column chunk is held.
                stream = file.filesystem.open_input_file(file.path)
                self._parquet = open_parquet(stream, file.name, buffer_size=_BUFFER_BYTES, pre_buffer=False)
                self._number = number
            yield self._parquet, index
        except (OSError, pa.ArrowException) as error:
            self.close()
            reason = str(error).splitlines()[0][:300]
            raise PoolError(
                f"Cannot read column '{self._column}' of {file.name}, row group {index}: {reason}\n"
                "The file is damaged, gone or out of reach since it was opened: restore it."
            ) from error


def _column_batches(source: Source, column: str, first_group: int) -> Iterator[tuple[int, pa.Array]]:
    """Yield (first row id, array) over all row groups from the given one on."""
    with closing(_Opened(source, column)) as opened:
        for group in range(first_group, len(source.group_file)):
            row = int(source.group_start[group])
            for batch in opened.batches(group):
                yield row, batch
                row += len(batch)


def read_groups(source: Source, column: str, groups: npt.NDArray[np.int64]) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """Yield (row group, whole column of it) for small columns such as labels."""
    with closing(_Opened(source, column)) as opened:
        for group in groups:
            yield int(group), opened.whole(int(group))


def take_rows(source: Source, column: str, row_ids: npt.NDArray[np.int64]) -> pa.Array:
    """Return the column at these row ids, in the order asked; only the row groups that hold them are read."""
    order = np.argsort(row_ids, kind="stable")
    ascending = row_ids[order]
    pieces = []
    with closing(_Opened(source, column)) as opened:
        for group in np.unique(source.group_of(ascending)):
            first = int(source.group_start[group])
            for batch in opened.batches(int(group)):
                low, high = np.searchsorted(ascending, [first, first + len(batch)])
                if high > low:
                    pieces.append(batch.take(pa.array(ascending[low:high] - first)))
                first += len(batch)
    places = np.empty(len(row_ids), dtype=np.int64)
    places[order] = np.arange(len(row_ids))
    return pa.concat_arrays(pieces).take(pa.array(places))


def find_paths(source: Source, image: str, paths: set[str]) -> dict[str, list[int]]:
    """Return the row ids of the images that have one of these paths, by path, from a struct column with paths."""
    found: dict[str, list[int]] = {}
    wanted = pa.array(sorted(path.encode() for path in paths), pa.binary())  # a pool's paths need not be UTF-8
    for group, column in read_groups(source, f"{image}.path", np.arange(len(source.group_file))):
        raw = pc.struct_field(column, "path").cast(pa.binary())
        for place in np.flatnonzero(pc.is_in(raw, value_set=wanted)).tolist():
            found.setdefault(raw[place].as_py().decode(), []).append(int(source.group_start[group]) + place)
    return found
