"""Begin drawn images at the latents of labeled ones, where a generator with an encoder has been taught to draw.

What an encoder says of a class's images fills a part of the normal distribution that the divergence holds it to, and
between the parts G has seen nothing. So the density of the latents is fitted once G is trained (Ghosh et al. 2020,
"From variational to deterministic autoencoders", section 4): here by the mixture of what the encoder says of each
labeled image, an equal share of each, which makes no assumption about a class of which few images are known.
"""

import math

import torch
from torch import Tensor, nn


def placed(codes: "CodeMixture | None", z: Tensor, y: Tensor) -> Tensor:
    """Return latents [n, z] to draw images of classes y [n, K] from, for z of the normal distribution."""
    return z if codes is None else codes(z, y)


class CodeMixture(nn.Module):
    """Map latents of the normal distribution to those of a class's mixture of normal distributions.

    mean, deviation: float32 [M, z], z >= 2, of the labeled images in the order of their classes. count: int64 [K], how
    many are of each class. axes: float32 [z, z], along whose rows the deviations are; None: along those of the latents.

    Which of a class's n distributions a latent goes to is the n-th part of the circle in which the angle of its first
    two numbers lies. That part is then stretched to the whole circle: the angle of two normal numbers is uniform and
    independent of their length, so that they are two normal numbers again, whatever part they came from.
    """

    mean: Tensor
    deviation: Tensor
    first: Tensor
    count: Tensor
    axes: Tensor | None

    def __init__(self, mean: Tensor, deviation: Tensor, count: Tensor, axes: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("first", count.cumsum(0) - count)
        self.register_buffer("count", count)
        self.register_buffer("axes", axes)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return latents [n, z] for those drawn, of classes y [n, K]; as they were where a class has no mixture.

        y: one-hot times how much of the classes is shown; rows of zeros have no class.
        """
        label = y.argmax(1)
        n = self.count[label]
        turns = (torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) + 0.5) * n  # in [0, n]
        which = torch.minimum(turns.floor().long(), n - 1).clamp_min(0)
        angle = (turns - which - 0.5) * (2 * math.pi)
        length = z[:, :2].square().sum(1).sqrt()
        noise = torch.cat([(length * angle.cos())[:, None], (length * angle.sin())[:, None], z[:, 2:]], 1)
        at = (self.first[label] + which).clamp_max(len(self.mean) - 1)
        around = self.deviation[at] * noise
        placed = self.mean[at] + (around if self.axes is None else around @ self.axes)
        return torch.where(((n > 0) & (y.amax(1) > 0))[:, None], placed, z)
