"""Regularize the weights of whichever network learns, G in its phase and D in its own. Biases are left alone."""

from collections.abc import Iterator

import torch
from torch import Tensor

from distal.losses.regularizers.registry import regularizer
from distal.losses.regularizers.step import StepTensors


@regularizer("orthogonal", player="both", lazy=True, default=1e-4, per_pixel=False)
def orthogonal(step: StepTensors) -> Tensor:
    """sum |W W' * (1 - I)|^2 over matrices W of rows by all else: BigGAN, Brock et al. 2019, eq. 3, lambda 1e-4.

    Rows are asked to stand at right angles, their lengths are free.
    """
    products = (w.flatten(1) @ w.flatten(1).T for w in _matrices(step))
    return _total(p.square().sum() - p.diagonal().square().sum() for p in products)


@regularizer("l1", player="both", lazy=False, default=1e-5, per_pixel=False)
def l1(step: StepTensors) -> Tensor:
    """sum |w|: most weights end near zero."""
    return _total(w.abs().sum() for w in _matrices(step))


@regularizer("l2", player="both", lazy=False, default=1e-4, per_pixel=False)
def l2(step: StepTensors) -> Tensor:
    """1/2 sum w^2. Its gradient goes through Adam's division; `train.weight_decay` with adamw does not."""
    return 0.5 * _total(w.square().sum() for w in _matrices(step))


def _matrices(step: StepTensors) -> Iterator[Tensor]:
    return (w.float() for w in step.learner.parameters() if w.ndim > 1)


def _total(terms: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
