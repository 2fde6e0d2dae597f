"""A selector of latents that a package could add: one number of every latent is set."""

from torch import Tensor

from distal.train.latents import Draw, Feedback, selector


@selector("first_set", "the first number of every latent", default=0.0, low=-3.0, high=3.0, judged=False)
def first_set(z: Tensor, y: Tensor, feedback: Feedback, draw: Draw, value: float) -> Tensor:
    """Set it."""
    z = z.clone()
    z[:, 0] = value
    return z
