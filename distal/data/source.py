"""Read the footers of a pool's Parquet files: where each row lies, and a fingerprint of the whole."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.data.files import IMPORT_HINT, PoolFile
from distal.errors import PoolError

_TAIL_BYTES = 65536
_MAGIC = b"PAR1"


@dataclass(frozen=True, eq=False)
class Source:
    """Say where every row lies. Row id = ordinal over the sorted files; picklable and O(row groups) small.

    group_file, group_index: int32 [G], file and ordinal in that file of each row group that holds rows.
    group_start: int64 [G + 1], first row id of each row group, and the number of rows at the end.
    group_row_bytes: int64 [G], mean uncompressed bytes of a row.
    fingerprint: sha256 (hex) over names, sizes and tails of the files in order; folders and times do not enter it, so
    that a copy has the same one. A change in place before the tail that keeps the size does not change it.
    modified_ns: when each file was last written, in ns since 1970, as the file system says; -1 where it does not.
    """

    files: tuple[PoolFile, ...]
    group_file: npt.NDArray[np.int32]
    group_index: npt.NDArray[np.int32]
    group_start: npt.NDArray[np.int64]
    group_row_bytes: npt.NDArray[np.int64]
    fingerprint: str
    size_bytes: int
    modified_ns: tuple[int, ...]

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
    size: int
    digest: bytes
    modified_ns: int


def open_source(files: tuple[PoolFile, ...]) -> tuple[Source, list[pq.FileMetaData]]:
    """Read every footer, eight at a time. Return the source, and the footers for checks of the schema.

    Raises PoolError for a file that is unreadable, not Parquet or cut short, and for a pool without rows.
    """
    with ThreadPoolExecutor(max_workers=8) as threads:
        footers = list(threads.map(_read_footer, files))
    hashed = hashlib.sha256()
    group_file, group_index, group_rows, row_bytes = [], [], [], []
    for number, (file, footer) in enumerate(zip(files, footers, strict=True)):
        hashed.update(f"{PurePosixPath(file.path).name}\0{footer.size}\0".encode() + footer.digest)
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
        fingerprint=hashed.hexdigest(),
        size_bytes=sum(footer.size for footer in footers),
        modified_ns=tuple(footer.modified_ns for footer in footers),
    )
    return source, [footer.metadata for footer in footers]


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
    return _Footer(metadata, size, hashlib.sha256(tail).digest(), -1 if modified_ns is None else modified_ns)
