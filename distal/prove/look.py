"""See images as the gate's classifier does: frozen features, at the network's own size where there are originals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal import streams
from distal.data.table import ImageTable
from distal.errors import RunError
from distal.features import FeatureNetwork
from distal.features.projection import Projection, sampled_rows
from distal.features.rows import BATCH, EmbeddedRows
from distal.train.augment import AUGMENTATIONS, augment, draws

Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

CLASSICAL = ("translation", "brightness")
"""What augments the labels; a flip too where the run itself trains with flips, for a mirrored digit is none."""


@dataclass(frozen=True)
class Look:
    """Give what the classifier sees of images, float32 [n, d].

    pool: whose rows' features are kept. network: on the device. projection: of the run.
    """

    pool: ImageTable
    network: FeatureNetwork
    projection: Projection
    device: torch.device

    @classmethod
    def at(
        cls, pool: ImageTable, network: FeatureNetwork, device: torch.device, kept: bytes | None, parts: int, seed: int
    ) -> "Look":
        """Look through the projection that the run kept, or through one to `parts` components made as it would be."""
        if kept is not None:
            try:
                return cls(pool, network, Projection.from_bytes(kept, network), device)
            except RunError as error:
                raise RunError(f"the run's projection.safetensors {error}") from None
        sample = EmbeddedRows(pool, network, device).take(
            sampled_rows(np.arange(pool.first_rows, dtype=np.int64), seed)
        )
        return cls(pool, network, Projection.fit(sample, parts), device)

    def rows(self, images: ImageTable, row_ids: Ints) -> Tensor:
        """Look at rows of a table, from their originals."""
        found = EmbeddedRows(images, self.network, self.device).take(row_ids)
        return self.projection(torch.from_numpy(found))

    def pixels(self, images: Pixels) -> Tensor:
        """Look at images [n, C, S, S] as they are."""
        return self._embedded(torch.from_numpy(images[i : i + BATCH]) for i in range(0, len(images), BATCH))

    def augmented(self, row_ids: Ints, flips: bool, seed: int) -> Tensor:
        """Look at variants of rows of the pool; a row that is there twice has two."""
        size, channels = self.network.size or self.pool.image_size, self.network.channels or self.pool.channels
        originals = self.pool.at(size, channels)
        chosen = [AUGMENTATIONS.find(name) for name in (*CLASSICAL, *(["flip"] if flips else []))]
        stream = streams.stream(seed, "prove", "augmented")

        def batches() -> Iterator[Tensor]:
            for start in range(0, len(row_ids), BATCH):
                pixels = torch.from_numpy(originals.decode_each(row_ids[start : start + BATCH])).float()
                uniforms = torch.from_numpy(stream.random((len(pixels), draws(chosen)), dtype=np.float32))
                varied = augment(pixels / 127.5 - 1, uniforms, chosen)
                yield ((varied.clamp(-1, 1) + 1) * 127.5).round().byte()

        return self._embedded(batches())

    def _embedded(self, batches: Iterator[Tensor]) -> Tensor:
        limit = float(torch.finfo(torch.float16).max)
        found = [self.network(b.to(self.device)).clamp(-limit, limit).half().cpu() for b in batches]
        return self.projection(torch.cat([torch.empty(0, self.network.width, dtype=torch.float16), *found]))
