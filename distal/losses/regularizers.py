"""Regularizers R(G, D): functions of a step's tensors to a scalar, by name, each with its weight lambda.

A regularizer says whose loss it joins (G, D or both) and whether it may be lazy: applied every n-th step with
weight n, which leaves the expected gradient as it is (StyleGAN2, Karras et al. 2020, section 3.1). It must be a mean
over rows, so that a batch cut over ranks gives the same gradient. Its configured weight may be null: `default` scaled
by the pixels of an image, because the squared gradient of the same function of the same picture falls as 1 / pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from distal.errors import ConfigError, nearest_name
from distal.plugins import known_names, load_plugin

ENTRY_POINTS = "distal.regularizers"

Player = Literal["G", "D", "both"]


@dataclass(eq=False)
class StepTensors:
    """Hold what one phase of a step computed, for regularizers to use.

    images: float [2 n, C, H, W], what D saw: n real images, then n generated ones. In D's phase they require a gradient
    when a regularizer is due; in G's phase the graph of the generated half reaches G. logits: float [2 n].
    y: float [2 n, K], the classes that each row was judged under.
    """

    images: Tensor
    logits: Tensor
    y: Tensor

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.images) // 2

    @cached_property
    def squared_gradients(self) -> Tensor:
        """Return |grad_x D(x, y)|^2 of each row, float32 [2 n], differentiable.

        One backward pass serves R1 and R2: row i of the sum of logits depends on row i of the images alone, because no
        layer mixes a batch.
        """
        (gradient,) = torch.autograd.grad(self.logits.sum(), self.images, create_graph=True)
        return gradient.float().square().flatten(1).sum(1)


@dataclass(frozen=True)
class Regularizer:
    """Hold a regularizer and what it declares. default: lambda for an image of one pixel."""

    name: str
    function: Callable[[StepTensors], Tensor]
    player: Player
    lazy: bool
    default: float

    def weight(self, configured: float | None, pixels: int) -> float:
        """Return lambda: the configured one, or the default scaled by the pixels (height x width) of an image."""
        return self.default * pixels if configured is None else configured


REGULARIZERS: dict[str, Regularizer] = {}


def regularizer(
    name: str, player: Player, lazy: bool, default: float
) -> Callable[[Callable[[StepTensors], Tensor]], Callable[[StepTensors], Tensor]]:
    """Register a function of StepTensors to a scalar under a name. default: lambda per pixel when configured null."""

    def register(function: Callable[[StepTensors], Tensor]) -> Callable[[StepTensors], Tensor]:
        REGULARIZERS[name] = Regularizer(name, function, player, lazy, default)
        return function

    return register


PENALTY_PER_PIXEL = 0.05 / 64


@regularizer("r1", player="D", lazy=True, default=PENALTY_PER_PIXEL)
def r1(step: StepTensors) -> Tensor:
    """1/2 E |grad_x D(x, y)|^2 over real images: Mescheder et al. 2018, eq. 9. Times lambda (their gamma)."""
    return 0.5 * step.squared_gradients[: step.rows].mean()


@regularizer("r2", player="D", lazy=True, default=PENALTY_PER_PIXEL)
def r2(step: StepTensors) -> Tensor:
    """1/2 E |grad_x D(G(z), y)|^2 over generated images: Mescheder et al. 2018, eq. 10.

    The relativistic loss needs it beside R1: with R1 alone it diverges (R3GAN, Huang et al. 2024, section 2.2).
    """
    return 0.5 * step.squared_gradients[step.rows :].mean()


def get_regularizers(weights: Mapping[str, float | None], pixels: int) -> dict[str, tuple[Regularizer, float]]:
    """Return each configured regularizer with its lambda, those of weight 0 left out. ConfigError for unknown names."""
    chosen: dict[str, tuple[Regularizer, float]] = {}
    for name, configured in weights.items():
        regularizer = get_regularizer(name)
        weight = regularizer.weight(configured, pixels)
        if weight > 0:
            chosen[name] = (regularizer, weight)
    return chosen


def get_regularizer(name: str) -> Regularizer:
    """Return the regularizer of this name. ConfigError with the known names where there is none."""
    if name not in REGULARIZERS:
        load_plugin(ENTRY_POINTS, name)  # importing it registers it
    if name not in REGULARIZERS:
        known = known_names(ENTRY_POINTS, REGULARIZERS)
        hint = nearest_name(name, known)
        raise ConfigError(
            f"train.regularizers: unknown name '{name}'{'; ' + hint if hint else '.'}\nKnown: {', '.join(known)}."
        )
    return REGULARIZERS[name]
