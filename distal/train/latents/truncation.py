"""Draw latents nearer to the middle."""

import torch
from torch import Tensor

from distal.train.latents.selector import Draw, Feedback, selector


@selector("truncation", "the largest size of an entry", default=1.0, low=0.01, high=10.0, judged=False)
def truncation(z: Tensor, y: Tensor, feedback: Feedback, draw: Draw, bound: float) -> Tensor:
    """Make a normal number one of the normal distribution within -bound .. bound: BigGAN's trick, Brock et al. 2019.

    By the distribution function, not by drawing again: the same latent keeps its direction under any bound.
    """
    edge = torch.special.ndtr(torch.tensor(bound, dtype=torch.float64))
    inside = 1 - edge + torch.special.ndtr(z.double()) * (2 * edge - 1)
    bounded: Tensor = torch.special.ndtri(inside).clamp(-bound, bound)
    return bounded
