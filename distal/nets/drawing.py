"""Draw images as one module of plain tensors: what leaves distal when a generator is exported."""

import copy

import torch
from torch import Tensor, nn

from distal.nets.generator import Generator
from distal.nets.scorer import to_bytes_image


class Drawing(nn.Module):
    """Map latents float32 [n, z] and labels int64 [n] in 0 .. K-1 to images uint8 [n, C, H, W].

    shown: how much of the classes the generator was shown, 0 to 1.
    """

    def __init__(self, generator: Generator, shown: float = 1.0) -> None:
        super().__init__()
        self.generator, self.shown = generator, shown

    def paint(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images as floats in [-1, 1]."""
        classes = torch.arange(self.generator.classes, device=labels.device)
        images: Tensor = self.generator(latents, self.shown * (labels[:, None] == classes).float())
        return images

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images, row by row."""
        return to_bytes_image(self.paint(latents, labels))


def drawing_of(averaged: Generator, shown: float = 1.0) -> Drawing:
    """Return a drawing of a copy of a generator, in float32 on the CPU, without what it does not draw by."""
    generator = copy.deepcopy(averaged)
    generator.encoder = None
    return Drawing(generator.to("cpu", memory_format=torch.contiguous_format).eval(), shown)  # type: ignore[call-overload]
