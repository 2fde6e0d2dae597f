"""Compute kernel distances: the unbiased squared MMD of two samples, with its standard error.

Gretton et al. 2012, equation 3, the U-statistic

    MMD^2 = sum_{i != j} k(x_i, x_j) / n(n-1) + sum_{i != j} k(y_i, y_j) / m(m-1) - 2 sum_{ij} k(x_i, y_j) / nm,

which is KID's under the cubic kernel k(x, y) = (x'y / F + 1)^3 (Binkowski et al. 2018, section 4). KID averages it over
random subsets; here it is taken over all pairs, in blocks, which has the smallest variance of all and needs no random
numbers. It may be negative: it is unbiased, so its expectation at equal laws is zero. The standard error is the
jackknife's for a statistic of two samples (Arvesen 1969): each row is left out in turn, which its sum over the other
rows tells without another pass.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.errors import EvaluationError

BLOCK = 1024  # rows and columns of a block: 8 MiB of float64

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Takes rows [a, F] and [b, F], gives k of each pair, float64 [a, b]. Products are of the rows' own type: in float32
the rounding of one pair is 1e-7, of the mean over millions far less, and it takes half the time."""


class Estimate(NamedTuple):
    """Hold a value and its standard error, None where a side has too few images to tell."""

    value: float
    error: float | None


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """Return (x'y / F + 1)^3."""
    return ((x @ y.T).double() / x.shape[1] + 1).pow(3)


def cross_sums(x: Tensor, y: Tensor, comm: Communicator, kernel: Kernel = cubic) -> tuple[Tensor, Tensor]:
    """Return sum_j k(x_i, y_j) [n] and sum_i k(x_i, y_j) [m], float64, blocks of x shared among the ranks.

    Every rank holds the same x [n, F] and y [m, F], and gets the same sums. Memory beyond the inputs: some blocks.
    """
    rows, columns = (torch.zeros(len(z), dtype=torch.float64, device=z.device) for z in (x, y))
    for first in range(comm.rank * BLOCK, len(x), comm.size * BLOCK):
        block = x[first : first + BLOCK]
        for other in range(0, len(y), BLOCK):
            k = kernel(block, y[other : other + BLOCK])
            rows[first : first + BLOCK] += k.sum(1)
            columns[other : other + BLOCK] += k.sum(0)
    comm.sum_([rows, columns])
    return rows, columns


def within_sums(x: Tensor, comm: Communicator, kernel: Kernel = cubic) -> Tensor:
    """Return sum_{j != i} k(x_i, x_j) for each row of x [n, F], float64 [n]; k of one pair is computed once."""
    rows = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for first in range(comm.rank * BLOCK, len(x), comm.size * BLOCK):
        block = x[first : first + BLOCK]
        k = kernel(block, block).fill_diagonal_(0.0)
        rows[first : first + BLOCK] += k.sum(1)
        for other in range(first + BLOCK, len(x), BLOCK):
            k = kernel(block, x[other : other + BLOCK])
            rows[first : first + BLOCK] += k.sum(1)
            rows[other : other + BLOCK] += k.sum(0)
    comm.sum_([rows])
    return rows


def kernel_distance(
    x: Tensor, y: Tensor, comm: Communicator, within_x: Tensor | None = None, kernel: Kernel = cubic
) -> Estimate:
    """Return the unbiased MMD^2 of reference features x [n, F] and generated features y [m, F], and its error.

    within_x: `within_sums(x)` where it is known already. The error is over other samples on both sides; with fewer than
    three rows on one it is None. Raises EvaluationError for fewer than two rows on a side.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise EvaluationError(f"The kernel distance needs two images on each side; there are {n} and {m}.")
    xx = within_sums(x, comm, kernel) if within_x is None else within_x
    yy = within_sums(y, comm, kernel)
    xy, yx = cross_sums(x, y, comm, kernel)
    value = xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * xy.sum() / (n * m)
    if min(n, m) < 3:
        return Estimate(float(value), None)
    return Estimate(float(value), float((_left_out(xx, xy, m) + _left_out(yy, yx, n)) ** 0.5))


def _left_out(within: Tensor, cross: Tensor, others: int) -> Tensor:
    """Return the jackknife's variance from leaving out each row of one side, whose sums these are."""
    n = len(within)
    own = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    values = own - 2 * (cross.sum() - cross) / ((n - 1) * others)
    return (n - 1) / n * (values - values.mean()).square().sum()
