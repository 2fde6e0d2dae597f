"""Move latents towards what D believes, in training and when images are asked for."""

from torch import Tensor

from distal.train.latents.selector import Draw, Feedback, selector

DAMPING = 5.0
"""LOGAN's beta: long gradients move a latent no further than short ones."""


@selector("latent_optimization", "the length of the step", default=0.9, low=0.0, high=100.0, trains=True)
def latent_optimization(z: Tensor, y: Tensor, feedback: Feedback, draw: Draw, rate: float) -> Tensor:
    """z + alpha g / (beta + |g|^2), g the gradient of D(G(z)) by z: LOGAN's natural gradient, Wu et al. 2019.

    The step is held fixed when G and D learn; theirs is differentiated too. The latents stay unbounded, for ours are
    normal, theirs uniform.
    """
    _, g = feedback.uphill(z, y)
    return z + rate * g / (DAMPING + g.square().sum(1, keepdim=True))
