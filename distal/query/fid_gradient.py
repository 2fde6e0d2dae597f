"""Ask for the rows of which the generator draws too few, as the Frechet distance itself sees it.

Let G's images have mean m and covariance S in feature space, the real ones r and R, and d the squared Frechet distance

    d = |m - r|^2 + tr S + tr R - 2 tr (S R)^(1/2).

Were a share e of what G draws replaced by the row x, then m -> m + e (x - m) and S -> S + e ((x - m)(x - m)' - S) to
first order. With dd/dm = 2 (m - r) and dd/dS = I - T, where T = H (H' S H)^(-1/2) H', R = H H', is the optimal map
between the two Gaussians (T S T = R; Olkin and Pukelsheim 1982), the derivative at e = 0 is

    d'(x) = 2 (m - r)'(x - m) + (x - m)'(I - T)(x - m) - tr (I - T) S,

one quadratic form a row. tests/query/test_fid_gradient.py checks it against finite differences.
"""

import torch

from distal.query.nearest import ROWS
from distal.query.registry import score_strategy
from distal.query.view import STATISTICS, View


def frechet_slope(generated_covariance: torch.Tensor, real_covariance: torch.Tensor) -> torch.Tensor:
    """Return dd/dS = I - T, float64 [F, F]. Directions in which G or the real images do not vary count as T = 0."""
    values, vectors = torch.linalg.eigh(real_covariance.double())
    half = vectors * values.clamp(min=0.0).sqrt()
    values, vectors = torch.linalg.eigh(half.T @ generated_covariance.double() @ half)
    floor = values.abs().amax() * len(values) * torch.finfo(torch.float64).eps
    inverse = torch.where(values > floor, values.clamp(min=floor).rsqrt(), 0.0)
    carried = half @ vectors
    transport: torch.Tensor = (carried * inverse) @ carried.T
    return torch.eye(len(values), dtype=torch.float64, device=values.device) - transport


@score_strategy("fid_gradient", needs={"features", *STATISTICS})
def fid_gradient(view: View) -> torch.Tensor:
    """Return -d'(x), float64 [n]: how fast the distance falls when G takes up x.

    Products have one shape, so a row's bits do not depend on the rows beside it.
    """
    x, device = view.need("features"), view.need("features").device
    mean, covariance, real_mean, real_covariance = (view.need(name).to(device).double() for name in STATISTICS)
    slope = frechet_slope(covariance, real_covariance)
    pull = 2.0 * (mean - real_mean)
    level = (slope * covariance).sum()
    out = torch.empty(len(x), dtype=torch.float64, device=device)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS].double() - mean
        padded = torch.nn.functional.pad(rows, (0, 0, 0, ROWS - len(rows)))
        slopes = (padded * (padded @ slope + pull)).sum(1) - level
        out[start : start + ROWS] = -slopes[: len(rows)]
    return out
