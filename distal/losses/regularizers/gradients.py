"""Penalize D's gradient with respect to images. None of these is right for a D that mixes the images of a batch."""

from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors, squared_gradients

PENALTY_PER_PIXEL = 0.05 / 64


@regularizer("r1", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True)
def r1(step: StepTensors) -> Tensor:
    """1/2 E |grad_x D(x, y)|^2 over real images: Mescheder et al. 2018, eq. 9. Times lambda (their gamma)."""
    return 0.5 * step.squared_gradients[: step.rows].mean()


@regularizer("r2", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True)
def r2(step: StepTensors) -> Tensor:
    """1/2 E |grad_x D(G(z), y)|^2 over generated images: Mescheder et al. 2018, eq. 10.

    The relativistic loss needs it beside R1: with R1 alone it diverges (R3GAN, Huang et al. 2024, section 2.2).
    """
    return 0.5 * step.squared_gradients[step.rows :].mean()


@regularizer("wgan_gp", player="D", lazy=True, default=10.0, per_pixel=False, per_row=True)
def wgan_gp(step: StepTensors) -> Tensor:
    """E (|grad D(u x + (1 - u) G(z))| - 1)^2, u uniform by row: Gulrajani et al. 2017, eq. 3, lambda 10.

    Row i of both is of the same class, or of a soft one and a class drawn from it: the classes are mixed as the images.
    """
    n = step.rows
    u = step.uniforms("wgan_gp", 1).to(step.images)
    between = u[:, :, None, None] * step.images[:n] + (1 - u[:, :, None, None]) * step.images[n:]
    x = between.detach().requires_grad_()
    squares = squared_gradients(step.judge(x, u * step.y[:n] + (1 - u) * step.y[n:]), x)
    # The root's slope is infinite at 0: a D that is flat there would give gradients that are not finite.
    return ((squares + 1e-12).sqrt() - 1).square().mean()
