"""Make a stretch of a pool's chunks, and their features, for all runs; in one process, without Ray.

What is made lies on this machine for as long as a stretch takes, in a folder of its own, and then where all runs find
it. A file that is there is not made again, so whoever was killed goes on; two who make the same write the same bytes.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from distal.data.cache import storage_errors
from distal.data.prepared import DECODED, FEATURES, PreparedFolder
from distal.data.table import ImageTable
from distal.features.network import FeatureNetwork
from distal.features.rows import EmbeddedRows
from distal.nets.threads import one_thread
from distal.pool.prepared import every_chunk, piece_paths, pixel_path, present
from distal.run.locks import flocked_folder

STRETCH_CHUNKS = 16
"""Chunks that are made one after another: a row group of the pool is then entered once, or nearly."""

STRETCH_BYTES = 2**30
"""Pixels of a stretch: what it takes of a node's disk while it is made."""

_SCRATCH = "preparing-"
_YOUNG_S = 60.0  # a folder that was made just now may not be held yet


@dataclass(frozen=True)
class Stretch:
    """Name the chunks [first, last)."""

    first: int
    last: int


@dataclass(frozen=True)
class Made:
    """Report a stretch: its rows, how many files were written, and how many of the images in them cannot be decoded."""

    rows: int
    files: int
    skipped: int


class Preparing:
    """Make what is missing of a pool in a prepared folder.

    Args:
        images: the pool. network: what looks at them; None for pixels alone. target: where it goes. device: where the
            network computes. verify: read what is there, and make what is damaged anew.
    """

    def __init__(
        self,
        images: ImageTable,
        network: FeatureNetwork | None,
        target: PreparedFolder,
        device: torch.device,
        verify: bool = False,
    ) -> None:
        self._images, self._network, self._target = images, network, target
        self._device, self._verify = device, verify

    @property
    def hash(self) -> str:
        """Return the network's; empty where there is none."""
        return "" if self._network is None else self._network.hash

    def begin(self) -> None:
        """Say in the folder what its files will depend on, before there are any."""
        images, tables = self._images, len(self._images.source.tables)
        described = self._target.described(DECODED)
        if images.decoded.key(images.rows) not in described:
            self._target.describe(DECODED, images.decoded.key(images.rows), images.decoded.facts(tables))
        features = self._rows(images)
        if features is not None and features.key(images.rows) not in self._target.described(FEATURES):
            self._target.describe(FEATURES, features.key(images.rows), features.facts(tables))

    def missing(self) -> list[Stretch]:
        """Return the stretches in which something is missing; all of them where what is there is to be read."""
        images, rows = self._images, self._rows(self._images)
        wanted = [(pixel_path(images, chunk), *piece_paths(images, rows, chunk)) for chunk in every_chunk(images)]
        there = present(self._target, [path for paths in wanted for path in paths])
        lacking = [chunk for chunk, paths in enumerate(wanted) if self._verify or not there.issuperset(paths)]
        chunk_bytes = images.decoded.chunk_rows * images.channels * images.image_size**2
        most = max(1, min(STRETCH_CHUNKS, STRETCH_BYTES // chunk_bytes))
        return list(_stretches(lacking, most))

    def make(self, stretch: Stretch) -> Made:
        """Decode and embed a stretch, and put it where all runs find it.

        Raises:
            StorageError: a disk is full, or cannot be written. PoolError: the images cannot be read.
        """
        with _scratch(self._images.cache_folder) as scratch, one_thread():
            images = self._here(scratch)
            files, skipped, rows = 0, 0, self._rows(images)
            for chunk in range(stretch.first, stretch.last):
                pixels = pixel_path(images, chunk)
                for path in piece_paths(images, rows, chunk):
                    if rows is not None and not self._is_there(path):
                        piece = int(Path(path).stem.partition("-")[0])
                        features = rows.between(piece, min(piece + rows.piece_rows, rows.rows))
                        self._target.keep(path, features.tobytes())
                        files += 1
                if not self._is_there(pixels):
                    skipped += len(images.decoded.skips(chunk))
                    self._target.keep(pixels, Path(scratch, pixels).read_bytes())
                    files += 1
        size = images.decoded.chunk_rows
        return Made(min(stretch.last * size, images.rows) - stretch.first * size, files, skipped)

    def _here(self, scratch: str) -> ImageTable:
        """Return the same pool with a cache of its own: nothing stays of it, and no run's files are touched."""
        images = self._images
        source, columns, blocks = images.local_source(), images.columns, images.block_rows
        return ImageTable(source, columns, images.spec, images.classes, blocks, scratch, embedded=False)

    def _rows(self, images: ImageTable) -> EmbeddedRows | None:
        return None if self._network is None else EmbeddedRows(images, self._network, self._device)

    def _is_there(self, path: str) -> bool:
        return self._target.sound(path) if self._verify else self._target.has(path)


@contextmanager
def _scratch(folder: Path) -> Iterator[str]:
    """Hold a folder for as long as a stretch takes, and clear those of processes that were killed."""
    with storage_errors(folder, STRETCH_BYTES, "what is being prepared"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.glob(f"{_SCRATCH}*"):
            with flocked_folder(left) as dead:
                if dead and time.time() - left.stat().st_mtime > _YOUNG_S:
                    shutil.rmtree(left, ignore_errors=True)
        made = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder)
    with made as scratch, flocked_folder(Path(scratch)):
        yield scratch


def _stretches(chunks: Sequence[int], most: int) -> Iterator[Stretch]:
    """Divide ascending chunks into runs of neighbours, each of so many at most."""
    first = last = -1
    for chunk in chunks:
        if chunk != last or last - first >= most:
            if last > first:
                yield Stretch(first, last)
            first = chunk
        last = chunk + 1
    if last > first:
        yield Stretch(first, last)
