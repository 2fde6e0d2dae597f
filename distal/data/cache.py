"""Decode each image of a pool once per machine, into memory-mapped chunks that all processes share."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import threading
import time
import warnings
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import PIL
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from distal.data.chunks import Skipped, map_chunk, read_skips, write_chunk
from distal.data.decode import DecodeSpec, UndecodableError, decode
from distal.data.prepared import DECODED, PreparedFolder
from distal.data.rows import RowReader
from distal.data.schema import Columns
from distal.data.source import Source
from distal.errors import ConfigError, StorageError

_LOGGER = logging.getLogger(__name__)
_LAYOUT = 1  # raise when the meaning of cached pixels changes
_CHUNK_ROWS = 2048
_LOCKS = 64
_LOOK_S = 0.05
_OPEN_MAPS = 4096  # the kernel allows a process 65,530 maps
_THREADS = 4
_THREADED_BYTES = (
    8192  # below this size of an encoded image, threads wait for each other's Python more than they decode
)


def cache_folder(configured: str | None) -> Path:
    """Return the folder of decoded images on this machine: pool.cache, else distal's part of the user's cache.

    Raises ConfigError for a URI: the images are mapped into memory from a disk of each node.
    """
    if configured is not None:
        scheme, mark, _ = configured.partition("://")
        if mark:
            raise ConfigError(
                f"pool.cache: expected a local folder, found a {scheme}:// URI.\n"
                "Each node decodes the images onto a disk of its own; leave pool.cache out, or name a folder there."
            )
        return Path(configured).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "distal"


@contextmanager
def cache_lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes and threads of this machine; the kernel frees it when its holder dies.

    Raises StorageError where the folder cannot be written.
    """
    with storage_errors(path.parent, 0):
        _make_private(path.parent)
        stream = path.open("ab")
    with stream:
        with storage_errors(path.parent, 0):
            _wait_for(stream)
        yield


def _wait_for(stream: BinaryIO) -> None:
    """Take the lock; looked for again and again, for a shard that spends no CPU at all is taken for hung."""
    while True:
        try:
            return fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_S)


