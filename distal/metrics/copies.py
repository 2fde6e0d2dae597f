"""Find which images copy a training image, by how near held-out images come to one.

An image is close to training where the way to its nearest training image is short beside that to its NEIGHBOURS nearest
(Carlini et al. 2023 judge diffusion models by such a ratio): in a dense region every image has near neighbours, and
none is a copy. How short is too short the held-out images say, which are no copies and differ from training as the
pool's images differ from one another: of these about CHANCE are closer (the idea of Meehan et al. 2020, image by
image). That holds in two spaces: frozen features, which see a shifted copy, and pixels, which see an exact one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from distal.metrics.neighbours import squared_distances

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

NEIGHBOURS = 50
CHANCE = 0.01
"""About the share of held-out images that would be called copies: half of it by features, half by pixels."""

SIDE = 32
"""Pixels are compared at this side at most, by areas: a copy stays one, and noise of single pixels hides none."""

EXACT = 1e-6
BLOCK = 512


@dataclass(frozen=True)
class Seen:
    """Hold images twice: features float32 [n, d], and pixels uint8 [n, C, S, S]."""

    features: Tensor
    pixels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def spaces(self) -> tuple[Tensor, Tensor]:
        """Return the rows [n, .] whose distances are compared, by features and by pixels."""
        side = min(SIDE, self.pixels.shape[-1])
        small = [adaptive_avg_pool2d(part.float(), side) for part in torch.split(self.pixels, BLOCK)]
        return self.features, torch.cat(small).flatten(1) if small else self.pixels.float().flatten(1)


@dataclass(frozen=True)
class Copies:
    """Hold what was found of each image, and of the held-out ones for comparison.

    nearest: int64 [n], the training image that it comes closest to. closeness: float64 [n], below 1 where it is closer
    to that than the bound from the held-out images. copied: bool [n]. chance: the share that would be called copies
    were they held-out images. The same of the m held-out images: held_nearest, held_closeness.
    """

    nearest: Ints
    closeness: Doubles
    copied: Bools
    chance: float
    held_nearest: Ints
    held_closeness: Doubles

    @property
    def count(self) -> int:
        """Return how many images are copies."""
        return int(self.copied.sum())

    @property
    def more_than_chance(self) -> bool:
        """Say whether there are more copies than two standard errors above chance."""
        n, m = len(self.copied), len(self.held_nearest)
        spread = (self.chance * (1 - self.chance) * (1 / max(n, 1) + 1 / max(m, 1))) ** 0.5
        return bool(self.count > n * (self.chance + 2 * spread))


def find_copies(images: Seen, held_out: Seen, training: Seen) -> Copies:
    """Compare images with training images, at least two of these and one held out; which of them may be many."""
    found, held, chance = [], [], 0.0
    for x, reference, known in zip(images.spaces(), held_out.spaces(), training.spaces(), strict=True):
        ratio, nearest = closeness(x, known)
        usual, usual_nearest = closeness(reference, known)
        rank = int(CHANCE / 2 * len(usual))
        bound = max(float(np.sort(usual)[rank]), EXACT)
        chance += (rank + 1) / (len(usual) + 1)  # exactly so, where an image is drawn like those held out
        found.append((ratio / bound, nearest))
        held.append((usual / bound, usual_nearest))
    ratios, nearest = _closer(found)
    held_ratios, held_nearest = _closer(held)
    return Copies(nearest, ratios, ratios < 1, min(1.0, chance), held_nearest, held_ratios)


def closeness(x: Tensor, training: Tensor) -> tuple[Doubles, Ints]:
    """Return |x - t_1| / mean_k |x - t_k| over the NEIGHBOURS nearest training rows, in [0, 1], and which t_1 is.

    x: [n, F]. training: [t, F], t at least 2. Where all these are the same image as x, the ratio is 0.
    """
    shift = training.double().mean(0)
    count = min(NEIGHBOURS, len(training))
    ratios, nearest = [np.zeros(0)], [np.zeros(0, np.int64)]
    for rows in torch.split(x, BLOCK):
        rows = rows.double() - shift
        squares = torch.cat(
            [squared_distances(rows, part.double() - shift) for part in torch.split(training, BLOCK)], 1
        )
        least, which = squares.topk(count, 1, largest=False)
        ways = least.sqrt()
        ratios.append((ways[:, 0] / ways.mean(1).clamp(min=1e-12)).cpu().numpy())
        nearest.append(which[:, 0].cpu().numpy())
    return np.concatenate(ratios), np.concatenate(nearest)


def _closer(spaces: list[tuple[Doubles, Ints]]) -> tuple[Doubles, Ints]:
    """Return of each image what the space says in which it is closer to training."""
    ratios, nearest = (np.stack(each) for each in zip(*spaces, strict=True))
    best, rows = ratios.argmin(0), np.arange(ratios.shape[1])
    return ratios[best, rows], nearest[best, rows]
