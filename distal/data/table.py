"""Open a pool of images: rows by id, decoded once, with labels kept apart from everything that must not see them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.config import PoolConfig
from distal.data.cache import DecodedCache, cache_folder, split_images
from distal.data.chunks import Skipped
from distal.data.decode import DecodeSpec, UndecodableError, decode
from distal.data.digits import DIGITS, as_digits, digits_file
from distal.data.encryption import warn_of_copies
from distal.data.files import PoolFile, find_files
from distal.data.growth import POOL, REFERENCES, Table, references_of
from distal.data.labels import MISSING, any_label, count_labels, find_classes, read_labels
from distal.data.prepared import PreparedFolder
from distal.data.rows import find_paths, take_rows
from distal.data.schema import Columns, read_columns
from distal.data.shape import decide_shape, first_images
from distal.data.source import Source, open_source, with_second_table
from distal.data.split import held_out
from distal.errors import PoolError

RowIds = npt.NDArray[np.int64]


def open_images(pool: PoolConfig, known: Sequence[Table] = ()) -> "ImageTable":
    """Open the images that `pool` names. Footers, schemas and the first few images are read, nothing else.

    known: tables whose rows a run has numbered already; files that are in none of them come after those. References
        among them are added by `with_references`.

    Where nothing names the classes of string labels (or the footers keep no statistics of integer ones), the label
    column is read too. Raises PoolError for whatever makes the pool unusable, StorageError where the embedded digits
    cannot be written to the cache.
    """
    embedded = pool.path == DIGITS
    files = find_files(str(digits_file(cache_folder(pool.cache))) if embedded else pool.path)
    source, footers = open_source(files, () if embedded else [table for table in known if table.kind == POOL])
    if embedded:
        source = replace(source, tables=(as_digits(source.tables[0]),))
    columns = read_columns(source, footers, pool)
    classes = find_classes(source, columns, footers)
    image_size, channels = decide_shape(source, columns, pool)
    spec = DecodeSpec(image_size, channels, pool.fit, pool.normalize, pool.max_pixels)
    if source.encrypted:
        warn_of_copies(str(cache_folder(pool.cache)))
    return ImageTable(source, columns, spec, classes, pool.block_rows, pool.cache, embedded, pool.prepared)


class ImageTable:
    """Give the images of a pool by row id, the ordinal over its files: sorted as first found, later ones after them.

    Pixels come from memory-mapped chunks that are decoded once per machine. The table pickles to a few kilobytes
    (paths and parameters), and opens its files and maps anew wherever it arrives. prepared: what was made for all runs.
    """

    def __init__(
        self,
        source: Source,
        columns: Columns,
        spec: DecodeSpec,
        classes: tuple[str, ...] | None,
        block_rows: int,
        cache: str | None,
        embedded: bool,
        prepared: str | None = None,
    ) -> None:
        self._source = source
        self._columns = columns
        self._spec = spec
        self._cache_path = cache
        self._embedded = embedded
        self._decoded: DecodedCache | None = None
        self.prepared = None if prepared is None else PreparedFolder(prepared)
        self.classes = classes
        self.block_rows = block_rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoded": None}

    @property
    def rows(self) -> int:
        """Return the number of rows of all files, skipped images included."""
        return self._source.rows

    @property
    def blocks(self) -> int:
        """Return the number of blocks of `block_rows` rows, the last one possibly shorter."""
        return -(-self.rows // self.block_rows)

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) over names, sizes and tails of the files as first found, in order."""
        return self._source.fingerprint

    @property
    def first_rows(self) -> int:
        """Return the number of rows of the files as first found: what must not change when more arrive."""
        return self._source.tables[0].rows

    @property
    def references(self) -> range:
        """Return the rows that are no rows of the pool, but examples that the run began with."""
        table = references_of(self._source.tables)
        return range(0) if table is None else range(table.first_row, table.first_row + table.rows)

    @property
    def image_size(self) -> int:
        """Return the side of the decoded images in pixels."""
        return self._spec.image_size

    @property
    def channels(self) -> int:
        """Return 1 for grey, 3 for colour."""
        return self._spec.channels

    @property
    def has_labels(self) -> bool:
        """Return whether there is a label column; single labels may be missing from it."""
        return self._columns.label is not None

    @property
    def source(self) -> Source:
        """Return where the rows lie."""
        return self._source

    def at(self, image_size: int, channels: int) -> "ImageTable":
        """Return the same rows at another size, to be decoded from their originals."""
        other = copy(self)
        other._spec = replace(self._spec, image_size=image_size, channels=channels)
        return other

    def stream(self, start: int, stop: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield uint8 [m, C, H, W] that together are the rows `start` to `stop - 1`, decoded from their originals.

        Keeps nothing; what cannot be decoded is zero.
        """
        return (pixels for pixels, _ in self._cache().stream(start, stop))

    @property
    def decoded(self) -> DecodedCache:
        """Return what decodes the images, and keeps them on this machine."""
        return self._cache()

    @property
    def cache_folder(self) -> Path:
        """Return the folder of this machine that keeps what was made of the pool's images."""
        return cache_folder(self._cache_path)

    @property
    def columns(self) -> Columns:
        """Return which columns are read, and what they hold."""
        return self._columns

    @property
    def spec(self) -> DecodeSpec:
        """Return what decides the decoded pixels."""
        return self._spec

    def with_references(self, file: PoolFile, data: bytes) -> "ImageTable":
        """Return the table with the rows of one more file, whose content is `data`, after those first found."""
        more = copy(self)
        more._source = with_second_table(self._source, file, data, REFERENCES)
        return more

    def held_out(self, row_ids: RowIds, fraction: float) -> npt.NDArray[np.bool_]:
        """Return which rows are kept for evaluation, int64 [n] to bool [n]: by their hash, and never a reference."""
        examples = self.references
        return held_out(row_ids, fraction) & ((row_ids < examples.start) | (row_ids >= examples.stop))

    def block(self, block: int) -> npt.NDArray[np.uint8]:
        """Return a read-only view of one block, uint8 [n, C, H, W], n = block_rows except in the last.

        Decodes the block's chunk if no process of this machine has. Raises PoolError, StorageError.
        """
        if not 0 <= block < self.blocks:
            raise PoolError(
                f"Block {block} is outside the pool: it has {self.blocks} blocks of {self.block_rows} rows."
            )
        chunk, row = divmod(block * self.block_rows, self._cache().chunk_rows)
        return self._cache().chunk(chunk)[row : row + self.block_rows]

    def skipped(self, first_block: int, last_block: int) -> list[Skipped]:
        """Return the images of blocks `first_block` to `last_block - 1` that cannot be decoded, by row id.

        Decodes these blocks if no process of this machine has. Their pixels are zero everywhere else.
        """
        start, stop = first_block * self.block_rows, min(last_block * self.block_rows, self.rows)
        size = self._cache().chunk_rows
        found = [each for chunk in range(start // size, -(-stop // size)) for each in self._cache().skips(chunk)]
        return [each for each in found if start <= each.row_id < stop]

    def skipped_so_far(self) -> tuple[int, list[Skipped]]:
        """Return how many rows lie decoded on this machine, and which of them were skipped; decodes nothing."""
        size = self._cache().chunk_rows
        chunks = self._cache().decoded()
        rows = sum(min(size, self.rows - chunk * size) for chunk in chunks)
        return rows, [each for chunk in chunks for each in self._cache().skips(chunk)]

    def pixels(self, row_ids: RowIds) -> npt.NDArray[np.uint8]:
        """Gather images by row id, int64 [n] in any order, repeats allowed: uint8 [n, C, H, W], a copy."""
        self._check(row_ids)
        gathered = np.empty((len(row_ids), self.channels, self.image_size, self.image_size), dtype=np.uint8)
        chunk_of, place = np.divmod(row_ids, self._cache().chunk_rows)
        for chunk in np.unique(chunk_of):
            chosen = np.flatnonzero(chunk_of == chunk)
            gathered[chosen] = self._cache().chunk(int(chunk))[place[chosen]]
        return gathered

    def request(self, row_ids: RowIds) -> Callable[[], npt.NDArray[np.uint8]]:
        """Return what reads these rows of this machine: nothing is under way (`distal.data.protocol.Rows`)."""
        return partial(self.pixels, row_ids)

    def decoded_here(self, row_ids: RowIds) -> npt.NDArray[np.bool_]:
        """Return which rows lie decoded on this machine, int64 [n] to bool [n]; decodes nothing."""
        self._check(row_ids)
        chunks, which = np.unique(row_ids // self._cache().chunk_rows, return_inverse=True)
        return np.array([self._cache().has(chunk) for chunk in chunks.tolist()], dtype=np.bool_)[which]

    def decode_each(self, row_ids: RowIds) -> npt.NDArray[np.uint8]:
        """Return the `pixels` of a few rows, decoded from their originals one by one; keeps nothing."""
        shape = (self.channels, self.image_size, self.image_size)
        gathered = np.zeros((len(row_ids), *shape), dtype=np.uint8)
        for place, (data, _) in enumerate(self.originals(row_ids)):
            with suppress(UndecodableError):
                gathered[place] = decode(data, self._spec)
        return gathered

    def originals(self, row_ids: RowIds) -> list[tuple[bytes, str]]:
        """Return the encoded bytes and the path of each row as the pool has them; empty where missing."""
        self._check(row_ids)
        if len(row_ids) == 0:
            return []
        array = take_rows(self.local_source(), self._columns.image, row_ids)
        encoded, paths = split_images(array, self._columns.nested)
        return [(data or b"", path) for data, path in zip(encoded, paths, strict=True)]

    def rows_at(self, paths: set[str]) -> dict[str, list[int]]:
        """Return the rows whose image has one of these paths, ascending, by path; reads the paths of all rows."""
        return find_paths(self.local_source(), self._columns.image, paths) if self._columns.paths and paths else {}

    def labels(self, row_ids: RowIds) -> npt.NDArray[np.int64]:
        """Return the hidden labels, int64 [n], -1 where missing. For the dataset oracle and the evaluation alone.

        Raises PoolError for a label outside the classes.
        """
        self._check(row_ids)
        if not self.has_labels or self.classes is None or len(row_ids) == 0:
            return np.full(len(row_ids), MISSING, dtype=np.int64)
        return read_labels(self.local_source(), self._columns, self.classes, row_ids)

    def any_label(self) -> bool:
        """Return whether a row has a label. Raises PoolError for a label outside the classes, if it meets one."""
        known = self.has_labels and self.classes is not None
        return known and any_label(self.local_source(), self._columns, self.classes or ())

    def class_counts(self) -> dict[str, int]:
        """Return how many rows each class has by the hidden labels, in label order; empty without labels."""
        if not self.has_labels or self.classes is None:
            return {}
        counts = count_labels(self.local_source(), self._columns, self.classes)
        return dict(zip(self.classes, counts[:-1].tolist(), strict=True))

    def first_images(self) -> list[tuple[bytes | None, str]]:
        """Return the encoded bytes and paths of the first few rows, for a look at what the pool holds."""
        return first_images(self.local_source(), self._columns)

    def _cache(self) -> DecodedCache:
        if self._decoded is None:
            folder, source = cache_folder(self._cache_path), self.local_source()
            self._decoded = DecodedCache(folder, source, self._columns, self._spec, self.block_rows, self.prepared)
        return self._decoded

    def local_source(self) -> Source:
        """Return the source as this machine has it: the embedded digits lie in each machine's own cache."""
        if self._embedded and not Path(self._source.files[0].path).exists():
            path = str(digits_file(cache_folder(self._cache_path)))
            file = PoolFile(path, path, self._source.files[0].filesystem)
            self._source = replace(self._source, files=(file, *self._source.files[1:]))
        return self._source

    def _check(self, row_ids: RowIds) -> None:
        outside = (row_ids < 0) | (row_ids >= self.rows)
        if outside.any():
            raise PoolError(f"Row {int(row_ids[outside][0])} is outside the pool: its rows are 0 to {self.rows - 1}.")
