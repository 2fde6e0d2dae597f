"""Judge an image three ways from one set of features: is it real, is it of this class, which class is it."""

from typing import Any

import torch
from torch import Tensor, nn

from distal.nets.spectral import SpectralLinear


def affine(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return the matrix [outputs, inputs] and the bias [outputs] that a linear layer, or `ScalesLogit`, applies."""
    own: Any = layer
    matrix: Tensor = own.matrix() if hasattr(own, "matrix") else own.weight
    return matrix, getattr(own, "bias", None)


def _plus(bias: Tensor, directions: Tensor, features: Tensor) -> Tensor:
    """Return <direction, features> + bias of each row, [n, 1, 1]."""
    return torch.baddbmm(bias, directions[:, None], features[:, :, None])


class Discriminator(nn.Module):
    """Compute features phi(x) [n, F], the projection logit and the class logits.

    logit(x, y) = psi(phi(x)) + c <y V, phi(x)>, the projection discriminator (Miyato & Koyama 2018, eq. 4), for one-hot
    y or a distribution over classes, c = class_judged. The classifier head shares phi, as in S3GAN (Lucic et al. 2019,
    section 3.2). What a frozen network makes of images (`see`) is computed once and judged as often as needed.
    """

    def __init__(self, trunk: nn.Module, features: int, classes: int, class_judged: float = 1.0) -> None:
        super().__init__()
        self.trunk, self.class_judged = trunk, class_judged
        self.psi: nn.Module = nn.Linear(features, 1)
        self.projection = nn.Linear(classes, features, bias=False)
        self.head = nn.Linear(features, classes)

    @property
    def frozen_hash(self) -> str | None:
        """Return the SHA-256 of weights that no run changes and no checkpoint holds; None where there are none."""
        return None

    def see(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what the trunk takes, [n, ...] each: the images x [n, C, H, W] in [-1, 1] themselves."""
        return (x,)

    def features_of(self, seen: tuple[Tensor, ...]) -> Tensor:
        """Return phi, float [n, F], of what `see` returned."""
        phi: Tensor = self.trunk(*seen)
        return phi

    def features(self, x: Tensor) -> Tensor:
        """Return phi(x), float [n, F], for images x [n, C, H, W] in [-1, 1]."""
        return self.features_of(self.see(x))

    def logits(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the logits [n] that images with these features, of classes y [n, K], are real."""
        weight, bias = affine(self.psi)
        # psi's weight and the classes' are one direction a row, and their sums one product: three operations less.
        directions = torch.addmm(weight, y, affine(self.projection)[0].T, alpha=self.class_judged)
        sums = directions[:, None] @ features[:, :, None] if bias is None else _plus(bias, directions, features)
        return sums.flatten()

    def classify(self, features: Tensor) -> Tensor:
        """Return class logits [n, K]."""
        logits: Tensor = self.head(features)
        return logits

    @torch.no_grad()
    def show_classes_(self, share: float) -> None:
        """Judge images by this share of their classes from now on."""
        own = self.projection.gain if isinstance(self.projection, SpectralLinear) else self.projection.weight
        own.mul_(share)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (logits [n], class logits [n, K], features [n, F])."""
        phi = self.features(x)
        return self.logits(phi, y), self.classify(phi), phi
