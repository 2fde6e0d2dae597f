"""The metric ``mind``: the sliced Wasserstein distance, which a thousand images tell well.

Features are projected onto random directions, where optimal transport is sorting, and the squared 2-Wasserstein
distances are averaged; it is the idea of MIND (Berthet et al. 2026, arXiv 2605.06797), which takes Inception's
features. Times the number of features it is on the scale of the Frechet distance: two clouds that differ by a shift
alone are the squared length of the shift apart, on average over directions.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from distal.communicator import Communicator
from distal.metrics.kernel import Estimate
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score
from distal.streams import normal

DIRECTIONS = 1024
BLOCK = 64
"""Directions at a time: two arrays of 4,096 x 64 stay in the cache."""


def sliced_wasserstein(x: Tensor, y: Tensor, comm: Communicator) -> Estimate:
    """Return F times the mean squared 1-d Wasserstein distance of x [n, F] and y [m, F]; directions shared among ranks.

    The directions are the same every time. The error is that of the mean over directions alone, not over images.
    """
    directions = normalize(normal((DIRECTIONS, x.shape[1]), 0, "slices")).to(x.device)
    squares = torch.zeros(DIRECTIONS, dtype=torch.float64, device=x.device)
    for first in range(comm.rank * BLOCK, DIRECTIONS, comm.size * BLOCK):
        some = slice(first, first + BLOCK)
        squares[some] = squared_transport(x @ directions[some].T, y @ directions[some].T)
    comm.sum_([squares])
    squares *= x.shape[1]
    return Estimate(float(squares.mean()), float(squares.std() / DIRECTIONS**0.5))


def squared_transport(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of each column of x [n, L] and y [m, L], float64 [L], n and m any.

    It is the integral of the squared difference of the two quantile functions, which are steps: of width 1/n and 1/m.
    """
    x, y = x.double().sort(0).values, y.double().sort(0).values
    n, m = len(x), len(y)
    if n == m:
        return (x - y).square().mean(0)
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / nm, so that they are whole
    widths = torch.from_numpy(np.diff(ends, prepend=0)).to(x) / (n * m)
    of_x, of_y = (torch.from_numpy((ends - 1) // step).to(x.device) for step in (m, n))
    gaps: Tensor = widths @ (x[of_x] - y[of_y]).square()
    return gaps


def mind_scores(e: Evaluation) -> list[Score]:
    """Return the distance of at most KERNEL_ROWS images a side."""
    return [e.compared(MIND.score_name(e.extractor.name), lambda x, y: sliced_wasserstein(x, y, e.comm))]


MIND = Metric(
    "mind", "Sliced Wasserstein distance", better="lower", function=mind_scores, of_features=True, inception="mind"
)
