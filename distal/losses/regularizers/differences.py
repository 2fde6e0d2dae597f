"""Penalize D's slope by finite differences: one more forward pass of D, and nothing is differentiated twice.

With signs e at random, E (grad D . e)^2 = |grad D|^2 (Hutchinson 1989), and D(x + sigma e) - D(x) = sigma grad D . e +
O(sigma^2). The idea of approximating R1 and R2 by a second pass on noised images: Lin et al. 2025 (Seaweed-APT). One
draw of signs an image makes it a noisy estimate of the penalty, whose mean is the penalty's.
"""

import torch
from torch import Tensor

from distal.losses.regularizers.gradients import PENALTY_PER_PIXEL
from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors

REACH = 0.01
"""Sigma: a pixel's step, of the 2 between black and white. In bfloat16 a logit near 1 is known to 0.004, see below."""


@regularizer("r1_fd", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True)
def r1_fd(step: StepTensors) -> Tensor:
    """1/2 E ((D(x + sigma e, y) - D(x, y)) / sigma)^2 over real images, in place of `r1`."""
    return _half_squared_slope(step, slice(0, step.rows), "r1_fd")


@regularizer("r2_fd", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True)
def r2_fd(step: StepTensors) -> Tensor:
    """1/2 E ((D(G(z) + sigma e, y) - D(G(z), y)) / sigma)^2 over generated images, in place of `r2`."""
    return _half_squared_slope(step, slice(step.rows, None), "r2_fd")


def _half_squared_slope(step: StepTensors, rows: slice, name: str) -> Tensor:
    x = step.images[rows].detach()
    signs = torch.where(step.uniforms(name, x[0].numel()).view_as(x) < 0.5, -1.0, 1.0)
    slope = (step.judge(x + REACH * signs, step.y[rows]) - step.logits[rows]) / REACH
    return 0.5 * slope.square().mean()
