"""Put features on the disk as a pool's cache has them, without images: for benchmarks of what comes after them."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distal.features import FeatureNetwork
from distal.features.rows import PIECE_ROWS
from distal.pool.shard import Shard, divide_blocks

BLOCK_ROWS = 256


@dataclass(frozen=True)
class CachedPool:
    """Stand for an `ImageTable` of which nobody asks for pixels."""

    rows: int
    cache_folder: Path
    block_rows: int = BLOCK_ROWS
    image_size: int = 8
    channels: int = 3
    prepared: None = None

    @property
    def blocks(self) -> int:
        return -(-self.rows // self.block_rows)

    @property
    def decoded(self) -> "CachedPool":
        return self

    def key(self, stop: int) -> str:
        return "synthetic"

    def held_out(self, row_ids: np.ndarray, fraction: float) -> np.ndarray:
        return np.zeros(len(row_ids), dtype=bool)


@dataclass(frozen=True)
class Unasked:
    """Name a network of this width that is never asked, because all its features are there."""

    width: int

    def __call__(self, device: torch.device) -> FeatureNetwork:
        def refuse(images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a feature is missing")

        return FeatureNetwork("synthetic", str(self.width), self.width, None, None, refuse)


class FeaturesFile:
    """Write a pool's features piece by piece, with the marks that say so."""

    def __init__(self, pool: CachedPool, width: int) -> None:
        name = hashlib.sha256(f"{width} {pool.key(0)}".encode()).hexdigest()[:32]
        self.folder = pool.cache_folder / "features" / name
        (self.folder / "done").mkdir(parents=True, exist_ok=True)
        self.path, self.row = self.folder / "features.f16", 0
        self.path.unlink(missing_ok=True)

    def append(self, features: np.ndarray) -> None:
        """Write float16 [n, width]; n is a multiple of the rows of a piece, but at the end."""
        with self.path.open("ab") as file:
            for start in range(0, len(features), PIECE_ROWS):
                data = features[start : start + PIECE_ROWS].tobytes()
                file.write(data)
                (self.folder / "done" / f"{self.row + start:08d}").write_text(f"{zlib.crc32(data):08x}\n")
        self.row += len(features)


def open_shards(pool: CachedPool, width: int, count: int) -> list[Shard]:
    """Open so many shards, whole blocks each."""
    network: Any = Unasked(width)
    images: Any = pool
    return [Shard(images, a, b, 0.0, 0, network) for a, b in divide_blocks(pool.blocks, count)]
