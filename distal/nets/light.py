"""Build a light generator after FastGAN's (Liu et al. 2021): gated convolutions, BatchNorm, sums with what was coarser.

3 million weights at a width of 32. Its BatchNorms are over the global batch while it trains, and by their averages when
it generates, so that an image depends on its own latent alone.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from distal.nets.levels import level_sides

SLOPE = 0.2
FINEST = 16  # fewest channels of a level
CONTRAST = 0.3  # of the first images: where tanh is saturated from the start, G goes white and stays so


class UpBlock(nn.Module):
    """Double the side: [n, inputs, H, W] to [n, outputs, 2 H, 2 W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # Four products a pixel where a 3x3 convolution of an enlarged map has nine. A BatchNorm takes any bias away.
        self.gated = nn.ConvTranspose2d(inputs, 2 * outputs, 4, stride=2, padding=1, bias=False)
        self.gated_norm = nn.BatchNorm2d(2 * outputs)
        self.plain = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.plain_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return float [n, outputs, 2 H, 2 W]."""
        # A 1x1 convolution of the small map is that of the large one at a quarter of the cost.
        shortcut = F.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")
        h = F.glu(self.gated_norm(self.gated(x)), 1)
        joined: Tensor = (F.leaky_relu(self.plain_norm(self.plain(h)), SLOPE) + shortcut) * 0.5**0.5
        return joined


class LightBody(nn.Module):
    """Map the joined latent and class embedding [n, inputs] to raw images [n, C, H, W], H = 8, 16, 28, 32, ..., 256."""

    def __init__(self, inputs: int, width: int, image_size: int, channels: int) -> None:
        super().__init__()
        self.base, *finer = level_sides(image_size)
        c = [8 * width]
        for _ in finer[:-1]:  # the last doubling is the pixels' own, four of them a place
            c.append(max(min(FINEST, width), c[-1] // 2))
        self.first = nn.Linear(inputs, 2 * c[0] * self.base**2, bias=False)
        self.first_norm = nn.BatchNorm2d(2 * c[0])
        self.blocks = nn.ModuleList(UpBlock(a, b) for a, b in pairwise(c))
        self.last = nn.Conv2d(c[-1], 4 * channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Return raw images [n, C, H, W]."""
        h = F.glu(self.first_norm(self.first(h).unflatten(1, (-1, self.base, self.base))), 1)
        for block in self.blocks:
            h = block(h)
        image: Tensor = CONTRAST * F.pixel_shuffle(self.last(h), 2)
        return image
