"""Build dense networks: for images so small (8 px) that a convolution has nothing left to share.

One residual block, or plain layers of asked units, as in the first GANs of MNIST.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from distal.nets.weights import RESIDUAL_OUT

SLOPE = 0.2


class DenseBlock(nn.Module):
    """Add a two-layer branch to its input: h + W2 act(W1 act(h)), float [n, units] to [n, units]."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.inner = nn.Linear(units, units)
        self.add_module(RESIDUAL_OUT, nn.Linear(units, units))

    def forward(self, h: Tensor) -> Tensor:
        """Return float [n, units]."""
        inner = self.inner(F.leaky_relu(h, SLOPE))
        branch: Tensor = self.get_submodule(RESIDUAL_OUT)(F.leaky_relu(inner, SLOPE))
        return h + branch


class DenseBody(nn.Module):
    """Map the joined latent and class embedding [n, inputs] to raw images [n, C, H, W]."""

    def __init__(self, inputs: int, units: int, image_size: int, channels: int) -> None:
        super().__init__()
        self.shape = (channels, image_size, image_size)
        self.first = nn.Linear(inputs, units)
        self.block = DenseBlock(units)
        self.last = nn.Linear(units, channels * image_size * image_size)

    def forward(self, h: Tensor) -> Tensor:
        """Return raw images [n, C, H, W]."""
        h = F.leaky_relu(self.block(self.first(h)), SLOPE)
        images: Tensor = self.last(h).view(-1, *self.shape)
        return images


class DenseTrunk(nn.Module):
    """Map images [n, C, H, W] to features [n, F]."""

    def __init__(self, units: int, features: int, image_size: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels * image_size * image_size, units)
        self.block = DenseBlock(units)
        self.last = nn.Linear(units, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [n, F]."""
        # reshape, not flatten: a channels-last image is put back into NCHW order.
        h = self.first(x.reshape(len(x), -1))
        h = F.leaky_relu(self.block(h), SLOPE)
        return F.leaky_relu(self.last(h), SLOPE)


class LayeredBody(nn.Sequential):
    """Map the joined latent and class embedding [n, inputs] through plain layers to raw images [n, C, H, W]."""

    def __init__(self, inputs: int, units: Sequence[int], image_size: int, channels: int) -> None:
        last = nn.Linear([inputs, *units][-1], channels * image_size**2)
        super().__init__(*layers([inputs, *units]), last, nn.Unflatten(1, (channels, image_size, image_size)))


class LayeredTrunk(nn.Sequential):
    """Map images [n, C, H, W] through plain layers to features [n, F], the last of them."""

    def __init__(self, units: Sequence[int], features: int, image_size: int, channels: int) -> None:
        super().__init__(nn.Flatten(), *layers([channels * image_size**2, *units, features]))


def layers(units: Sequence[int]) -> list[nn.Module]:
    """Return linear layers from each number of units to the next, each with its rectifier."""
    return [layer for a, b in pairwise(units) for layer in (nn.Linear(a, b), nn.LeakyReLU(SLOPE))]
