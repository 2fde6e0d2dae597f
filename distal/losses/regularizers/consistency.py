"""Ask D to judge alike what should be alike: an image and its augmented twin, images of neighbouring latents."""

import torch
from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors

NEIGHBOURHOOD = 0.05
"""Standard deviation of the step between neighbouring latents."""


@regularizer("bcr", player="D", lazy=True, default=10.0, per_pixel=False, varies=True)
def bcr(step: StepTensors) -> Tensor:
    """E (D(x) - D(T(x)))^2 + E (D(G(z)) - D(T(G(z))))^2: Zhao et al. 2021 (ICR-GAN), balanced consistency, lambda 10.

    T is `train.augment` once more, on what D saw.
    """
    difference = step.judge(step.varied("bcr"), step.y) - step.logits
    return 2 * difference.square().mean()


@regularizer("zcr_d", player="D", lazy=False, default=5.0, per_pixel=False)
def zcr_d(step: StepTensors) -> Tensor:
    """E (D(G(z)) - D(G(z + dz)))^2, dz small: Zhao et al. 2021 (ICR-GAN), D's half of latent consistency."""
    with torch.no_grad():
        images = step.generate(_neighbours(step, "zcr_d"))
    n = step.rows
    return (step.logits[n:] - step.judge(images, step.y[n:])).square().mean()


@regularizer("zcr_g", player="G", lazy=False, default=0.5, per_pixel=False)
def zcr_g(step: StepTensors) -> Tensor:
    """- E |G(z) - G(z + dz)|^2, a mean over pixels: G's half, which keeps neighbours apart that D judges alike."""
    return -(step.images[step.rows :] - step.generate(_neighbours(step, "zcr_g"))).square().mean()


def _neighbours(step: StepTensors, name: str) -> Tensor:
    z = step.latents
    return z + NEIGHBOURHOOD * step.normals(name, z.shape[1]).to(z)
