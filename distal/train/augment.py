"""Augment images differentiably, real and generated alike, so that few data do not teach D by heart.

Zhao et al. 2020 (DiffAugment): D sees T(x) and T(G(z)), and G learns through T. Every random number is handed in: row i
of the global batch has its own uniforms from the step's stream, so a batch cut over any number of ranks is augmented
alike. Edges are repeated outwards, not filled with a colour: a border that no real image has would be a tell.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distal.registry import Registry


@dataclass(frozen=True)
class Augmentation:
    """Hold a function (images [n, C, H, W] in [-1, 1], uniforms [n, draws] in [0, 1)) to images of the same shape."""

    function: Callable[[Tensor, Tensor], Tensor]
    draws: int


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "train.augment", "augmentation", "distal.augmentations", kind=Augmentation
)


def augmentation(
    name: str, draws: int
) -> Callable[[Callable[[Tensor, Tensor], Tensor]], Callable[[Tensor, Tensor], Tensor]]:
    """Register a differentiable augmentation that uses this many uniforms for each image."""

    def register(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        AUGMENTATIONS.add(name, Augmentation(function, draws), function)
        return function

    return register


def _resample(x: Tensor, positions: Tensor, grid: Tensor, first: float = 0.0) -> Tensor:
    """Return square images x [n, C, S, S] at fractional positions [n, 2, S] in pixels, bilinear, edges repeated.

    positions: of rows, and of columns. grid: where the pixels are, [S] in steps of 1 from `first`. Bilinear
    interpolation is separable: the rows' [S, S] matrix times the image times the columns' transposed; a matrix product
    is differentiable, fast and exact for whole pixels.
    """
    n, channels, side, _ = x.shape
    distance = (positions.clamp(first, first + side - 1)[..., None] - grid).abs()
    weights = (1 - distance).clamp(min=0).to(x.dtype)[:, None].expand(-1, channels, -1, -1, -1)
    down, across = weights.reshape(n * channels, 2, side, side).unbind(1)
    return torch.bmm(torch.bmm(down, x.reshape(n * channels, side, side)), across.mT).view(n, channels, side, side)


def _grid(x: Tensor, like: Tensor, first: float = 0.0) -> Tensor:
    return torch.arange(first, first + x.shape[-1], device=x.device, dtype=like.dtype)


@augmentation("translation", draws=2)
def translation(x: Tensor, u: Tensor) -> Tensor:
    """Shift by whole pixels, each axis uniformly in -side/8 .. side/8 (DiffAugment's range)."""
    reach, grid = x.shape[-1] // 8, _grid(x, u)
    shift = torch.floor(u * (2 * reach + 1)) - reach
    return _resample(x, shift[:, :, None] + grid, grid)


@augmentation("zoom", draws=2)
def zoom(x: Tensor, u: Tensor) -> Tensor:
    """Stretch each axis about the centre by a factor of exp(-0.15) .. exp(0.15)."""
    factor, first = torch.exp(0.3 * u - 0.15), -(x.shape[-1] - 1) / 2  # pixels are counted from the centre
    grid = _grid(x, u, first)
    return _resample(x, grid * factor[:, :, None], grid, first)


@augmentation("flip", draws=1)
def flip(x: Tensor, u: Tensor) -> Tensor:
    """Mirror left and right with probability 1/2; not for digits or letters."""
    return torch.where((u < 0.5)[:, :, None, None], x.flip(3), x)


@augmentation("cutout", draws=2)
def cutout(x: Tensor, u: Tensor) -> Tensor:
    """Grey out a square of half the side whose centre is anywhere (DeVries & Taylor 2017; DiffAugment's ratio 0.5)."""

    def inside(side: int, v: Tensor) -> Tensor:
        centre = torch.floor(v * side)
        return (torch.arange(side, device=x.device) - centre).abs() < max(side // 4, 1)

    hole = inside(x.shape[2], u[:, :1])[:, None, :, None] & inside(x.shape[3], u[:, 1:])[:, None, None, :]
    return x * ~hole


@augmentation("brightness", draws=1)
def brightness(x: Tensor, u: Tensor) -> Tensor:
    """Add a constant of -0.5 .. 0.5 to the whole image (DiffAugment)."""
    return x + (u - 0.5)[:, :, None, None]


@augmentation("contrast", draws=1)
def contrast(x: Tensor, u: Tensor) -> Tensor:
    """Scale the image about its mean by 0.5 .. 1.5 (DiffAugment)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (u + 0.5)[:, :, None, None] + mean


def draws(augmentations: Sequence[Augmentation]) -> int:
    """Return how many uniforms one image needs for all of them."""
    return sum(a.draws for a in augmentations)


def augment(x: Tensor, uniforms: Tensor, augmentations: Sequence[Augmentation]) -> Tensor:
    """Apply the augmentations in order: x [n, C, H, W], uniforms [n, draws], the same shape out."""
    for a, u in zip(augmentations, torch.split(uniforms, [a.draws for a in augmentations], 1), strict=True):
        x = a.function(x, u)
    return x
