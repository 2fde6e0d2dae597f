"""Ask that a step in the latents is a step of one length in the images."""

import torch
from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors

FOLLOW = 0.01
"""How fast the length follows that of the batch (StyleGAN2's)."""


@regularizer("path_length", player="G", lazy=True, default=2.0, per_pixel=False, state=("length", "updates"))
def path_length(step: StepTensors) -> Tensor:
    """E (|J' n| - a)^2, n normal, J the Jacobian of G by z: StyleGAN2, Karras et al. 2020, section 3.2, lambda 2.

    n is of length 1 in the mean; a is a moving average of |J' n| itself, a plain mean at first. Ours goes down to z,
    for G has no mapping. Behind a BatchNorm a row's gradient has a part of its neighbours' in it.
    """
    state, z = step.state["path_length"], step.latents.detach().requires_grad_()
    images = step.generate(z)
    noise = step.normals("path_length", images[0].numel()).view_as(images) / images[0].numel() ** 0.5
    (gradient,) = torch.autograd.grad((images * noise).sum(), z, create_graph=True)
    lengths = (gradient.float().square().sum(1) + 1e-12).sqrt()
    with torch.no_grad():
        state["updates"].add_(1)
        state["length"].lerp_(step.mean(lengths), (1 / state["updates"]).clamp(min=FOLLOW))
    return (lengths - state["length"]).square().mean()
