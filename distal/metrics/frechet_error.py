"""Estimate by how much a Frechet distance of few images would vary over other samples of as many.

The distance is a smooth function of the two samples' moments, so its variance is, to first order, that of its influence
function over each sample, divided by the sample's size (Huber 1981, chapter 1). Moving weight to an image x of the one
side changes it by

    |x - m|^2 + 2 (m - m') . (x - m) - (x - m)' T (x - m),

up to a constant: T is the linear map that carries this side's Gaussian to the other's at least cost, of which the
distance is the cost. The bias, which few images have as well, is none of this.
"""

import torch
from torch import Tensor

SMALLEST = 1e-10
"""Eigenvalues below this share of the largest are rounding; what they would weigh is zero."""


def frechet_error(x: Tensor, y: Tensor) -> float | None:
    """Return the standard error of the distance of features x [n, F] and y [m, F], over samples on both sides.

    None for fewer than three rows on a side.
    """
    if min(len(x), len(y)) < 3:
        return None
    x, y = x.double(), y.double()
    gap, a, b = x.mean(0) - y.mean(0), x - x.mean(0), y - y.mean(0)
    a_half, b_half = a / (len(a) - 1) ** 0.5, b / (len(b) - 1) ** 0.5
    from_x, from_y = _transport(a_half, b_half)
    variance = 0.0
    for rows, mine, transported in ((a, gap, from_x * (len(a) - 1)), (b, -gap, from_y * (len(b) - 1))):
        influence = rows.square().sum(1) + 2 * rows @ mine - transported
        variance += float(influence.var()) / len(rows)
    return float(variance**0.5)


def _transport(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return a_i' T a_i for the rows of a [n, F], and b_j' T' b_j for those of b [m, F].

    With M = a b' = U s V' these are the diagonals of (M M')^(1/2) = U s U' and V s V'. U and s come of the smaller side
    of M, which eigenvalues of M M' tell well enough for an error, and V of M' U. Where there are more rows than
    features, R of a = Q R stands for a: its M has the same U, but for Q.
    """
    if len(a) > len(b):
        of_b, of_a = _transport(b, a)
        return of_a, of_b
    q, rows = torch.linalg.qr(a) if len(a) > a.shape[1] else (None, a)
    m = rows @ b.T
    squares, u = torch.linalg.eigh(m @ m.T)
    known = squares > SMALLEST * squares[-1]
    s, u = squares[known].sqrt(), u[:, known]
    return (u if q is None else q @ u).square() @ s, (m.T @ u).square() @ (1 / s)
