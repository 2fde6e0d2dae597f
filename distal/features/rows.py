"""Keep what a frozen network makes of each image: computed once per machine, memory-mapped, shared by all runs.

    <pool.cache>/features/<network and pixels>/features.f16    float16 [rows, F] of all rows; a sparse file
    <pool.cache>/features/<network and pixels>/done/00000512   CRC-32 of the piece that begins with row 512

A piece is a few blocks of the pool, whatever the sharding. Its mark comes last, so that one whose writer was killed is
computed again, as is one that is not what its mark says (cut short, a hole, a flipped bit); whoever comes second waits
for the first under the piece's lock and finds it done.
"""

import hashlib
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distal.data.cache import cache_lock, storage_errors
from distal.data.prepared import FEATURES, checksum
from distal.data.table import ImageTable
from distal.errors import EvaluationError
from distal.features.network import FeatureNetwork

Halves = npt.NDArray[np.float16]

PIECE_ROWS = 512
BATCH = 64
_LOCKS = 64
_LARGEST = float(np.finfo(np.float16).max)


class EmbeddedRows:
    """Give the features of a pool's rows; compute those that nobody on this machine has.

    Args:
        images: the pool. network: what looks at them, at its own size, decoded from the originals; at the pool's size
            where it has none of its own. device: where it computes.
    """

    def __init__(self, images: ImageTable, network: FeatureNetwork, device: torch.device | str = "cpu") -> None:
        size, channels = network.size or images.image_size, network.channels or images.channels
        self._own_size = (size, channels) != (images.image_size, images.channels)
        self._images = images.at(size, channels) if self._own_size else images
        self._network = network
        self._device = torch.device(device)
        self._sound: dict[int, bytes] = {}  # marks of the pieces that were found to be what they say
        self.rows = images.rows
        self.piece_rows = max(1, PIECE_ROWS // images.block_rows) * images.block_rows

    @property
    def width(self) -> int:
        """Return F, the number of features of a row."""
        return self._network.width

    def key(self, stop: int) -> str:
        """Name what the features of the rows before `stop` depend on: the network, and the pixels that it sees."""
        pixels = self._images.decoded.key(stop)
        return hashlib.sha256(f"{self._network.hash} {pixels}".encode()).hexdigest()[:32]

    def name(self, piece: int) -> str:
        """Return the path of the piece that begins with this row where features are prepared for all runs."""
        return f"{FEATURES}/{self.key(min(piece + self.piece_rows, self.rows))}/{piece:08d}-{self.piece_rows}.f16"

    def facts(self, tables: int) -> dict[str, Any]:
        """Return what the features of the first tables depend on, for people."""
        own = {"features.network": self._network.name, "its weights and arithmetic": self._network.hash}
        return own | self._images.decoded.facts(tables) | {"rows of a piece (pool.block_rows)": self.piece_rows}

    def embed(self, start: int, stop: int, seconds: float = float("inf")) -> int:
        """Compute what is missing of the rows `start` to `stop - 1`, in order, until `seconds` have passed.

        Returns:
            How many of these rows are kept now.

        Raises:
            StorageError: the disk is full, or cannot be written. PoolError: the images cannot be read.
            EvaluationError: the network gives what is no number.
        """
        until = time.monotonic() + seconds
        done = 0
        for piece in self._pieces(start, stop):
            if not self._is_done(piece):
                if time.monotonic() >= until:
                    continue
                self._compute(piece)
            done += min(piece + self.piece_rows, stop) - max(piece, start)
        return done

    def missing(self, start: int, stop: int) -> int:
        """Return how many of these rows are yet to be computed."""
        return sum(
            min(piece + self.piece_rows, stop) - max(piece, start)
            for piece in self._pieces(start, stop)
            if not self._is_done(piece)
        )

    def between(self, start: int, stop: int) -> Halves:
        """Return the features of the rows `start` to `stop - 1`, float16 [n, F]; compute what is missing.

        A read-only map where they lie in one file.
        """
        if stop <= start:
            return np.empty((0, self.width), dtype=np.float16)
        self.embed(start, stop)
        parts: list[Halves] = []
        first = start
        for piece in self._pieces(start, stop):
            end = min(piece + self.piece_rows, stop)
            following = self._folder(piece + self.piece_rows) if end < stop else None
            if following != self._folder(piece):  # rows that arrived later lie in a file of their own
                parts.append(self._map(piece)[first:end])
                first = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def take(self, row_ids: npt.NDArray[np.int64]) -> Halves:
        """Return the features of rows by row id, int64 [n], as float16 [n, F]; compute what is missing."""
        found = np.empty((len(row_ids), self.width), dtype=np.float16)
        pieces = row_ids // self.piece_rows * self.piece_rows
        for piece in np.unique(pieces).tolist():
            if not self._is_done(piece):
                self._compute(piece)
            here = pieces == piece
            found[here] = self._map(piece)[row_ids[here]]
        return found

    def _pieces(self, start: int, stop: int) -> range:
        return range(start // self.piece_rows * self.piece_rows, stop, self.piece_rows)

    def _folder(self, piece: int) -> Path:
        return self._images.cache_folder / FEATURES / self.key(min(piece + self.piece_rows, self.rows))

    def _mark(self, piece: int) -> Path:
        return self._folder(piece) / "done" / f"{piece:08d}"

    def _is_done(self, piece: int) -> bool:
        """Say whether a piece lies here as it was written; its bytes are read once in a process."""
        try:
            mark = self._mark(piece).read_bytes()
            if self._sound.get(piece) != mark:
                stop = min(piece + self.piece_rows, self.rows)
                if checksum(zlib.crc32(self._map(piece)[piece:stop].data)) != mark:
                    return False
                self._sound[piece] = mark
        except (OSError, ValueError):  # ValueError: an empty file, which cannot be mapped
            return False
        return True

    def _map(self, piece: int) -> Halves:
        path = self._folder(piece) / "features.f16"
        rows = path.stat().st_size // (2 * self.width)
        return np.memmap(path, dtype=np.float16, mode="r", shape=(rows, self.width))

    def _compute(self, piece: int) -> None:
        folder, row_bytes = self._folder(piece), 2 * self.width
        with cache_lock(folder / f"lock-{piece // self.piece_rows % _LOCKS:02d}"):
            if self._is_done(piece):
                return
            with storage_errors(folder, self.rows * row_bytes, "features"):
                (folder / "done").mkdir(exist_ok=True)
                handle = os.open(folder / "features.f16", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    place, crc = piece * row_bytes, 0
                    for data in self._fetched(piece) or self._made(piece):
                        # Written, not through a map: a full disk is then an error and not a signal that kills.
                        place, crc = place + _write_all(handle, data, place), zlib.crc32(data, crc)
                    os.fsync(handle)
                finally:
                    os.close(handle)
                self._mark(piece).write_bytes(checksum(crc))

    def _fetched(self, piece: int) -> tuple[bytes, ...]:
        """Return what was prepared for all runs; nothing where this piece was not, or is too short."""
        prepared, rows = self._images.prepared, min(self.piece_rows, self.rows - piece)
        found = None if prepared is None else prepared.read(self.name(piece))
        return (found,) if found is not None and len(found) == 2 * self.width * rows else ()

    def _made(self, piece: int) -> Iterator[bytes]:
        return (features.tobytes() for features in self._features(piece, min(piece + self.piece_rows, self.rows)))

    def _features(self, start: int, stop: int) -> Iterator[Halves]:
        for pixels in self._pixels(start, stop):
            for first in range(0, len(pixels), BATCH):
                images = torch.from_numpy(np.ascontiguousarray(pixels[first : first + BATCH])).to(self._device)
                features = self._network(images)
                if bool(features.isnan().any()):
                    raise EvaluationError(
                        f"features.network: {self._network.name} gives what is no number (NaN) for images of rows "
                        f"{start} to {stop - 1}.\nMend its weights or arithmetic, or take another feature network."
                    )
                yield halves(features).cpu().numpy()

    def _pixels(self, start: int, stop: int) -> Iterator[npt.NDArray[np.uint8]]:
        if self._own_size:
            return self._images.stream(start, stop)
        rows = self._images.block_rows
        return (np.array(self._images.block(block)) for block in range(start // rows, -(-stop // rows)))


def halves(features: torch.Tensor) -> torch.Tensor:
    """Return features as they are kept, float16; what is beyond its range becomes its end."""
    return features.clamp(-_LARGEST, _LARGEST).half()


def _write_all(handle: int, data: bytes, place: int) -> int:
    written = 0
    while written < len(data):
        written += os.pwrite(handle, data[written:], place + written)
    return written
