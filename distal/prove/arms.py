"""Make the sets that the gate compares: the labels so far, and what may be added to them at no cost in labels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal import streams

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

REAL = 0.5
"""The least part of its class that labeled images are, however many are added (alpha of Trabucco et al. 2024)."""

CONFIDENT = 0.9
"""The least probability of a pseudo-label (FixMatch takes 0.95 of a network, Sohn et al. 2020)."""


@dataclass(frozen=True)
class Examples:
    """Hold what a classifier learns from or is tested on, labels int64 [n].

    features: float32 [n, d], or pixels uint8 [n, C, S, S] for a classifier that sees these. added: how many of the
    last rows were added to labeled ones.
    """

    features: Tensor
    labels: Ints
    added: int = 0

    def __add__(self, other: "Examples") -> "Examples":
        labels = np.concatenate([self.labels, other.labels])
        return Examples(torch.cat([self.features, other.features]), labels, len(other.labels))

    def shares(self) -> Doubles:
        """Return each row's part of its class, float64 [n]: even, but added ones are at most 1 - REAL of a class."""
        is_added = np.arange(len(self.labels)) >= len(self.labels) - self.added
        shares = np.zeros(len(self.labels))
        for c in np.unique(self.labels):
            of_class = self.labels == c
            labeled, added = np.flatnonzero(of_class & ~is_added), np.flatnonzero(of_class & is_added)
            even = len(labeled) / (len(labeled) + len(added))
            real = max(REAL, even) if len(labeled) else 0.0
            shares[labeled] = real / max(len(labeled), 1)
            shares[added] = (1 - real) / max(len(added), 1)
        return shares

    def take(self, rows: Ints) -> "Examples":
        """Return these rows."""
        return Examples(self.features[torch.from_numpy(rows)], self.labels[rows])

    def resampled(self, draw: np.random.Generator) -> "Examples":
        """Draw as many of each class as there are, with replacement."""
        by_class = [np.flatnonzero(self.labels == c) for c in np.unique(self.labels)]
        return self.take(np.concatenate([np.zeros(0, np.int64), *(draw.choice(rows, len(rows)) for rows in by_class)]))


@dataclass(frozen=True)
class Evidence:
    """Hold what the gate judges.

    classes: their names. labeled: the labels so far. held_out: images with labels that nothing learned from. augmented:
    variants of the labeled images; none, where the classifier varies what it sees. images: the generated ones. pool:
    unlabeled rows. wanted: int64 [K], how many may be added to each class. price: how many further labels the images'
    making would have bought.
    """

    classes: tuple[str, ...]
    labeled: Examples
    held_out: Examples
    augmented: Examples
    images: Examples
    pool: Tensor
    wanted: Ints
    price: int
    seed: int


def wanted(labels: Ints, classes: int, per_class: int | None) -> Ints:
    """Return how many images to add to each class so that it has `per_class` with its labels, int64 [K].

    None: twice as many as the largest class has labels.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.maximum((2 * int(counts.max()) if per_class is None else per_class) - counts, 0).astype(np.int64)


def limited(labels: Ints, wanted: Ints, draw: np.random.Generator) -> Ints:
    """Choose at random at most `wanted` [K] rows of each class of labels [n], ascending."""
    chosen = [draw.permutation(np.flatnonzero(labels == c))[:most] for c, most in enumerate(wanted)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))


def pseudo_labeled(pool: Tensor, probs: Tensor, wanted: Ints, draw: np.random.Generator) -> Examples:
    """Return rows of the pool [n, d] under the class that a classifier's probs [n, K] are sure of."""
    confidence, said = probs.max(1)
    labels = np.where((confidence >= CONFIDENT).numpy(), said.numpy(), -1).astype(np.int64)
    rows = limited(labels, wanted, draw)
    return Examples(pool[torch.from_numpy(rows)], labels[rows])


def fractions(labels: Ints, shares: tuple[float, ...], draw: np.random.Generator) -> Iterator[Ints]:
    """Yield rows of labels [m], a share of each class but at least one; the smaller sets lie within the larger ones."""
    by_class = [draw.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    for share in shares:
        yield np.sort(np.concatenate([rows[: max(1, round(share * len(rows)))] for rows in by_class]))


def stream(evidence: Evidence, seed: int, name: str) -> np.random.Generator:
    """Open the stream of one draw of one of the gate's seeds."""
    return streams.stream(evidence.seed, "prove", name, seed)
