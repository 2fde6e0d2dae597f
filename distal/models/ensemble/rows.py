"""Say which rows a member of an ensemble learns from: a bootstrap, or those that members before it draw too rarely."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, factorial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal import streams
from distal.features.committee import bootstrap
from distal.features.logistic import fit_logistic
from distal.models.protocol import Model
from distal.train.rows import TrainingRows

Ids = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

MOST = 5
"""Largest count of a row in a bootstrap of the pool; six and more have a probability of 0.0006."""

SAMPLE = 1024
"""Rows of the pool that are reweighted, and images that they are compared with, each."""

STRENGTH = 1.0
"""Inverse weight of the regression's penalty: features are standardized, and 2,048 rows are not many."""


def bagged(rows: TrainingRows, seed: int, member: int) -> TrainingRows:
    """Return a bootstrap of the rows (Breiman 1996): labeled ones resampled within each class, unlabeled ones counted.

    The count of an unlabeled row is Poisson(1), a function of its id (Oza & Russell 2001), so that nothing of the
    pool's size is held; a row is drawn as often as its count says.
    """
    times = bootstrap(rows.labels, seed, member).astype(np.float64)
    probabilities = [exp(-1) / factorial(count) for count in range(MOST)]

    def candidates(source: np.random.Generator, n: int) -> Ids:
        ids = source.integers(0, rows.total_rows, size=MOST * n)
        counts = np.searchsorted(np.cumsum(probabilities), streams.row_uniforms(ids, seed, "bagging", member))
        return ids[source.random(len(ids)) < counts / MOST]

    return rows.reweighted(member_seed(seed, member), times, candidates)


def seeded(rows: TrainingRows, seed: int, member: int) -> TrainingRows:
    """Return all rows, drawn in an order of the member's own."""
    return rows.reweighted(member_seed(seed, member), None, None)


@dataclass(frozen=True)
class Reweighted:
    """Hold a sample of the pool, row_ids int64 [m], and how often each row is to be drawn, weights float64 [m]."""

    row_ids: Ids
    weights: Doubles

    def of(self, rows: TrainingRows, seed: int, member: int) -> TrainingRows:
        """Return the rows with unlabeled ones drawn from the sample; labels are few, and all of them are needed."""
        cumulative = np.cumsum(self.weights / self.weights.sum())

        def candidates(source: np.random.Generator, n: int) -> Ids:
            drawn = np.searchsorted(cumulative, source.random(n), side="right")
            return self.row_ids[np.minimum(drawn, len(self.row_ids) - 1)]

        return rows.reweighted(member_seed(seed, member), None, candidates)


def boosted(
    rows: TrainingRows, before: Sequence[Model], classes: int, latent_dim: int, seed: int, stage: int
) -> Reweighted:
    """Reweight a sample of the pool against what the members before draw (AdaGAN, Tolstikhin et al. 2017).

    A logistic regression on features of the last of them tells real rows from generated ones; its odds are the ratio
    of densities that the weights are made of. Classes are asked for evenly.
    """
    source = streams.stream(seed, "boosting", stage)
    row_ids = np.unique(rows.drawn(source, SAMPLE))
    real = torch.from_numpy(np.ascontiguousarray(rows.images.pixels(row_ids)))
    latents = streams.normal((SAMPLE, latent_dim), seed, "boosting", stage, "latents")
    labels = torch.from_numpy(source.integers(0, classes, size=SAMPLE))
    parts = [model.generate(latents[i :: len(before)], labels[i :: len(before)]) for i, model in enumerate(before)]
    scorer = before[-1].scorer()
    features = [scorer(images)["embeddings"].double().cpu() for images in (real, torch.cat(parts))]
    ratio = density_ratio(*features)
    return Reweighted(row_ids, boosting_weights(ratio.numpy(), 1.0 / (len(before) + 1)))


def density_ratio(real: Tensor, drawn: Tensor) -> Tensor:
    """Return h = p(drawn) / p(real) at the rows of real, float64 [n], by features float64 [n, F] and [m, F] of both."""
    both = torch.cat([real, drawn])
    x = (both - both.mean(0)) / both.std(0).clamp_min(1e-6)
    targets = torch.zeros(len(x), 2, dtype=torch.float64)
    targets[: len(real), 0] = 1.0
    targets[len(real) :, 1] = 1.0
    even = torch.cat([torch.full((len(part),), len(x) / 2 / len(part), dtype=torch.float64) for part in (real, drawn)])
    w = fit_logistic(x, targets, even, STRENGTH)
    logits = x[: len(real)] @ w[:-1] + w[-1]
    return (logits[:, 1] - logits[:, 0]).exp()


def boosting_weights(ratio: Doubles, beta: float) -> Doubles:
    """Return the weights of m rows, float64 [m], summing to 1: (1 / (m beta)) (lambda - (1 - beta) h_i)+.

    ratio: h_i, the density of the mixture so far over that of the data. beta: the new member's share of the mixture.
    lambda makes them sum to 1: it is found by taking rows in as long as their weight is positive (Tolstikhin et al.
    2017, section 3).
    """
    h = np.sort((1 - beta) * ratio)
    taken = np.arange(1, len(h) + 1)
    levels = (beta * len(h) + np.cumsum(h)) / taken
    last = np.flatnonzero(h < levels)[-1]
    weights: Doubles = np.maximum(levels[last] - (1 - beta) * ratio, 0.0) / (beta * len(h))
    weights /= weights.sum()
    return weights


def member_seed(seed: int, member: int) -> int:
    """Return the seed of a member's draws."""
    return int(streams.stream(seed, "ensemble rows", member).integers(2**62))
