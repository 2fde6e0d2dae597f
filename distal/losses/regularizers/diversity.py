"""Ask G for images that differ as their latents do."""

from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors


@regularizer("mode_seeking", player="G", lazy=False, default=1.0, per_pixel=False)
def mode_seeking(step: StepTensors) -> Tensor:
    """E 1 / (|G(z, y) - G(z', y)| / |z - z'|), mean absolute differences: MSGAN, Mao et al. 2019, eq. 1's inverse.

    z' is another latent of its own for each row, under the same class and the same augmentation.
    """
    z = step.latents
    other = step.normals("mode_seeking", z.shape[1]).to(z)
    apart = (step.images[step.rows :] - step.generate(other)).abs().flatten(1).mean(1)
    return ((z - other).abs().mean(1) / (apart + 1e-5)).mean()
