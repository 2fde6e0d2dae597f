"""Average weights over steps: the averaged generator is the one that generates, the averaged discriminator scores."""

import torch
from torch import nn

from distal.nets.held import has_buffers, parameters_of

RAMP = 0.1  # the half-life is at most this share of the steps done, so that first weights are soon forgotten


def decay(step: int, half_life: float) -> float:
    """Return beta with beta^h = 1/2, h = min(half_life, RAMP x step): the ramp of StyleGAN2 (Karras et al. 2020).

    step: updates done, counted from 1.
    """
    return float(0.5 ** (1.0 / min(half_life, RAMP * step)))


@torch.no_grad()
def average_(mean: nn.Module, module: nn.Module, beta: float) -> None:
    """Replace mean by beta mean + (1 - beta) module, by parameter and by buffer; counts are copied."""
    means: list[torch.Tensor] = [*parameters_of(mean)]
    weights: list[torch.Tensor] = [*parameters_of(module)]
    torch._foreach_lerp_(means, weights, 1.0 - beta)
    if not has_buffers(module):
        return
    for kept, buffer in zip(mean.buffers(), module.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(buffer, 1.0 - beta)
        else:
            kept.copy_(buffer)
