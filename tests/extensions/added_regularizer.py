"""A regularizer that a package could add: D's logits are held small."""

from torch import Tensor

from distal.losses import StepTensors, regularizer


@regularizer("small_logits", player="D", lazy=False, default=0.01, per_pixel=False)
def small_logits(step: StepTensors) -> Tensor:
    """E D(x)^2 over real and generated images."""
    return step.logits.square().mean()
