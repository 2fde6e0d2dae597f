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


def _resample(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return x at fractional positions [n, H] and [n, W] in pixels, bilinear, edges repeated.

    Bilinear interpolation is separable: rows' [H, H] matrix times the image times columns' transposed; a matrix product
    is differentiable, fast and exact for whole pixels.
    """

    def matrix(position: Tensor, side: int) -> Tensor:
        position = position.clamp(0, side - 1)
        grid = torch.arange(side, device=position.device, dtype=position.dtype)
        return (1 - (position[:, :, None] - grid).abs()).clamp(min=0)

    down = matrix(rows, x.shape[2])[:, None].to(x.dtype)
    across = matrix(columns, x.shape[3])[:, None].to(x.dtype)
    return down @ x @ across.transpose(2, 3)


@augmentation("translation", draws=2)
def translation(x: Tensor, u: Tensor) -> Tensor:
    """Shift by whole pixels, each axis uniformly in -side/8 .. side/8 (DiffAugment's range)."""
    height, width = x.shape[2:]
    reach = torch.tensor([height // 8, width // 8], device=x.device)
    shift = torch.floor(u * (2 * reach + 1)) - reach
    rows = torch.arange(height, device=x.device) + shift[:, :1]
    columns = torch.arange(width, device=x.device) + shift[:, 1:]
    return _resample(x, rows, columns)


@augmentation("zoom", draws=2)
def zoom(x: Tensor, u: Tensor) -> Tensor:
    """Stretch each axis about the centre by a factor of exp(-0.15) .. exp(0.15)."""
    factor = torch.exp((2 * u - 1) * 0.15)

    def positions(side: int, f: Tensor) -> Tensor:
        centre = (side - 1) / 2
        return centre + (torch.arange(side, device=x.device) - centre) * f

    return _resample(x, positions(x.shape[2], factor[:, :1]), positions(x.shape[3], factor[:, 1:]))


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
