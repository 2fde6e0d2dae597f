"""Make a network's weights cheaper to keep: the smallest to zero, the others to 255 steps."""

import torch
from torch import Tensor, nn

from distal.errors import ConfigError


def _weights(module: nn.Module) -> list[Tensor]:
    """Return the matrices and kernels; biases are too few to matter."""
    return [layer.weight for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]


@torch.no_grad()
def pruned_(module: nn.Module, share: float) -> None:
    """Set this share of each layer's weights, those of least magnitude, to zero (Han et al. 2015).

    A file of zeros is as long as any other, and is drawn as slowly: it is smaller only when it is compressed.

    Raises:
        ConfigError: a share outside 0 to 1.
    """
    if not 0.0 < share < 1.0:
        raise ConfigError(f"--prune: {share:g} is no share of weights between 0 and 1.\nTake for example 0.5.")
    for weight in _weights(module):
        sizes = weight.abs().flatten()
        count = int(share * len(sizes))
        if count:
            weight[weight.abs() <= sizes.kthvalue(count).values] = 0.0


@torch.no_grad()
def rounded_(module: nn.Module, least_values: int) -> None:
    """Round weights to 255 steps, a scale for each output: what int8 keeps of them (Jacob et al. 2018, eq. 1, Z = 0).

    least_values: a weight of fewer is left as it is.
    """
    for weight in _weights(module):
        if weight.numel() < least_values:
            continue
        most = weight.abs().flatten(1).amax(1)
        scale = torch.where(most > 0, most / 127, torch.ones_like(most)).view(-1, *[1] * (weight.ndim - 1))
        weight.copy_((weight / scale).round() * scale)