def _make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, for this user alone: a pool's images may be private.

    A folder that exists keeps its mode, so that one can be shared on purpose.
    """
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def storage_errors(folder: Path, needed_bytes: int, what: str = "decoded images") -> Iterator[None]:
    """Turn an OSError of writing the cache into a StorageError that says where, how much, and what to do."""
    try:
        yield
    except OSError as error:
        hint = "Set pool.cache to a local folder with space that you may write to."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(folder).free
            raise StorageError(
                f"The disk of {folder} is full: {needed_bytes / 1e6:,.0f} MB are needed for all {what}, "
                f"{free / 1e6:,.0f} MB are free.\n{hint}"
            ) from error
        raise StorageError(f"Cannot keep {what} in {folder}: {error.strerror or error}\n{hint}") from error


class DecodedCache:
    """Hold the decoded images of one source under one set of decode parameters.

    Chunks of several blocks are decoded when first asked for, under a lock, by whichever process comes first. One that
    was prepared for all runs is fetched instead.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        columns: Columns,
        spec: DecodeSpec,
        block_rows: int,
        prepared: PreparedFolder | None = None,
    ) -> None:
        self._source = source
        self._columns = columns
        self._spec = spec
        self.chunk_rows = max(1, _CHUNK_ROWS // block_rows) * block_rows
        # A chunk lies with the fewest tables that hold its rows: a pool that grows decodes its last chunk again alone.
        self._table_ends = [table.first_row + table.rows for table in source.tables]
        self._folder, self._prepared = folder, prepared
        self._keys = [self._key(number) for number in range(1, len(source.tables) + 1)]
        self._reader = RowReader(source, columns.image)
        self._turn = threading.Lock()
        self._maps: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()

    def _key(self, tables: int) -> str:
        """Name what the pixels of the first tables depend on."""
        facts = self.facts(tables)
        parameters = [_LAYOUT, facts["Pillow"], facts["content"], self._columns.image, asdict(self._spec)]
        parameters += [self.chunk_rows, facts["times of the files"]]
        return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:32]

    def facts(self, tables: int) -> dict[str, Any]:
        """Return what the pixels of the first tables depend on, for people as well."""
        of = self._source.tables[:tables]
        return {
            "content": " ".join(table.fingerprint for table in of),
            # The fingerprint does not see pixels that change in place at the same size; the files' times do.
            "times of the files": [file.modified_ns for table in of for file in table.files],
            "pool.image_column": self._columns.image,
            **{f"pool.{name}": value for name, value in asdict(self._spec).items()},
            "rows of a chunk (pool.block_rows)": self.chunk_rows,
            "Pillow": PIL.__version__,
        }

    @property
    def chunks(self) -> int:
        """Return the number of chunks, decoded or not."""
        return -(-self._source.rows // self.chunk_rows)

    def key(self, stop: int) -> str:
        """Name what the rows before `stop` depend on: their files, the column, how they are decoded."""
        return self._keys[bisect_left(self._table_ends, stop)]

    def name(self, index: int) -> str:
        """Return the path of a chunk's file in the folder of decoded images of this machine, or prepared for all."""
        stop = min((index + 1) * self.chunk_rows, self._source.rows)
        return f"{DECODED}/{self.key(stop)}/chunk-{index:06d}.u8"

    def chunk(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the chunk's images as a read-only map, uint8 [n, C, H, W]; decode them if nobody has."""
        with self._turn:
            mapped = self._maps.get(index)
            if mapped is None:
                with storage_errors(self._path(index).parent, 0):
                    mapped = map_chunk(self._path(index), self._shape(index))
                if mapped is None:
                    mapped = self._decode_once(index)
                self._keep(index, mapped)
            return mapped

    def has(self, index: int) -> bool:
        """Return whether a chunk lies decoded on this machine, and keep its map if it does; decode nothing."""
        with self._turn:
            if index in self._maps:
                return True
            with storage_errors(self._path(index).parent, 0):
                mapped = map_chunk(self._path(index), self._shape(index))
            if mapped is None:
                return False
            self._keep(index, mapped)
            return True

    def skips(self, index: int) -> list[Skipped]:
        """Return the images of a chunk that could not be decoded, by row id; decode the chunk if nobody has."""
        for _ in range(2):
            self.chunk(index)
            found = read_skips(self._path(index), index * self.chunk_rows)
            if found is not None:
                return found
            with self._turn:  # damaged or deleted since it was mapped: decode it anew
                self._maps.pop(index, None)
                self._path(index).unlink(missing_ok=True)
        raise StorageError(
            f"{self._path(index)} vanishes or is damaged again and again.\nSet pool.cache to a sound disk."
        )

    def decoded(self) -> list[int]:
        """Return the chunks that lie decoded on this machine."""
        return [index for index in range(self.chunks) if map_chunk(self._path(index), self._shape(index)) is not None]

    def _keep(self, index: int, mapped: npt.NDArray[np.uint8]) -> None:
        self._maps[index] = mapped
        if len(self._maps) > _OPEN_MAPS:
            self._maps.popitem(last=False)

    def _path(self, index: int) -> Path:
        return self._folder / self.name(index)

    def _shape(self, index: int) -> tuple[int, int, int, int]:
        rows = min(self.chunk_rows, self._source.rows - index * self.chunk_rows)
        return rows, self._spec.channels, self._spec.image_size, self._spec.image_size

    def _decode_once(self, index: int) -> npt.NDArray[np.uint8]:
        """Decode a chunk unless another process does so first; a damaged file is replaced."""
        path, shape = self._path(index), self._shape(index)
        with cache_lock(path.parent / f"lock-{index % _LOCKS:02d}"):
            mapped = map_chunk(path, shape)
            if mapped is not None:
                return mapped
            first = index * self.chunk_rows
            needed = self._source.rows * int(np.prod(shape[1:]))
            with storage_errors(path.parent, needed):
                fetched = self._prepared is not None and self._prepared.fetch(self.name(index), path)
                skipped = 0 if fetched else write_chunk(path, self.stream(first, first + shape[0]), first)
            mapped = map_chunk(path, shape)
        if skipped:
            _LOGGER.warning(
                "rows %d to %d: %d images cannot be decoded and are skipped", first, first + shape[0], skipped
            )
        if mapped is None:
            raise StorageError(f"{path} does not hold what was just written to it.\nSet pool.cache to a sound disk.")
        return mapped

    def stream(self, start: int, stop: int) -> Iterator[tuple[npt.NDArray[np.uint8], list[Skipped]]]:
        """Decode rows from their originals, a batch of the Parquet reader at a time; keep nothing.

        A few threads decode, for Pillow lets go of the GIL."""
        small = float(np.mean(self._source.group_row_bytes)) < _THREADED_BYTES
        cores = 1 if small else min(_THREADS, len(os.sched_getaffinity(0)))
        with warnings.catch_warnings(), ThreadPoolExecutor(cores) as threads:
            # Pillow warns of sizes that pool.max_pixels already decides on.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            row = start
            for array in self._reader.stream(start, stop):
                encoded, paths = split_images(array, self._columns.nested)
                pixels = np.zeros((len(array), *self._shape(0)[1:]), dtype=np.uint8)
                reasons = (map if small else threads.map)(self._decode_into, pixels, encoded)
                skipped = [
                    Skipped(row + place, path, reason)
                    for place, (path, reason) in enumerate(zip(paths, list(reasons), strict=True))
                    if reason is not None
                ]
                row += len(array)
                yield pixels, skipped

    def _decode_into(self, target: npt.NDArray[np.uint8], data: bytes | None) -> str | None:
        try:
            target[...] = decode(data, self._spec)
        except UndecodableError as error:
            return str(error)
        return None


def split_images(array: pa.Array, nested: bool) -> tuple[list[bytes | None], list[str]]:
    """Return the encoded bytes and the paths of an image column's rows; a missing path is empty."""
    if not nested:
        return array.to_pylist(), [""] * len(array)
    encoded = pc.struct_field(array, "bytes").to_pylist()
    if array.type.get_field_index("path") < 0:
        return encoded, [""] * len(array)
    return encoded, [_shown(path) for path in pc.struct_field(array, "path")]


def _shown(path: pa.Scalar) -> str:
    """Return a path as text; it is only shown, so that one that is no UTF-8 costs a few question marks, not the row."""
    try:
        return str(path.as_py() or "")
    except UnicodeDecodeError:
        raw: bytes = path.cast(pa.binary()).as_py()
        return raw.decode(errors="replace")
