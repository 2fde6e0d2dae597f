"""A step of a discriminator that is a formula, for the tests of regularizers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distal.communicator import Alone
from distal.losses.regularizers import StepTensors


class Formula:
    """D(x) by a function of images [n, C, H, W] to logits [n]; its features are the images."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def features(self, x: Tensor) -> Tensor:
        return x

    def logits(self, features: Tensor, y: Tensor) -> Tensor:
        return self.function(features)


def step_of(
    function: Callable[[Tensor], Tensor], x: Tensor, uniforms: Tensor | None = None, **state: Any
) -> StepTensors:
    """Return a step whose D is this function and which saw x [2 n, C, H, W]."""
    n = len(x) // 2
    draws = torch.zeros(n, 1) if uniforms is None else uniforms
    D: Any = Formula(function)
    return StepTensors(
        D, D, x, x, function(x), torch.zeros(2 * n, 1), x[:n], n, Alone(), "fp32", state, lambda name, k: draws
    )
