"""Find which generated images lie among the real ones, and which real ones among the generated: by nearest neighbours.

A sample's manifold is the union of balls around its images, each as wide as the way to its k-th neighbour in the sample
(Kynkaanniemi et al. 2019, equations 1 and 2). What the four metrics on it need is counted in one pass over all pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.metrics.kernel import BLOCK

PRECISION_K = 3
"""Neighbours of precision and recall (Kynkaanniemi et al. 2019, section 3)."""

DENSITY_K = 5
"""Neighbours of density and coverage (Naeem et al. 2020, section 4)."""


@dataclass(frozen=True)
class Neighbours:
    """Hold what was counted over real images [n] and generated ones [m], the same on every rank.

    realistic: bool [m], in a real image's ball of PRECISION_K. found: bool [n], in a generated image's. around: int64
    [m], in how many real images' balls of DENSITY_K. covered: bool [n], whether a generated image is in its ball of
    DENSITY_K.
    """

    realistic: Tensor
    found: Tensor
    around: Tensor
    covered: Tensor

    @classmethod
    def count(cls, real: Tensor, generated: Tensor, comm: Communicator) -> "Neighbours":
        """Compare features [n, F] and [m, F], over DENSITY_K on each side; blocks are shared among the ranks."""
        shift = real.double().mean(0).to(real)  # distances are differences of squares: the smaller, the less is rounded
        x, y = real - shift, generated - shift
        near, wide = radii(x, (PRECISION_K, DENSITY_K), comm)
        (reach,) = radii(y, (PRECISION_K,), comm)
        hits, around = (torch.zeros(len(y), dtype=torch.int64, device=y.device) for _ in range(2))
        found, covered = (torch.zeros(len(x), dtype=torch.int64, device=x.device) for _ in range(2))
        for first in range(comm.rank * BLOCK, len(x), comm.size * BLOCK):
            some = slice(first, first + BLOCK)
            squares = squared_distances(x[some], y)
            hits += (squares <= near[some, None]).sum(0)
            inside = squares <= wide[some, None]
            around += inside.sum(0)
            covered[some] = inside.any(1).long()
            found[some] = (squares <= reach).any(1).long()
        comm.sum_([hits, around, found, covered])
        return cls(hits > 0, found > 0, around, covered > 0)


def radii(x: Tensor, ks: tuple[int, ...], comm: Communicator) -> list[Tensor]:
    """Return the squared distance from each row of x [n, F] to its k-th nearest other row, [n] for each k."""
    found = torch.zeros(len(ks), len(x), dtype=x.dtype, device=x.device)
    for first in range(comm.rank * BLOCK, len(x), comm.size * BLOCK):
        squares = squared_distances(x[first : first + BLOCK], x)
        squares[:, first : first + BLOCK].fill_diagonal_(torch.inf)
        nearest = squares.topk(max(ks), 1, largest=False).values
        found[:, first : first + BLOCK] = nearest[:, [k - 1 for k in ks]].T
    comm.sum_([found])
    return list(found)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i - y_j|^2, [n, m], at least 0."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_(min=0.0)
