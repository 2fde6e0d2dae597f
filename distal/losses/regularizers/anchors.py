"""Hold D's logits near their own past, so that few data do not drive them apart."""

import torch
from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors

DECAY = 0.99


@regularizer("lecam", player="D", lazy=False, default=0.3, per_pixel=False, state=("real", "fake", "updates"))
def lecam(step: StepTensors) -> Tensor:
    """E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2, a_R and a_F moving averages of D(x) and D(G(z)): Tseng et al. 2021.

    Until 1 / (1 - DECAY) steps the averages are plain means, so that they need no warm-up. It acts on absolute logits,
    which the relativistic loss leaves free: take another adversarial loss with it.
    """
    real, fake = step.logits[: step.rows], step.logits[step.rows :]
    anchor = step.state["lecam"]
    with torch.no_grad():
        anchor["updates"].add_(1)
        weight = (1 / anchor["updates"]).clamp(min=1 - DECAY)
        anchor["real"].lerp_(step.mean(real), weight)
        anchor["fake"].lerp_(step.mean(fake), weight)
    return (real - anchor["fake"]).square().mean() + (fake - anchor["real"]).square().mean()
