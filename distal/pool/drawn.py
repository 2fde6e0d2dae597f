"""See what a model draws as the pool is seen: images of each class, embedded, and how they spread beside the pool's."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.nets.threads import one_thread
from distal.nets.weights import pack, unpack
from distal.query.view import STATISTICS
from distal.train.latents import evaluation_latents

Ids = npt.NDArray[np.int64]
Generate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

PER_CLASS = 64
"""Images of each class; the same latents in every run and round, those of the scored images."""


@dataclass(frozen=True)
class Drawn:
    """Hold images that were drawn, by their projected features.

    features: float32 [m, d]. labels: int64 [m], the class that each was drawn for. statistics: those of
    `distal.query.view.STATISTICS`, float64.
    """

    features: torch.Tensor
    labels: torch.Tensor
    statistics: dict[str, torch.Tensor]

    def distance(self, rows: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        """Return how far rows [n, d] are from the nearest image drawn for their most likely class, float32 [n].

        probs: [n, K]. Infinite where nothing was drawn for that class.
        """
        drawn, labels = self.features.to(rows.device), self.labels.to(rows.device)
        squared = rows.square().sum(1)[:, None] + drawn.square().sum(1) - 2.0 * rows @ drawn.T
        squared.masked_fill_(labels[None] != probs.argmax(1)[:, None], torch.inf)
        nearest = torch.cat([squared, squared.new_full((len(rows), 1), torch.inf)], 1).amin(1)
        return nearest.clamp_min(0.0).sqrt()

    def to_bytes(self) -> bytes:
        """Return safetensors bytes; nothing in them is executed when they are read."""
        return pack({"features": self.features, "labels": self.labels, **self.statistics})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Drawn":
        """Rebuild it from `to_bytes`."""
        tensors = unpack(data)
        return cls(tensors.pop("features"), tensors.pop("labels"), tensors)


def draw(
    generate: Generate,
    latent_dim: int,
    classes: Ids,
    embed: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
) -> Drawn:
    """Draw PER_CLASS images of each of these classes, in which there is at least one, and see how they spread.

    generate: of the model. embed: uint8 images to projected features. real: those of a sample of the pool, of images of
    the size that the model draws, float32 [n, d]. Classes weigh alike, as they do in the scored images.
    """
    parts = []
    with one_thread():
        for label in classes.tolist():
            latents = evaluation_latents(label, PER_CLASS, latent_dim)
            parts.append(embed(generate(latents, torch.full((PER_CLASS,), label))).cpu())
        features = torch.cat(parts)
        moments = (*ledoit_wolf(features), *ledoit_wolf(real.cpu()))
    labels = torch.from_numpy(np.repeat(classes, PER_CLASS))
    return Drawn(features, labels, dict(zip(STATISTICS, moments, strict=True)))


def ledoit_wolf(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean [d] and the shrunk covariance [d, d] of rows [n, d], float64; n at least 1.

    S is drawn to m I, m = tr S / d, by b^2 / d^2 (Ledoit and Wolf 2004, section 3.2): few rows tell little of how
    they spread, and nothing of the directions in which they happen not to.
    """
    x = rows.double()
    mean = x.mean(0)
    x = x - mean
    n, width = x.shape
    covariance = x.T @ x / n
    scale = covariance.trace() / width
    target = scale * torch.eye(width, dtype=torch.float64, device=x.device)
    apart = (covariance - target).square().sum()
    noise = (x.square().sum(1).square().sum() / n - covariance.square().sum()) / n
    share = float((noise / apart).clamp(0.0, 1.0)) if apart > 0.0 else 0.0
    return mean, share * target + (1.0 - share) * covariance
