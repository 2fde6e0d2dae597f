"""Draw latents again until D would let their images pass."""

import torch
from torch import Tensor

from distal.streams import normal
from distal.train.latents.selector import Draw, Feedback, normals, selector

ATTEMPTS = 24
"""Latents that are tried for an image; where D lets none pass, the best of them."""

BURN_IN = 256
"""Images of each class that say how high D's logits go."""


def _margins(logits: Tensor, highest: Tensor) -> Tensor:
    """Return F before gamma, D - D_M - log(1 - e^(D - D_M - epsilon)): s(F) is the ratio e^(D - D_M)."""
    below = (logits - highest).double().clamp(max=0)
    return below - torch.log(-torch.expm1(below - 1e-6))


@selector("rejection", "the share of images that pass less than half", default=0.8, low=0.0, high=0.99, ratio=True)
def rejection(z: Tensor, y: Tensor, feedback: Feedback, draw: Draw, share: float) -> Tensor:
    """Accept an image with probability s(F - gamma): discriminator rejection sampling, Azadi et al. 2019.

    F grows with D's logit and is infinite at the highest one of a class; gamma is the quantile `share` of F among
    BURN_IN images of that class, whose latents are always the same, so that a row depends on itself alone.
    """
    highest, gamma = torch.zeros(len(z), device=z.device), torch.zeros(len(z), device=z.device, dtype=torch.float64)
    for c in range(y.shape[1]):
        rows = y.argmax(1) == c
        if not rows.any():
            continue
        known = feedback.logits(
            normal((BURN_IN, z.shape[1]), 0, "burn-in").to(z.device), y[rows][:1].expand(BURN_IN, -1)
        )
        highest[rows] = known.max()
        gamma[rows] = torch.quantile(_margins(known, known.max()), share)
    chosen, best = z.clone(), torch.full((len(z),), -torch.inf, device=z.device)
    waiting = torch.ones(len(z), dtype=torch.bool, device=z.device)
    for attempt in range(ATTEMPTS):
        tried = z if attempt == 0 else normals(draw(f"rejection {attempt}", z.shape[1])).to(z)
        rows = waiting.nonzero().squeeze(1)
        logits = feedback.logits(tried[rows], y[rows])
        passes = draw(f"rejection {attempt} passes", 1).to(z.device)[rows, 0] < torch.sigmoid(
            _margins(logits, highest[rows]) - gamma[rows]
        )
        better = rows[passes | (logits > best[rows])]
        chosen[better] = tried[better]
        best[rows] = torch.maximum(best[rows], logits)
        waiting[rows[passes]] = False
        if not waiting.any():
            break
    return chosen
