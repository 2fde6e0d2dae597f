"""Ask G for images whose features have the moments of the real ones'."""

from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors


@regularizer("feature_matching", player="G", lazy=False, default=1.0, per_pixel=False)
def feature_matching(step: StepTensors) -> Tensor:
    """|E phi(x) - E phi(G(z))|^2, phi D's features, means over the global batch: Salimans et al. 2016, section 3.1."""
    n = step.rows
    real, fake = step.features[:n].detach().float(), step.features[n:].float()
    return (step.mean(real) - step.mean(fake)).square().sum()
