"""Train the classifier of the gate: logistic regression on frozen features, its penalty chosen on other images.

The strength of the penalty is chosen on one half of the held-out images for what is said of the other half. Leaving out
labels, as the probe does, would not do here: a copy of a label that is left out stays among generated images.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from distal.features.logistic import fit_logistic
from distal.features.probe import STRENGTHS
from distal.prove.arms import Examples

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def halves(labels: npt.NDArray[np.int64], draw: np.random.Generator) -> Bools:
    """Say which images [n] are of the first half: every second one of each class, at random."""
    first = np.zeros(len(labels), dtype=np.bool_)
    for c in np.unique(labels):
        rows = draw.permutation(np.flatnonzero(labels == c))
        first[rows[int(draw.integers(2)) :: 2]] = True
    return first


class Classifier:
    """Be fitted once for each strength of the penalty, to classes that weigh alike.

    classes: K; those without an example are never said.
    """

    def __init__(self, train: Examples, classes: int) -> None:
        known, y = np.unique(train.labels, return_inverse=True)
        self._known, self._classes = torch.from_numpy(known), classes
        onehot = one_hot(torch.from_numpy(y.astype(np.int64)), len(known)).double()
        x, weights = train.features.double(), torch.from_numpy(train.shares()) * (len(y) / len(known))
        self._fits: list[Tensor] = []
        for strength in STRENGTHS:
            start = self._fits[-1] if self._fits else None
            self._fits.append(fit_logistic(x, onehot, weights, strength, start, tolerance=1e-5))

    def probs(self, features: Tensor) -> Tensor:
        """Return class probabilities float64 [strengths, n, K]."""
        x = features.double()
        probs = torch.zeros(len(self._fits), len(x), self._classes, dtype=torch.float64)
        for place, w in enumerate(self._fits):
            probs[place][:, self._known] = (x @ w[:-1] + w[-1]).softmax(1)
        return probs

    def held_out_probs(self, held_out: Examples, first: Bools) -> tuple[Floats, int]:
        """Return what is said of each half [n, K] at the strength that the other half chose; and one such strength."""
        probs, said = self.probs(held_out.features).numpy(), np.zeros((len(first), self._classes), np.float32)
        best = 0
        for half in (first, ~first):
            best = int(np.argmin([_loss(p[~half], held_out.labels[~half]) for p in probs]))
            said[half] = probs[best, half]
        return said, best


def _loss(probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """Return the log loss, averaged over the classes that are said at all."""
    loss = -np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12))
    known = [c for c in np.unique(labels) if probs[:, c].any()]
    return float(np.mean([loss[labels == c].mean() for c in known])) if known else 0.0
