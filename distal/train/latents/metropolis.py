"""Walk from latent to latent as often as D's word allows."""

import torch
from torch import Tensor

from distal.train.latents.selector import Draw, Feedback, normals, selector


@selector("mh", "steps of the chain", default=40, low=1, high=10_000, ratio=True)
def mh(z: Tensor, y: Tensor, feedback: Feedback, draw: Draw, steps: float) -> Tensor:
    """Take a fresh latent with probability min(1, (1/p - 1) / (1/p' - 1)), p = s(D): MH-GAN, Turner et al. 2019.

    With logits the ratio is e^(D' - D), so that a constant in all logits, which a relativistic loss leaves free, falls
    out. A chain begins at the latent that was drawn, not at a real image, and is not calibrated.
    """
    logits = feedback.logits(z, y)
    for k in range(1, int(steps) + 1):
        numbers = draw(f"mh {k}", 1 + z.shape[1]).to(z.device)
        proposed = normals(numbers[:, 1:]).to(z)
        theirs = feedback.logits(proposed, y)
        taken = torch.log(numbers[:, 0]) < theirs - logits
        z = torch.where(taken[:, None], proposed, z)
        logits = torch.where(taken, theirs, logits)
    return z
