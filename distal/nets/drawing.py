"""Draw images as one module of plain tensors: what leaves distal when a generator is exported."""

import copy

import torch
from torch import Tensor, nn

from distal.nets.codes import CodeMixture, placed
from distal.nets.generator import Generator
from distal.nets.scorer import to_bytes_image


class Drawing(nn.Module):
    """Map latents float32 [n, z] and labels int64 [n] in 0 .. K-1 to images uint8 [n, C, H, W].

    shown: how much of the classes the generator was shown, 0 to 1. codes: where the latents of a class lie; None: all
    over the normal distribution.
    """

    def __init__(self, generator: Generator, shown: float = 1.0, codes: CodeMixture | None = None) -> None:
        super().__init__()
        self.generator, self.shown, self.codes = generator, shown, codes

    def paint(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images as floats in [-1, 1]."""
        classes = torch.arange(self.generator.classes, device=labels.device)
        y = self.shown * (labels[:, None] == classes).float()
        images: Tensor = self.generator(placed(self.codes, latents, y), y)
        return images

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images, row by row."""
        return to_bytes_image(self.paint(latents, labels))


def drawing_of(averaged: Generator, shown: float = 1.0, codes: CodeMixture | None = None) -> Drawing:
    """Return a drawing of a copy of a generator, in float32 on the CPU, without what it does not draw by."""
    generator = copy.deepcopy(averaged)
    generator.encoder = None
    generator = generator.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Drawing(generator, shown, copy.deepcopy(codes).cpu() if codes is not None else None).eval()
