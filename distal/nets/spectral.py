"""Hold layers to spectral norm 1, so that a discriminator's slope is bounded whatever its loss asks for."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def spectral(weight: Tensor, u: Tensor, training: bool) -> Tensor:
    """Return the weight over its largest singular value, as one step of power iteration knows it (Miyato et al. 2018).

    u: float [outputs], the left vector as last known; in training it is moved in place, a function of weights alone.
    """
    kind = "cpu" if weight.is_meta else weight.device.type  # where only shapes are looked at there is no autocast
    with torch.autocast(kind, enabled=False):
        matrix = weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(matrix.T @ u, dim=0)
            left = F.normalize(matrix @ v, dim=0)
            if training:
                u.copy_(left)
        return weight / (left @ (matrix @ v))


class SpectralLinear(nn.Linear):
    """Multiply by a matrix of spectral norm `gain`, which is 1 until somebody sets it."""

    u: Tensor
    gain: Tensor

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__(plain.in_features, plain.out_features, plain.bias is not None)
        self.register_buffer("u", F.normalize(torch.randn(plain.out_features), dim=0))
        self.register_buffer("gain", torch.ones(()))

    def matrix(self) -> Tensor:
        """Return what inputs are multiplied by, float [outputs, inputs]."""
        return self.gain * spectral(self.weight, self.u, self.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return float [n, outputs]."""
        return F.linear(x, self.matrix(), self.bias)


class SpectralConv2d(nn.Conv2d):
    """Convolve by weights of spectral norm 1, as a matrix of outputs by all else."""

    u: Tensor

    def __init__(self, plain: nn.Conv2d) -> None:
        shape = (plain.in_channels, plain.out_channels, plain.kernel_size, plain.stride, plain.padding)
        super().__init__(*shape, plain.dilation, plain.groups, plain.bias is not None)  # type: ignore[arg-type]
        self.register_buffer("u", F.normalize(torch.randn(plain.out_channels), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Return float [n, outputs, H', W']."""
        convolved: Tensor = self._conv_forward(x, spectral(self.weight, self.u, self.training), self.bias)
        return convolved


def normalize_(module: nn.Module, but: str = "") -> None:
    """Replace every plain Linear and Conv2d within a module by one of spectral norm 1, a direct child `but` left out.

    A branch that would start at zero starts at random: zero has no direction to be made 1 long.
    """
    for name, child in module.named_children():
        if name == but:
            continue
        if type(child) is nn.Linear:
            module.register_module(name, SpectralLinear(child))
        elif type(child) is nn.Conv2d:
            module.register_module(name, SpectralConv2d(child))
        else:
            normalize_(child)
