"""Synthesize queries: of the images that a generator draws, those that its classifier cannot tell, and that differ.

Zhu and Bento 2017 have a GAN draw what lies near the boundary of a classifier. What lies there is often nothing that a
person can name (Baum and Lang 1992, on handwritten characters), and a pool's rare images are found in the pool alone:
so they are a share of a batch, and "nothing of these" is an answer. A generator draws the same doubtful image many
times: KEPT times as many as are wanted are kept by their margin, and of these the ones that lie far apart (after
Zhdanov 2019, who clusters them).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal.errors import TrainingError
from distal.streams import normal, stream

DRAWN = 50
"""Images drawn for each that is asked."""

KEPT = 5
"""Images kept by their margin for each that is asked."""

BLOCK = 256
"""Images looked at together."""

Generate = Callable[[Tensor, Tensor], Tensor]
Classify = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Synthesis:
    """Hold images to be asked: uint8 [n, C, H, W], the classes int64 [n] that they were drawn for, the classifier's
    probabilities float32 [n, K] and scores float32 [n], 1 - (p_1 - p_2), the most doubtful is 1."""

    images: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


def synthesize(
    generate: Generate,
    classify: Classify,
    classes: npt.NDArray[np.int64],
    n: int,
    latent_dim: int,
    seed: int,
    round: int,
) -> Synthesis:
    """Draw images of these classes and choose n of them, at least 1; a function of the model, the seed and the round.

    generate: float32 latents [m, latent_dim] and int64 classes [m] to uint8 images. classify: images to `probs` and
    `embeddings`. classes: int64, those that have a label.

    Raises:
        TrainingError: what the classifier says is not finite.
    """
    latents = normal((DRAWN * n, latent_dim), seed, "synthesis", round, "latents")
    asked = classes[stream(seed, "synthesis", round, "classes").integers(0, len(classes), DRAWN * n)]
    images, probs, places = [], [], []
    for z, y in zip(torch.split(latents, BLOCK), torch.split(torch.from_numpy(asked), BLOCK), strict=True):
        images.append(generate(z, y).cpu())
        seen = classify(images[-1])
        probs.append(seen["probs"].cpu())
        places.append(seen["embeddings"].cpu())
    every = torch.cat(probs)
    if not bool(every.isfinite().all()):
        raise TrainingError(
            f"round {round}: the model's class probabilities of the images that it draws are not finite.\n"
            "Its outputs are broken: lower model.learning_rate_g and _d, or go back to a round before."
        )
    best, second = every.topk(2, 1).values.unbind(1)
    scores = 1.0 - (best - second)
    doubtful = torch.argsort(scores, descending=True, stable=True)[: KEPT * n]
    chosen = doubtful[far_apart(torch.cat(places)[doubtful], n)]
    rows = chosen.numpy()
    return Synthesis(torch.cat(images)[chosen].numpy(), asked[rows], every[chosen].numpy(), scores[chosen].numpy())


def far_apart(places: Tensor, n: int) -> Tensor:
    """Return n positions of places [m, F], the first one first, then always the one farthest from those before.

    Farthest-first traversal (Gonzalez 1985): no n places leave the rest less than half as far from the nearest.
    """
    chosen = [0]
    away = torch.full((len(places),), torch.inf)
    while len(chosen) < n:
        away = torch.minimum(away, (places - places[chosen[-1]]).square().sum(1))
        away[chosen[-1]] = -1.0
        chosen.append(int(away.argmax()))
    return torch.tensor(chosen)
