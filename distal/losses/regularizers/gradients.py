"""Penalize D's gradient with respect to images. None of these is right for a D that mixes the images of a batch."""

import torch
from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors, squared_gradients

PENALTY_PER_PIXEL = 0.05 / 64
NEARBY = 0.5
"""How far dragan looks around a real image, in standard deviations of a pixel over the batch."""


@regularizer("r1", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True, by_images=True)
def r1(step: StepTensors) -> Tensor:
    """1/2 E |grad_x D(x, y)|^2 over real images: Mescheder et al. 2018, eq. 9. Times lambda (their gamma)."""
    return 0.5 * step.squared_gradients[: step.rows].mean()


@regularizer("r2", player="D", lazy=True, default=PENALTY_PER_PIXEL, per_row=True, by_images=True)
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
    return _distance_from_one(step, between, u * step.y[:n] + (1 - u) * step.y[n:])


@regularizer("dragan", player="D", lazy=True, default=10.0, per_pixel=False, per_row=True)
def dragan(step: StepTensors) -> Tensor:
    """E (|grad D(x + delta)| - 1)^2, delta normal around real images: Kodali et al. 2017, section 2.5, lambda 10.

    delta's deviation is NEARBY times that of a pixel over the global batch, so that dark and bright pools are alike.
    """
    n = step.rows
    x, pixels = step.images[:n].detach().float(), step.images[0].numel()
    with torch.no_grad():
        mean = step.mean(x.flatten(1).mean(1))
        deviation = (step.mean(x.sub(mean).square().flatten(1).mean(1))).sqrt()
    nearby = x + NEARBY * deviation * step.normals("dragan", pixels).view_as(x)
    return _distance_from_one(step, nearby, step.y[:n])


def _distance_from_one(step: StepTensors, images: Tensor, y: Tensor) -> Tensor:
    x = images.detach().requires_grad_()
    squares = squared_gradients(step.judge(x, y), x)
    # The root's slope is infinite at 0: a D that is flat there would give gradients that are not finite.
    return ((squares + 1e-12).sqrt() - 1).square().mean()
