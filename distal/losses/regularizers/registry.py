"""Register regularizers R(G, D): functions of a step's tensors to a scalar, by name, each with its weight lambda.

A regularizer says whose loss it joins (G, D or both) and whether it may be lazy: applied every n-th step with
weight n, which leaves the expected gradient as it is (StyleGAN2, Karras et al. 2020, section 3.1). It must be a mean
over this rank's rows, or a function of weights and of `StepTensors.mean`, so that a batch cut over ranks gives the same
gradient. Its configured weight may be null: `default`, scaled by the pixels of an image where it is `per_pixel`,
because the squared gradient of the same function of the same picture falls as 1 / pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from distal.losses.regularizers.step import StepTensors
from distal.registry import Registry

Player = Literal["G", "D", "both"]


@dataclass(frozen=True)
class Regularizer:
    """Hold a regularizer and what it declares.

    default: lambda, for an image of one pixel where it is per_pixel. per_row: it takes the gradient of each row's logit
    by its own image, or a difference in place of one, so D must not mix a batch. by_images: in D's phase it
    differentiates by the images that D saw, which costs a pass through what D looks at them with. varies: it asks for
    images augmented once more, so that there must be an augmentation. state: names of the numbers that it keeps from
    step to step, zero at first.
    """

    name: str
    function: Callable[[StepTensors], Tensor]
    player: Player
    lazy: bool
    default: float
    per_pixel: bool = True
    per_row: bool = False
    by_images: bool = False
    varies: bool = False
    state: tuple[str, ...] = ()

    def weight(self, configured: float | None, pixels: int, penalized: bool = True) -> float:
        """Return lambda: the configured one, or the default for the pixels (height x width) of an image.

        penalized: whether a default penalty on rows' gradients is wanted; through a frozen network it is not.
        """
        if configured is None and self.per_row and not penalized:
            return 0.0
        return self.default * (pixels if self.per_pixel else 1) if configured is None else configured


REGULARIZERS: Registry[Regularizer] = Registry(
    "model.regularizers", "regularizer", "distal.regularizers", kind=Regularizer
)


def regularizer(
    name: str,
    player: Player,
    lazy: bool,
    default: float,
    per_pixel: bool = True,
    per_row: bool = False,
    by_images: bool = False,
    varies: bool = False,
    state: tuple[str, ...] = (),
) -> Callable[[Callable[[StepTensors], Tensor]], Callable[[StepTensors], Tensor]]:
    """Register a function of StepTensors to a scalar under a name, with what `Regularizer` declares."""

    def register(function: Callable[[StepTensors], Tensor]) -> Callable[[StepTensors], Tensor]:
        made = Regularizer(name, function, player, lazy, default, per_pixel, per_row, by_images, varies, state)
        REGULARIZERS.add(name, made, function)
        return function

    return register


def get_regularizers(
    weights: Mapping[str, float | None], pixels: int, penalized: bool = True
) -> dict[str, tuple[Regularizer, float]]:
    """Return each configured regularizer with its lambda, those of weight 0 left out: see `Regularizer.weight`.

    Raises ConfigError for unknown names.
    """
    chosen: dict[str, tuple[Regularizer, float]] = {}
    for name, configured in weights.items():
        regularizer = REGULARIZERS.find(name)
        weight = regularizer.weight(configured, pixels, penalized)
        if weight > 0:
            chosen[name] = (regularizer, weight)
    return chosen
