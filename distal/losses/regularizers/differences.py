"""Penalize D's slope by finite differences: one more forward pass of D, and nothing is differentiated twice.

With signs e at random, E (grad D . e)^2 = |grad D|^2 (Hutchinson 1989), and D(x + sigma e) - D(x) = sigma grad D . e +
O(sigma^2). The idea of approximating R1 and R2 by a second pass on noised images: Lin et al. 2025 (Seaweed-APT). One
draw of signs an image makes it a noisy estimate of the penalty, whose mean is the penalty's.
"""

from torch import Tensor

from distal.losses.regularizers.gradients import PENALTY_PER_PIXEL
from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors


@regularizer("r1_fd", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True)
def r1_fd(step: StepTensors) -> Tensor:
    """1/2 E ((D(x + sigma e, y) - D(x, y)) / sigma)^2 over real images, in place of `r1`."""
    return 0.5 * step.squared_slopes[: step.rows].mean()


@regularizer("r2_fd", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True)
def r2_fd(step: StepTensors) -> Tensor:
    """1/2 E ((D(G(z) + sigma e, y) - D(G(z), y)) / sigma)^2 over generated images, in place of `r2`."""
    return 0.5 * step.squared_slopes[step.rows :].mean()
