"""Draw what a step learns of the answers to images that the run drew itself.

They are never among a batch's real images: a generator that is shown its own images as real ones learns of itself, and
loses variety with each round (Alemohammad et al. 2023; Shumailov et al. 2023). A name that a person gave teaches the
classifier, a refusal the discriminator.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal import streams
from distal.nets.scorer import to_unit

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SynthesizedBatch:
    """Hold one rank's part of a step's drawn images that people have answered.

    images: float32 [t, C, H, W] in [-1, 1]. labels: int64 [t], -1 where they are nothing of the classes. partners:
    int64 [t], the rank's own row of the batch that each stands beside. augment: float32 [t, draws], uniforms.
    """

    images: Tensor
    labels: Tensor
    partners: Tensor
    augment: Tensor


@dataclass(frozen=True)
class Synthesized:
    """Hold images that the run drew itself and people have answered: uint8 [m, C, H, W], m at least 1, and int64 [m].

    A label of -1 says that an image is nothing of the classes.
    """

    pixels: npt.NDArray[np.uint8]
    labels: Ids

    def draw(
        self, seed: int, step: int, n: int, draws: int, total: int, positions: Ids, device: torch.device
    ) -> SynthesizedBatch:
        """Draw n of them for a step, with repeats, and return what one rank takes.

        draws: uniforms of an augmentation. total, positions: rows of the step's global batch, and those of this rank,
        int64 ascending. Number i stands beside row i total / n of the global batch and is taken by the rank that has
        that row: so ranks add up to one.
        """
        source = streams.stream(seed, "synthesized", step)
        chosen = source.integers(0, len(self.labels), n)
        uniforms = source.random((n, draws), dtype=np.float32)
        beside = np.arange(n, dtype=np.int64) * total // n
        mine = np.isin(beside, positions)
        return SynthesizedBatch(
            images=to_unit(torch.from_numpy(self.pixels[chosen[mine]]).to(device)),
            labels=torch.from_numpy(self.labels[chosen[mine]]).to(device),
            partners=torch.from_numpy(np.searchsorted(positions, beside[mine])).to(device),
            augment=torch.from_numpy(uniforms[mine]).to(device),
        )
