"""Say which latents an image has: the encoder of a conditional variational autoencoder whose decoder is the generator.

It reads what the discriminator sees of the image (the maps of a frozen network, or the image itself), each map averaged
to at most 8 x 8 places, and the image at 16 x 16. Two dense layers are enough for what a frozen network has understood.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
UNITS = 256
PLACES = 8
"""Side to which larger maps are averaged: where a defect lies matters, which pixel it fills does not."""
THUMBNAIL = 16
START = -2.0
"""Logarithm of the first variances: a generator that hears little but noise does not begin to listen."""
BOUNDS = (-10.0, 2.0)
"""Of that logarithm, so that no exponential overflows."""


class Encoder(nn.Module):
    """Map what D sees of images, the images and their classes to normal distributions of latents.

    seen: shapes (C, H, W) of what D sees of one image.
    """

    def __init__(self, seen: Sequence[Sequence[int]], channels: int, classes: int, latent_dim: int) -> None:
        super().__init__()
        inputs = sum(c * min(h, PLACES) * min(w, PLACES) for c, h, w in seen) + channels * THUMBNAIL**2
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, affine=False) for c, _, _ in seen)
        self.first = nn.Linear(inputs, UNITS)
        self.last = nn.Linear(UNITS + classes, 2 * latent_dim)

    def forward(self, seen: Sequence[Tensor], images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of variances, float32 [n, latent_dim] each.

        seen: float [n, C, H, W] each. images: float [n, C, S, S] in [-1, 1]. y: float [n, K].
        """
        parts = [norm(_averaged(m, PLACES)).flatten(1) for norm, m in zip(self.norms, seen, strict=True)]
        thumbnails = F.adaptive_avg_pool2d(images.float(), THUMBNAIL).flatten(1)
        h = F.leaky_relu(self.first(torch.cat([*parts, 2 * thumbnails], 1)), SLOPE)
        mean, log_variance = self.last(torch.cat([h, y.to(h)], 1)).float().chunk(2, 1)
        return mean, (log_variance + START).clamp(*BOUNDS)


def _averaged(x: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(x.float(), (min(x.shape[2], side), min(x.shape[3], side)))
