"""Read the footers of a pool's Parquet files: where each row lies, and a fingerprint of what was found together."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.data.encryption import ENCRYPTED, open_parquet
from distal.data.files import IMPORT_HINT, PoolFile
from distal.data.growth import POOL, FileFacts, Table, arrange
from distal.errors import PoolError

_TAIL_BYTES = 65536
_MAGIC = b"PAR1"
_ENDS = (_MAGIC, ENCRYPTED)


@dataclass(frozen=True, eq=False)
class Source:
    """Say where every row lies. Row id = ordinal over the files; picklable and O(row groups) small.

    files: sorted as they were first found, then those that came later, table by table.
    group_file, group_index: int32 [G], file and ordinal in that file of each row group that holds rows.
    group_start: int64 [G + 1], first row id of each row group, and the number of rows at the end.
    group_row_bytes: int64 [G], mean uncompressed bytes of a row.
    tables: files that were found together, the first ones first. encrypted: whether any file was found encrypted.
    """

    files: tuple[PoolFile, ...]
    group_file: npt.NDArray[np.int32]
    group_index: npt.NDArray[np.int32]
    group_start: npt.NDArray[np.int64]
    group_row_bytes: npt.NDArray[np.int64]
    size_bytes: int
    tables: tuple[Table, ...]
    encrypted: bool = False

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
    encrypted: bool


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
    groups = [_groups(number, footer.metadata) for number, footer in enumerate(footers)]
    group_file, group_index, group_rows, row_bytes = np.concatenate(groups, axis=1)
    if len(group_rows) == 0:
        raise PoolError(f"The pool is empty: {files[0].name} ({len(files)} file(s)) holds no row.\n{IMPORT_HINT}")
    source = Source(
        files=files,
        group_file=group_file.astype(np.int32),
        group_index=group_index.astype(np.int32),
        group_start=np.concatenate([[0], np.cumsum(group_rows)]),
        group_row_bytes=row_bytes,
        size_bytes=sum(footer.facts.size for footer in footers),
        tables=tuple(tables),
        encrypted=any(footer.encrypted for footer in footers),
    )
    return source, [footer.metadata for footer in footers]


def with_second_table(source: Source, file: PoolFile, data: bytes, kind: str) -> Source:
    """Return the source with a table of one file after its first one; the rows of later ones move up.

    data: the file's content, which is hashed whole; it need not be written yet.
    """
    metadata = open_parquet(pa.BufferReader(data), file.name).metadata
    digest = hashlib.sha256(data)
    facts = FileFacts(PurePosixPath(file.path).name, len(data), digest.hexdigest(), -1)
    head, *later = source.tables
    added = replace(_table(head.rows, [_Footer(metadata, facts, digest.digest(), source.encrypted)]), kind=kind)
    before = len(head.files)
    at = int(np.searchsorted(source.group_file, before))
    moved = source.group_file + (source.group_file >= before).astype(np.int32)
    group_file, group_index, group_rows, row_bytes = _groups(before, metadata)
    rows = np.insert(np.diff(source.group_start), at, group_rows)
    return Source(
        files=(*source.files[:before], file, *source.files[before:]),
        group_file=np.insert(moved, at, group_file),
        group_index=np.insert(source.group_index, at, group_index),
        group_start=np.concatenate([[0], np.cumsum(rows)]),
        group_row_bytes=np.insert(source.group_row_bytes, at, row_bytes),
        size_bytes=source.size_bytes + len(data),
        tables=(head, added, *(replace(table, first_row=table.first_row + added.rows) for table in later)),
        encrypted=source.encrypted,
    )


def _groups(number: int, metadata: pq.FileMetaData) -> npt.NDArray[np.int64]:
    """Return file, ordinal in it, rows and bytes a row of each row group that holds rows, int64 [4, G]."""
    groups = [(index, metadata.row_group(index)) for index in range(metadata.num_row_groups)]
    found = [(number, index, g.num_rows, g.total_byte_size // g.num_rows) for index, g in groups if g.num_rows]
    return np.array(found, dtype=np.int64).reshape(-1, 4).T


def _table(first_row: int, footers: Sequence[_Footer]) -> Table:
    hashed = hashlib.sha256()
    for footer in footers:
        hashed.update(f"{footer.facts.base}\0{footer.facts.size}\0".encode() + footer.digest)
    rows = sum(footer.metadata.num_rows for footer in footers)
    return Table(POOL, first_row, rows, hashed.hexdigest(), tuple(footer.facts for footer in footers))


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
            if size < 12 or tail[-4:] not in _ENDS:
                raise PoolError(
                    f"{file.name} is not a Parquet file, or is cut short: it does not end with PAR1.\n{IMPORT_HINT}"
                )
            needed = int.from_bytes(tail[-8:-4], "little") + 8
            if needed > size:
                raise PoolError(f"{file.name} is damaged: its footer claims {needed} of {size} bytes.\nFetch it again.")
            if needed > len(tail):
                tail = bytes(stream.read_at(needed, size - needed))
        metadata = open_parquet(pa.BufferReader(tail[-4:] + tail[-needed:]), file.name).metadata
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:300]
        raise PoolError(f"Cannot read {file.name}: {reason}\nExpected a readable Parquet file.") from error
    digest = hashlib.sha256(tail)
    facts = FileFacts(file.name, size, digest.hexdigest(), -1 if modified_ns is None else modified_ns)
    return _Footer(metadata, facts, digest.digest(), tail[-4:] == ENCRYPTED)
