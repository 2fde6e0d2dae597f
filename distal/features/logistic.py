"""Fit multinomial logistic regression to its optimum, in float64."""

import torch
from torch import Tensor

STEPS = 100
"""Newton's steps at most. From zero it takes about ten."""

SUFFICIENT = 1e-4
"""The share of the promised descent that a step must bring (Armijo 1966)."""


def fit_logistic(
    x: Tensor, targets: Tensor, weights: Tensor, strength: float, start: Tensor | None = None, tolerance: float = 1e-8
) -> Tensor:
    """Return the coefficients [d + 1, K] of rows [m, d] for targets [m, K], the last row being the intercepts.

    Minimises sum_i weights_i CE_i + ||W||^2 / (2 strength), intercepts free: scikit-learn's objective with C =
    strength. Newton's method whose steps come of conjugate gradients (Nash & Nocedal 1991), from start or zero, until
    no entry of the gradient exceeds tolerance times the sum of weights. A row of targets sums to 1.
    """
    x = torch.cat([x, x.new_ones(len(x), 1)], 1)
    penalty = x.new_full((x.shape[1], 1), 1.0 / strength)
    penalty[-1] = 0.0
    column = weights[:, None]
    w = x.new_zeros(x.shape[1], targets.shape[1]) if start is None else start

    def objective(logits: Tensor, w: Tensor) -> float:
        return float(0.5 * (penalty * w * w).sum() - (column * targets * logits.log_softmax(1)).sum())

    logits = x @ w
    value = objective(logits, w)
    for _ in range(STEPS):
        p = logits.softmax(1)
        gradient = x.T @ (column * (p - targets)) + penalty * w
        if float(gradient.abs().max()) <= tolerance * float(weights.sum()):
            break
        step = _newton_step(x, p, column, penalty, gradient)
        moved, slope = x @ step, float((gradient * step).sum())
        length = 1.0
        while (new := objective(logits + length * moved, w + length * step)) > value + SUFFICIENT * length * slope:
            length *= 0.5
            if length < 1e-8:  # the value is as low as float64 can tell
                return w
        w, logits, value = w + length * step, logits + length * moved, new
    return w


def _newton_step(x: Tensor, p: Tensor, column: Tensor, penalty: Tensor, gradient: Tensor) -> Tensor:
    """Solve Hessian step = -gradient, the more exactly the nearer the optimum; the Hessian's diagonal preconditions."""
    diagonal = (x.square().T @ (column * p * (1.0 - p)) + penalty).clamp_min(1e-12)
    step = torch.zeros_like(gradient)
    residual = -gradient
    direction = residual / diagonal
    first = float(residual.square().sum())
    enough = first * min(0.25, first**0.25) ** 2
    square = float((residual * direction).sum())
    for _ in range(gradient.numel()):
        moved = x @ direction
        curved = x.T @ (column * p * (moved - (p * moved).sum(1, keepdim=True))) + penalty * direction
        length = square / float((direction * curved).sum())
        step = step + length * direction
        residual = residual - length * curved
        if float(residual.square().sum()) <= enough:
            break
        scaled = residual / diagonal
        before, square = square, float((residual * scaled).sum())
        direction = scaled + (square / before) * direction
    return step
