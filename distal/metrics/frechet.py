"""Compute the Frechet distance of two Gaussians exactly, in float64, from half factors of their covariances.

Heusel et al. 2017, equation 6: d = |mu_r - mu_g|^2 + tr S_r + tr S_g - 2 tr (S_r S_g)^(1/2).

With S_r = H H' the product S_r S_g = H H' S_g has the eigenvalues of the symmetric matrix H' S_g H, so its root's
trace needs symmetric eigenvalues alone; with S_g = A A' as well they are the squared singular values of A' H. No matrix
root is formed, nothing turns complex, and singular covariances (fewer images than features) need no regularization.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.errors import EvaluationError


@dataclass(frozen=True)
class Gaussian:
    """Hold mean and covariance of features, the covariance as half @ half.T.

    mean: float64 [F]. half: float64 [F, R], R at most the smaller of F and `samples`. samples: images behind it.
    """

    mean: Tensor
    half: Tensor
    samples: int

    @classmethod
    def from_features(cls, features: Tensor) -> "Gaussian":
        """Fit features [N, F]. The covariance has the divisor N - 1; that of one image is zero.

        Raises EvaluationError for no rows, or rows that are not finite.
        """
        check_finite(features)
        x = features.double()
        n, f = x.shape
        mean = x.mean(0)
        centred = x - mean
        if n == 1:
            return cls(mean, x.new_zeros(f, 0), n)
        if n <= f:
            return cls(mean, centred.T / (n - 1) ** 0.5, n)
        return cls(mean, half_factor(centred.T @ centred / (n - 1)), n)


class Moments:
    """Accumulate count, sum and outer products of features in float64; they add across batches and ranks.

    shift: [F] subtracted from every row first. One near the mean (the reference's) keeps the covariance free of the
    cancellation of E[xx'] - E[x]E[x]'.
    """

    def __init__(self, shift: Tensor) -> None:
        self.shift = shift.double()
        f = self.shift.numel()
        self._count = self.shift.new_zeros(1)
        self._total = self.shift.new_zeros(f)
        self._outer = self.shift.new_zeros(f, f)

    @property
    def samples(self) -> int:
        """Return the number of rows added."""
        return int(self._count.item())

    @property
    def mean(self) -> Tensor:
        """Return the mean, float64 [F]."""
        return self.shift + self._total / self._count

    @property
    def covariance(self) -> Tensor:
        """Return the covariance with divisor N - 1, float64 [F, F]; zero for one row."""
        if self.samples < 2:
            return torch.zeros_like(self._outer)
        return (self._outer - torch.outer(self._total, self._total) / self._count) / (self._count - 1)

    def add(self, features: Tensor, rows: int = 4096) -> None:
        """Add features [N, F], `rows` of them at a time, so that float64 copies stay small."""
        for first in range(0, len(features), rows):
            x = features[first : first + rows].to(self.shift) - self.shift
            self._count += len(x)
            self._total += x.sum(0)
            self._outer += x.T @ x

    def sum_(self, comm: Communicator) -> None:
        """Replace the moments by their sums over the ranks."""
        comm.sum_([self._count, self._total, self._outer])


def half_factor(covariance: Tensor) -> Tensor:
    """Return H, float64 [F, R], with H H' = covariance [F, F]; eigenvalues below zero (rounding) count as zero."""
    values, vectors = torch.linalg.eigh(covariance.double())
    positive = values > 0
    half: Tensor = vectors[:, positive] * values[positive].sqrt()
    return half


def frechet_distance(reference: Gaussian, generated: Gaussian | Moments) -> float:
    """Return the squared Frechet (2-Wasserstein) distance of two Gaussians over the same F features, at least 0.

    `generated` as Gaussian (few samples): singular values of A' H, the covariance is never formed. As Moments:
    eigenvalues of H' S H. Raises EvaluationError where the features' numbers differ, there is no sample, or the
    statistics are not finite.
    """
    if generated.samples == 0:
        raise EvaluationError("The Frechet distance needs at least one generated image; there is none.")
    mean = generated.mean.to(reference.mean)
    if mean.shape != reference.mean.shape:
        raise EvaluationError(
            f"The Frechet distance compares features of one extractor: reference has {reference.mean.numel()}, "
            f"generated {mean.numel()}."
        )
    half = reference.half
    if isinstance(generated, Gaussian):
        other = generated.half.to(half)
        trace, matrix = other.square().sum(), other.T @ half
    else:
        covariance = generated.covariance.to(half)
        trace, matrix = covariance.trace(), half.T @ covariance @ half
    if not bool(torch.isfinite(mean).all() and torch.isfinite(matrix).all()):
        raise EvaluationError("The Frechet distance needs finite features; mean or covariance is not finite.")
    root_trace = half.new_zeros(())
    if matrix.numel() and isinstance(generated, Gaussian):
        root_trace = torch.linalg.svdvals(matrix).sum()
    elif matrix.numel():
        # Rounding leaves eigenvalues of about -1e-16 x the largest where the covariance is singular.
        root_trace = torch.linalg.eigvalsh(matrix).clamp(min=0).sqrt().sum()
    distance = (reference.mean - mean).square().sum() + half.square().sum() + trace - 2 * root_trace
    return max(float(distance), 0.0)


def frechet_of_features(reference: Gaussian, features: Tensor) -> float:
    """Return the distance of features [N, F] from the reference by the cheaper of the two ways."""
    check_finite(features)
    if len(features) <= features.shape[1]:
        return frechet_distance(reference, Gaussian.from_features(features.to(reference.mean.device)))
    moments = Moments(reference.mean)
    moments.add(features)
    return frechet_distance(reference, moments)


def floor(halves: float, reference_samples: int, samples: int) -> float:
    """Estimate the distance of `samples` real images from `reference_samples` others, of which two halves are `halves`
    apart: what a perfect generator would come to.

    Two samples of one distribution, n and m large, are c (1/n + 1/m) apart on average: exactly so in the term of the
    means, to first order in that of the covariances. The halves tell c, from one cut: about, not exactly.
    """
    half = reference_samples // 2
    return halves * (1 / samples + 1 / reference_samples) / (1 / half + 1 / (reference_samples - half))


def check_finite(features: Tensor) -> None:
    """Refuse features [N, F] with no row or with rows that hold NaN or infinity, naming how many."""
    if features.ndim != 2 or len(features) == 0:
        raise EvaluationError(f"Features must be [N, F] with N at least 1, not {list(features.shape)}.")
    bad = int((~torch.isfinite(features).all(1)).sum())
    if bad:
        raise EvaluationError(f"{bad} of {len(features)} images have features that are NaN or infinite.")


def bias_note(samples: int, reference_samples: int, features: int) -> str | None:
    """Say that a distance is biased where either side has fewer than two images a feature, else return None.

    Sample covariances of n images bias the distance upwards by a term of order features / n (Chong and Forsyth 2020),
    so such values compare only with values at the same counts.
    """
    fewest = min(samples, reference_samples)
    if fewest >= 2 * features:
        return None
    side = "generated" if samples <= reference_samples else "reference"
    return f"{fewest} {side} images for {features} features: biased upwards, compare at equal counts only"
