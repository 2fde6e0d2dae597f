"""Watch, while a model trains, whether it still draws different images of a class, or one image again and again.

The mean squared distance of two images of a class is twice the class's variance, summed over pixels. Generated from the
same few latents each time and divided by that of the class's labeled images, it is a number that costs a handful of
images and falls before a round is over; `metrics/diversity.py` measures the same in features, with held-out images. It
is a mean over pixels: noise looks varied to it, and two images in turn look half as varied as they should.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from distal.streams import normal
from distal.train.rows import TrainingRows

logger = logging.getLogger(__name__)

DRAWN = 16
"""Images of a class."""

REAL = 64
"""Labeled images of a class that they are compared with, at most."""

FEWEST = 3
"""Labeled images of a class without which it is not watched: two say little of how a class varies."""

CLASSES = 32
"""Classes that are watched, the most: of more, as many spread evenly over them."""

SIDE = 32
"""Pixels are compared at this side at most, by areas."""

COLLAPSED = 0.1
"""Below it a class is drawn as one image: its images are less than a third as far apart as the labeled ones."""

UNTRAINED = 200
"""Updates of the model before which nothing is warned of: an untrained one draws one image of everything."""


class Generating(Protocol):
    """Be what is watched: a model that has made `step` updates."""

    step: int

    def generate(self, latents: Tensor, labels: Tensor, /) -> Tensor:
        """Return uint8 images [n, C, H, W] for latents [n, z] and int64 labels [n]."""


class Variety:
    """Watch one round's training on one rank; nothing of the training depends on it.

    rows: what is trained on. names: of the classes. every: updates between two looks, at least 1.
    """

    def __init__(self, rows: TrainingRows, names: Sequence[str], latent_dim: int, every: int) -> None:
        counts = np.bincount(rows.labels, minlength=len(names))
        known = np.flatnonzero(counts >= FEWEST)
        if len(known) > CLASSES:
            known = known[np.linspace(0, len(known) - 1, CLASSES).astype(np.int64)]
        self._rows, self._names, self._every = rows, names, every
        self._classes: npt.NDArray[np.int64] = known
        self._latents = normal((DRAWN, latent_dim), 0, "variety").repeat(len(known), 1)
        self._labels = torch.from_numpy(np.repeat(known, DRAWN))
        self._real: Tensor | None = None
        self._looked, self._said = 0, set[int]()

    def due(self, done: int, last: bool) -> bool:
        """Say whether it is time to look, after `done` updates of the round; last: whether it ends here."""
        return len(self._classes) > 0 and (last or done - self._looked >= self._every)

    def look(self, model: Generating, done: int, last: bool) -> dict[str, float]:
        """Return `variety`, the mean over the classes, and `variety_least`, 1 being as varied as the labeled images.

        Empty where it is not due, or no class has labels enough. Warns of a class that has collapsed, once.

        Args:
            done: updates of the round. last: whether the round ends here, when it is always time.
        """
        if not self.due(done, last):
            return {}
        self._looked = done
        if self._real is None:
            self._real = torch.tensor([variance(self._labeled(label)) for label in self._classes.tolist()])
        drawn = torch.split(model.generate(self._latents, self._labels), DRAWN)
        made = torch.tensor([variance(images) for images in drawn])
        shares = made / self._real.clamp_min(1e-6)
        least = int(shares.argmin())
        label = int(self._classes[least])
        if shares[least] < COLLAPSED and model.step >= UNTRAINED and label not in self._said:
            self._said.add(label)
            logger.warning(
                "update %d: images of class %s are nearly one image (%.2f of the labeled images' variety); where that "
                "stays, try net.name=projected, model.reconstruction=50, or more labels of it",
                *(model.step, self._names[label], float(shares[least])),
            )
        return {"variety": float(shares.mean()), "variety_least": float(shares[least])}

    def _labeled(self, label: int) -> Tensor:
        ids = self._rows.labeled_ids[self._rows.labels == label][:REAL]
        return torch.from_numpy(np.array(self._rows.images.pixels(ids)))


def variance(images: Tensor) -> float:
    """Return the mean over pixels of the unbiased variance of uint8 images [n, C, S, S], n at least 2."""
    side = min(SIDE, images.shape[-1])
    return float(adaptive_avg_pool2d(images.float(), side).var(0).mean())
