"""Judge images through a frozen network: a few small heads on its maps (Projected GAN, Sauer et al. 2021).

Each of the four scales has a fixed random 1x1 projection, which keeps a head from attending to a few channels alone,
and a small convolutional head with spectral norm. No layer mixes the images of a batch. The classifier's head is linear
on the means of the frozen maps, as a probe is, so that what the adversary learns cannot spoil it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distal.nets.discriminator import Discriminator
from distal.nets.frozen import FROZEN, Frozen, placed
from distal.nets.spectral import spectral

SLOPE = 0.2


class SpectralConv(nn.Conv2d):
    """Convolve by weights of spectral norm 1."""

    u: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=1)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Return float [n, outputs, ceil(H / stride), ceil(W / stride)]."""
        convolved: Tensor = self._conv_forward(x, spectral(self.weight, self.u, self.training), self.bias)
        return convolved


class ScaleHead(nn.Module):
    """Map one frozen map [n, inputs, H, W] to [n, units], halving its side `halvings` times on the way."""

    projection: Tensor

    def __init__(self, inputs: int, units: int, halvings: int) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(units, inputs, 1, 1) * (2 / inputs) ** 0.5)
        steps = [SpectralConv(units, units, 4, stride=2) for _ in range(halvings)]
        self.layers = nn.ModuleList(steps or [SpectralConv(units, units, 3)])

    def forward(self, x: Tensor) -> Tensor:
        """Return float [n, units]."""
        h = F.conv2d(x, self.projection)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), SLOPE)
        return h.mean((2, 3))


class ProjectedTrunk(nn.Module):
    """Map frozen maps to [n, judged + pooled]: what the heads made of each scale, then the maps' normalized means."""

    def __init__(self, backbone: str, units: int) -> None:
        super().__init__()
        self.frozen: Frozen = FROZEN.find(backbone)
        scales = self.frozen.channels
        self.units, self.judged, self.pooled = units, units * len(scales), sum(scales)
        self.heads = nn.ModuleList(ScaleHead(c, units, len(scales) - 1 - i) for i, c in enumerate(scales))

    def see(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the frozen maps of images [n, C, H, W], enlarged where they are smaller than the network wants."""
        if x.shape[-1] < self.frozen.side:
            x = F.interpolate(x, (self.frozen.side, self.frozen.side), mode="bilinear", align_corners=False)
        return placed(self.frozen, x.device)(x)

    def forward(self, *maps: Tensor) -> Tensor:
        """Return features float [n, judged + pooled]."""
        judged = [head(m) for head, m in zip(self.heads, maps, strict=True)]
        means = [m.float().mean((2, 3)) for m in maps]
        return torch.cat([*judged, *(F.layer_norm(m, m.shape[1:]) for m in means)], 1)


class ScalesLogit(nn.Module):
    """Add up a linear logit a scale, each of norm 1: [n, scales x units] to [n, 1]."""

    def __init__(self, scales: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(scales, units))

    def matrix(self) -> Tensor:
        """Return what the scales are multiplied by, float [1, scales x units]."""
        return F.normalize(self.weight, dim=1).view(1, -1)

    def forward(self, h: Tensor) -> Tensor:
        """Return float [n, 1]."""
        return F.linear(h, self.matrix())


class ProjectedDiscriminator(Discriminator):
    """Be a discriminator whose classifier sees the frozen part of the features alone."""

    trunk: ProjectedTrunk

    def __init__(self, trunk: ProjectedTrunk, features: int, classes: int, class_judged: float) -> None:
        super().__init__(trunk, trunk.judged, classes, class_judged)
        self.psi = ScalesLogit(len(trunk.heads), trunk.units)
        self.head = nn.Linear(trunk.pooled, classes)

    @property
    def frozen_hash(self) -> str:
        """Return the hash of the weights that are in no checkpoint."""
        return self.trunk.frozen.hash

    def see(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the frozen maps of images."""
        return self.trunk.see(x)

    def logits(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the logits [n] that images with these features, of classes y [n, K], are real."""
        return super().logits(features[:, : self.trunk.judged], y)

    def classify(self, features: Tensor) -> Tensor:
        """Return class logits [n, K]."""
        return super().classify(features[:, self.trunk.judged :])
