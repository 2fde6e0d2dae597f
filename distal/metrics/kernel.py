"""Compute the kernel distance (KID): the unbiased squared MMD under the cubic polynomial kernel.

Binkowski et al. 2018, section 4: k(x, y) = (x'y / F + 1)^3 and equation 4's U-statistic

    MMD^2 = sum_{i != j} k(x_i, x_j) / n(n-1) + sum_{i != j} k(y_i, y_j) / m(m-1) - 2 sum_{ij} k(x_i, y_j) / nm.

The paper averages it over random subsets; here it is taken over all pairs, in blocks, which has the smallest variance
of all and needs no random numbers. It may be negative: it is unbiased, so its expectation at equal laws is zero.
"""

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.errors import EvaluationError

BLOCK = 1024  # rows and columns of a block: 8 MiB of float64


def kernel_sum(x: Tensor, y: Tensor, comm: Communicator) -> Tensor:
    """Return the float64 sum of k(x_i, y_j) over all pairs of x [n, F] and y [m, F], blocks of x shared among ranks.

    Every rank holds the same x and y, and gets the same sum. Memory beyond the inputs: about BLOCK x BLOCK.
    """
    total = torch.zeros(1, dtype=torch.float64, device=x.device)
    for first in range(comm.rank * BLOCK, len(x), comm.size * BLOCK):
        for other in range(0, len(y), BLOCK):
            total += _kernel(x[first : first + BLOCK], y[other : other + BLOCK]).sum()
    comm.sum_([total])
    return total[0]


def within_sum(x: Tensor, comm: Communicator) -> Tensor:
    """Return the float64 sum of k(x_i, x_j) over the ordered pairs i != j of x [n, F]."""
    total = kernel_sum(x, x, comm)
    for first in range(0, len(x), BLOCK):
        squares = x[first : first + BLOCK].double().square().sum(1)
        total -= (squares / x.shape[1] + 1).pow(3).sum()
    return total


def kernel_distance(x: Tensor, y: Tensor, comm: Communicator, within_x: float | None = None) -> float:
    """Return the unbiased MMD^2 of reference features x [n, F] and generated features y [m, F].

    within_x: `within_sum(x)` where it is known already. Raises EvaluationError for fewer than two rows on a side.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise EvaluationError(f"The kernel distance needs two images on each side; there are {n} and {m}.")
    xx = float(within_sum(x, comm)) if within_x is None else within_x
    yy, xy = float(within_sum(y, comm)), float(kernel_sum(x, y, comm))
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() @ y.double().T / x.shape[1] + 1).pow(3)
