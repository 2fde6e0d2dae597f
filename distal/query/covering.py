"""Choose what represents the pool best: facility location, MaxHerding and UHerding, ProbCover.

All four raise the coverage f of `distal.query.coverer`, each by a similarity of its own, over embeddings at unit
length, as their authors scale them. Exact while the pool has at most `distal.query.reference.WHOLE` rows, `approximate`
beyond it: gains are then sums over a hashed sample of the pool, of candidates drawn anew each round.
"""

import numpy as np

from distal.query.batch import Ask
from distal.query.coverer import Coverer, Covering
from distal.query.lloyd import k_means
from distal.query.nearest import ROUNDING, Floats, Rows
from distal.query.reference import Ball, Gaussian, Kernel, Linear, directions
from distal.query.registry import batch_strategy
from distal.query.uncertainty import margin
from distal.query.view import View
from distal.streams import stream

PURE = 0.95  # share of balls that hold one cluster alone, Yehuda et al. 2022, section 3.3
PARTS = 2048  # rows that a width or a radius is measured on


@batch_strategy("facility_location", needs={"embeddings"})
class FacilityLocation(Covering):
    """Maximise sum_r max_{j in S} s(x_r, x_j): Wei, Iyer, Bilmes 2015 (section 4), with s = (1 + cos) / 2.

    That is their w = max |.|^2 - |x - y|^2 of rows at unit length, over 4.
    """

    def kernel(self, reference: Rows, centers: Rows, seed: int, round: int, ask: Ask) -> Kernel:
        """Return the linear similarity."""
        return Linear()


@batch_strategy("max_herding", needs={"embeddings"})
class MaxHerding(Covering):
    """Maximise the generalized coverage sum_r max_{j in S} exp(-|x_r - x_j|^2 / h^2), h = 1: Bae et al. 2024."""

    def kernel(self, reference: Rows, centers: Rows, seed: int, round: int, ask: Ask) -> Kernel:
        """Return the Gaussian of width 1, which the authors keep for all data (section 3.2)."""
        return Gaussian(1.0)


@batch_strategy("uherding", needs={"embeddings", "probs"})
class UHerding(Covering):
    """Maximise sum_r u_r max_{j in S} exp(-|x_r - x_j|^2 / h^2), u = 1 - margin: Bae et al. 2025 (equation 4).

    h is the least distance between two labeled rows (their section 3.3), 1 where there are not two apart, so that
    coverage comes first and uncertainty later. Labeled rows have no uncertainty; without labels every row has 1.
    u is divided by its maximum, which changes no pick.
    """

    def cover(self, view: View) -> Coverer:
        """Open lazy gains over the embeddings; the reference needs the uncertainty as well."""
        uncertainty = margin(view) + 1.0
        uncertainty[view.labeled] = uncertainty[view.labeled] * 0.0
        return Coverer(view, (view.need("embeddings"), uncertainty[:, None]))

    def kernel(self, reference: Rows, centers: Rows, seed: int, round: int, ask: Ask) -> Kernel:
        """Return the Gaussian whose width is the least distance between labeled rows."""
        self.labeled = len(centers)
        return Gaussian(least_distance(directions(centers.factors[0])))

    def weights(self, reference: Rows) -> Floats | None:
        """Return the uncertainties; None where nothing is labeled, or nothing uncertain."""
        u: Floats = reference.factors[1][:, 0]
        return u / u.max() if self.labeled and u.max() > 0.0 else None


@batch_strategy("probcover", needs={"embeddings"})
class ProbCover(Covering):
    """Cover the most rows by balls: sum_r max_{j in S} [|x_r - x_j| < d], Yehuda et al. 2022 (Algorithm 1).

    d is the largest radius at which a share of 0.95 of balls hold rows of one cluster alone, by k-means with a cluster
    for each class (section 3.3). A ball is pure up to the distance of its center to the nearest row of another
    cluster, so d is the 5% quantile of that distance.
    """

    def kernel(self, reference: Rows, centers: Rows, seed: int, round: int, ask: Ask) -> Kernel:
        """Return the ball of that radius."""
        draw = stream(seed, "query", "probcover", round)
        x = directions(reference.factors[0])
        x = x[draw.permutation(len(x))[:PARTS]]
        clusters = k_means(x, max(2, ask("classes")[0]), draw).labels
        squared = np.maximum(2.0 - 2.0 * (x @ x.T), 0.0)
        squared[clusters[:, None] == clusters] = 4.0
        return Ball(float(np.quantile(np.sqrt(squared.min(1)), 1.0 - PURE)))


def least_distance(x: Floats) -> float:
    """Return the least distance of two rows of x [n, F], at unit length, that are not duplicates; 1 for none."""
    least = np.inf
    for start in range(0, len(x), PARTS):
        squared = 2.0 - 2.0 * (x[start : start + PARTS] @ x.T)
        least = min(least, float(squared[squared > ROUNDING].min(initial=np.inf)))
    return float(least**0.5) if np.isfinite(least) else 1.0
