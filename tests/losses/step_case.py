"""A step of a discriminator that is a formula, for the tests of regularizers."""

from collections.abc import Callable
from typing import Any, Literal

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


class Shifted:
    """Augment by adding 1; leave what is generated as it is."""

    def as_seen(self, images: Tensor) -> Tensor:
        return images

    def again(self, images: Tensor, name: str) -> Tensor:
        return images + 1


def step_of(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    uniforms: Tensor | None = None,
    player: Literal["G", "D"] = "D",
    G: Any = None,
    latents: Tensor | None = None,
    **state: Any,
) -> StepTensors:
    """Return a step whose D is this function and which saw x [2 n, C, H, W]."""
    n = len(x) // 2
    draws = torch.zeros(n, 1) if uniforms is None else uniforms
    D: Any = Formula(function)
    z = x[:n] if latents is None else latents
    y = torch.zeros(2 * n, 1, dtype=x.dtype)
    numbers = lambda name, k: draws  # noqa: E731
    return StepTensors(player, G or D, D, x, x, function(x), y, z, n, Alone(), "fp32", state, numbers, Shifted())
