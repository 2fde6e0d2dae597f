"""Read the footers of a pool's Parquet files: where each row lies, and a fingerprint of what was found together."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.data.files import IMPORT_HINT, PoolFile
from distal.data.growth import FileFacts, Table, arrange
from distal.errors import PoolError

_TAIL_BYTES = 65536
_MAGIC = b"PAR1"


@dataclass(frozen=True, eq=False)
class Source:
    """Say where every row lies. Row id = ordinal over the files; picklable and O(row groups) small.

    files: sorted as they were first found, then those that came later, table by table.
    group_file, group_index: int32 [G], file and ordinal in that file of each row group that holds rows.
    group_start: int64 [G + 1], first row id of each row group, and the number of rows at the end.
    group_row_bytes: int64 [G], mean uncompressed bytes of a row.
    tables: files that were found together, the first ones first.
    """

    files: tuple[PoolFile, ...]
    group_file: npt.NDArray[np.int32]
    group_index: npt.NDArray[np.int32]
    group_start: npt.NDArray[np.int64]
    group_row_bytes: npt.NDArray[np.int64]
    size_bytes: int
    tables: tuple[Table, ...]

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) over names, sizes and tails of the first table's files: later ones do not change it.

        Folders and times do not enter it, so that a copy has the same one; neither does a change in place before the
        tail that keeps the size.
        """
        return self.tables[0].fingerprint

    @property
    def rows(self) -> int:
        """Return the number of rows of all files."""
        return int(self.group_start[-1])

    def group_of(self, row_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the row group (ordinal over the whole pool) of each row id."""
        return np.searchsorted(self.group_start, row_ids, side="right") - 1


@dataclass(frozen=True)
class _Footer:
    metadata: pq.FileMetaData
    facts: FileFacts
    digest: bytes


def open_source(files: tuple[PoolFile, ...], known: Sequence[Table] = ()) -> tuple[Source, list[pq.FileMetaData]]:
    """Read every footer, eight at a time. Return the source, and the footers for checks of the schema.

    known: tables that are numbered already; files beyond them make one more.

    Raises PoolError for a file that is unreadable, not Parquet or cut short, for one of a known table that is missing
    or has changed, and for a pool without rows.
    """
    with ThreadPoolExecutor(max_workers=8) as threads:
        footers = list(threads.map(_read_footer, files))
    parts = arrange([footer.facts for footer in footers], known)
    files = tuple(files[position] for part in parts for position in part)
    tables: list[Table] = []
    for part in parts:
        first = tables[-1].first_row + tables[-1].rows if tables else 0
        tables.append(_table(first, [footers[position] for position in part]))
    footers = [footers[position] for part in parts for position in part]
    group_file, group_index, group_rows, row_bytes = [], [], [], []
    for number, footer in enumerate(footers):
        for index in range(footer.metadata.num_row_groups):
            group = footer.metadata.row_group(index)
            if group.num_rows == 0:
                continue
            group_file.append(number)
            group_index.append(index)
            group_rows.append(group.num_rows)
            row_bytes.append(group.total_byte_size // group.num_rows)
    if not group_rows:
        raise PoolError(f"The pool is empty: {files[0].name} ({len(files)} file(s)) holds no row.\n{IMPORT_HINT}")
    source = Source(
        files=files,
        group_file=np.array(group_file, dtype=np.int32),
        group_index=np.array(group_index, dtype=np.int32),
        group_start=np.concatenate([[0], np.cumsum(group_rows)]).astype(np.int64),
        group_row_bytes=np.array(row_bytes, dtype=np.int64),
        size_bytes=sum(footer.facts.size for footer in footers),
        tables=tuple(tables),
    )
    return source, [footer.metadata for footer in footers]


def _table(first_row: int, footers: Sequence[_Footer]) -> Table:
    hashed = hashlib.sha256()
    for footer in footers:
        hashed.update(f"{footer.facts.base}\0{footer.facts.size}\0".encode() + footer.digest)
    rows = sum(footer.metadata.num_rows for footer in footers)
    return Table("pool", first_row, rows, hashed.hexdigest(), tuple(footer.facts for footer in footers))


def _read_footer(file: PoolFile) -> _Footer:
    """Read the file's tail, which holds the footer and, as a rule, the label column's last pages.

    The tail goes into the fingerprint whole, so that a label mended in place there is seen although no
    size changed. What lies before the tail is not read.
    """
    try:
        # Asked before the bytes are read: a file that is written meanwhile counts as the older one.
        modified_ns = file.filesystem.get_file_info(file.path).mtime_ns
        with file.filesystem.open_input_file(file.path) as stream:
            size = stream.size()
            tail = bytes(stream.read_at(min(size, _TAIL_BYTES), max(0, size - _TAIL_BYTES)))
            if size < 12 or tail[-4:] != _MAGIC:
                raise PoolError(
                    f"{file.name} is not a Parquet file, or is cut short: it does not end with PAR1.\n{IMPORT_HINT}"
                )
            needed = int.from_bytes(tail[-8:-4], "little") + 8
            if needed > size:
                raise PoolError(f"{file.name} is damaged: its footer claims {needed} of {size} bytes.\nFetch it again.")
            if needed > len(tail):
                tail = bytes(stream.read_at(needed, size - needed))
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + tail[-needed:]))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:300]
        raise PoolError(f"Cannot read {file.name}: {reason}\nExpected a readable Parquet file.") from error
    digest = hashlib.sha256(tail)
    facts = FileFacts(file.name, size, digest.hexdigest(), -1 if modified_ns is None else modified_ns)
    return _Footer(metadata, facts, digest.digest())
