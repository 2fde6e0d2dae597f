"""Build DCGAN's networks (Radford, Metz, Chintala 2016, section 3): strided convolutions and BatchNorm, no pooling.

With net.width = 256 the generator at 64 px is the paper's, of 1024, 512, 256 and 128 channels. All weights start normal
with a deviation of 0.02. The discriminator's BatchNorms mix the images of a batch: no penalty on a row's gradient.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distal.nets.levels import level_channels, level_sides

SLOPE = 0.2
DEVIATION = 0.02


class Down(nn.Conv2d):
    """Halve the side: [n, inputs, H, W] to [n, outputs, H / 2, W / 2]."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def reset_parameters(self) -> None:
        """Start as the paper does."""
        _start(self.weight, self.bias)


class Up(nn.ConvTranspose2d):
    """Double the side: [n, inputs, H, W] to [n, outputs, 2 H, 2 W]."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def reset_parameters(self) -> None:
        """Start as the paper does."""
        _start(self.weight, self.bias)


class DcganBody(nn.Module):
    """Map the joined latent and class embedding [n, inputs] to raw images [n, C, H, W]."""

    def __init__(self, inputs: int, width: int, image_size: int, channels: int) -> None:
        super().__init__()
        sides = level_sides(image_size)
        c = [level_channels(width, side) for side in sides[:-1]]
        self.first_map = (c[0], sides[0], sides[0])
        self.first = nn.Linear(inputs, c[0] * sides[0] ** 2, bias=False)  # a BatchNorm takes any bias away
        self.first_norm = nn.BatchNorm2d(c[0])
        self.ups = nn.ModuleList(Up(a, b) for a, b in pairwise(c))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in c[1:])
        self.last = Up(c[-1], channels, bias=True)

    def forward(self, h: Tensor) -> Tensor:
        """Return raw images [n, C, H, W]."""
        h = F.relu(self.first_norm(self.first(h).view(-1, *self.first_map)))
        for up, norm in zip(self.ups, self.norms, strict=True):
            h = F.relu(norm(up(h)))
        image: Tensor = self.last(h)
        return image


class DcganTrunk(nn.Module):
    """Map images [n, C, H, W] to features [n, F]."""

    def __init__(self, width: int, features: int, image_size: int, channels: int) -> None:
        super().__init__()
        sides = level_sides(image_size)[-2::-1]
        c = [level_channels(width, side) for side in sides]
        self.first = Down(channels, c[0], bias=True)
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(c))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in c[1:])
        self.last = nn.Linear(c[-1] * sides[-1] ** 2, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [n, F]."""
        h = F.leaky_relu(self.first(x), SLOPE)
        for down, norm in zip(self.downs, self.norms, strict=True):
            h = F.leaky_relu(norm(down(h)), SLOPE)
        return F.leaky_relu(self.last(h.reshape(len(x), -1)), SLOPE)


def _start(weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        weight.normal_(0.0, DEVIATION)
        if bias is not None:
            bias.zero_()
