"""Build small residual convolutional networks for images of 8 to 256 px, without any normalisation layer.

No layer mixes the images of a batch, so a batch cut over ranks or shards gives the same numbers. Modelled on R3GAN's
networks (Huang et al. 2024, section 3: ResNet blocks, bilinear resampling, no normalisation, leaky rectifiers, branches
that start at zero), made small: one block of two 3x3 convolutions a level.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from distal.nets.levels import level_channels, level_sides
from distal.nets.weights import RESIDUAL_OUT

SLOPE = 0.2


class ResidualBlock(nn.Module):
    """Add a branch of two 3x3 convolutions to a shortcut, [n, inputs, H, W] to [n, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.add_module(RESIDUAL_OUT, nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float [n, outputs, H, W]."""
        inner = self.inner(F.leaky_relu(x, SLOPE))
        branch: Tensor = self.get_submodule(RESIDUAL_OUT)(F.leaky_relu(inner, SLOPE))
        shortcut: Tensor = self.shortcut(x)
        return shortcut + branch


class ResidualBody(nn.Module):
    """Map the joined latent and class embedding [n, inputs] to raw images [n, C, H, W]."""

    def __init__(self, inputs: int, width: int, image_size: int, channels: int) -> None:
        super().__init__()
        sides = level_sides(image_size)
        c = [level_channels(width, side) for side in sides]
        self.first_map = (c[0], sides[0], sides[0])
        self.first = nn.Linear(inputs, c[0] * sides[0] ** 2)
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in zip([c[0], *c], c, strict=False))
        self.last = nn.Conv2d(c[-1], channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Return raw images [n, C, H, W]."""
        h = self.first(h).view(-1, *self.first_map)
        for level, block in enumerate(self.blocks):
            if level > 0:
                h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = block(h)
        image: Tensor = self.last(F.leaky_relu(h, SLOPE))
        return image


class ResidualTrunk(nn.Module):
    """Map images [n, C, H, W] to features [n, F]."""

    def __init__(self, width: int, features: int, image_size: int, channels: int) -> None:
        super().__init__()
        sides = level_sides(image_size)[::-1]
        c = [level_channels(width, side) for side in sides]
        self.first = nn.Conv2d(channels, c[0], 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in zip([c[0], *c], c, strict=False))
        self.last = nn.Linear(c[-1] * sides[-1] ** 2, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [n, F]."""
        h = self.first(x)
        for level, block in enumerate(self.blocks):
            if level > 0:
                # Halving by the mean of 2x2 is bilinear interpolation at exactly half the size.
                h = F.avg_pool2d(h, 2)
            h = block(h)
        h = F.leaky_relu(h, SLOPE).reshape(len(x), -1)
        return F.leaky_relu(self.last(h), SLOPE)
