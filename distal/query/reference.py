"""Compare every row with a reference: rows of the whole pool that all shards know, in products of one shape.

A sum over a pool that is cut into shards needs every row on every shard, or n x n similarities. So sums go over a
reference: all rows that may be asked or carry a label while these are at most WHOLE; beyond, about SAMPLE of them,
chosen by a hash of row id and round, the same however the pool is cut (`approximate`).

Exact in any order: a similarity in [0, 1] is rounded to a multiple of 1 / UNIT and held as a whole number in float32.
Sums of FEW of them, and in float64 of any number, are exact, so neither the cut nor the order of rows changes a bit.
The products that similarities come from have one shape, as in `distal.query.nearest`, for the same reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from distal.query.batch import Ask
from distal.query.nearest import ROUNDING, Floats, Rows
from distal.query.view import Bools, Doubles, Ints, View
from distal.streams import row_uniforms

WHOLE = 16_384  # rows up to which the reference is the pool itself
SAMPLE = 8_192  # rows of a sample of a larger pool: 42 MB of 1,280 features
UNIT = 2.0**18
GROUP = 512  # rows of the reference in one product
ROWS = 128  # rows compared with them: 512 x 128 float32 is 256 KiB, which stays in L2
FEW = 64  # similarities of at most UNIT that sum to at most 2^24, which float32 holds exactly


class Kernel(Protocol):
    """Turn cosines into similarities in [0, 1] times a scale, in place; picklable."""

    def __call__(self, cosines: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the similarities of rows at unit length with these cosines; scale: [m, 1]."""


@dataclass(frozen=True)
class Linear:
    """Be (1 + cos) / 2, which is 1 - |x - y|^2 / 4."""

    def __call__(self, cosines: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the similarities."""
        return cosines.add_(1.0).mul_(0.5 * scale)


@dataclass(frozen=True)
class Gaussian:
    """Be exp(-|x - y|^2 / width^2)."""

    width: float

    def __call__(self, cosines: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the similarities."""
        return cosines.sub_(1.0).mul_(2.0 / self.width**2).exp_().mul_(scale)


@dataclass(frozen=True)
class Ball:
    """Be 1 where |x - y| < radius, else 0; duplicates, which rounding may part, are always within."""

    radius: float

    def __call__(self, cosines: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the similarities."""
        return cosines.gt_(1.0 - max(self.radius**2, ROUNDING) / 2.0).mul_(scale)


class Pooled:
    """Be the part of a strategy's state that shards make a reference of; see `distal.query.batch.Cover`.

    factors: float [n, F_f] each: the embeddings, then what else the coordinator must know of a row of the reference.
    among: bool [n], the rows that the reference is drawn from.
    """

    def __init__(self, view: View, factors: tuple[torch.Tensor, ...], among: Bools) -> None:
        self.view, self.factors, self.among = view, factors, among
        self.device = factors[0].device
        norms = lengths(factors[0])
        self.inverse = inverse(norms)
        for factor in factors[1:]:
            norms = norms + 0.0 * factor.sum(1)  # what is not finite shows in the bound
        self.gains: Doubles = norms.double().cpu().numpy()

    def bound(self) -> Doubles:
        """Return float64 [n], never below the gain; lengths of the rows until the strategy is prepared."""
        return self.gains

    def population(self) -> int:
        """Return how many rows here the reference is drawn from."""
        return int(self.among.sum())

    def classes(self) -> int:
        """Return the number of classes, 0 where it is unknown."""
        return len(self.view.class_counts)

    def sample(self, total: int) -> Rows:
        """Return this shard's part of the reference; total: the population of all shards."""
        drawn = self.among
        if is_sampled(total):
            uniforms = row_uniforms(self.view.row_ids, self.view.seed, "query", "reference", self.view.round)
            drawn = drawn & (uniforms < SAMPLE / total)
        return self.rows(np.flatnonzero(drawn), self.view.row_ids)

    def rows(self, positions: Ints, row_ids: Ints) -> Rows:
        """Copy the rows at these positions to the host."""
        where = torch.from_numpy(positions).to(self.device)
        return Rows(row_ids[positions], tuple(f[where].float().cpu().numpy() for f in self.factors))


def is_sampled(population: int) -> bool:
    """Say whether a sample stands for a pool of so many rows."""
    return population > WHOLE


def gather(ask: Ask) -> Rows:
    """Fetch the reference from the shards, in order of row id."""
    total = sum(ask("population"))
    return Rows.concatenate(ask("sample", total))


def lengths(embeddings: torch.Tensor) -> torch.Tensor:
    """Return the lengths of rows [n, F], float32 [n], in blocks of one shape."""
    out = torch.empty(len(embeddings), device=embeddings.device)
    for start in range(0, len(embeddings), ROWS):
        norms = block_of(embeddings, slice(start, start + ROWS)).square().sum(1).sqrt_()
        out[start : start + ROWS] = norms[: len(embeddings) - start]
    return out


def inverse(norms: torch.Tensor) -> torch.Tensor:
    """Return one over the lengths; zero rows have no direction: their cosine with anything is 0."""
    return torch.where(norms > 0.0, 1.0 / norms, 0.0)


def directions(x: Floats) -> Floats:
    """Return rows [n, F] at unit length, on the coordinator."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    out: Floats = (x / np.where(norms > 0.0, norms, 1.0)).astype(np.float32, copy=False)
    return out


def exact_sum(tile: torch.Tensor) -> torch.Tensor:
    """Return the sums over the first axis, a multiple of FEW long, of whole numbers up to UNIT, float64."""
    return tile.view(-1, FEW, tile.shape[1]).sum(1).sum(0, dtype=torch.float64)


def fill(values: torch.Tensor, count: int) -> torch.Tensor:
    """Fill values [n, ...] up with zeros to [count, ...]."""
    return torch.cat([values, values.new_zeros(count - len(values), *values.shape[1:])])


def block_of(embeddings: torch.Tensor, positions: Ints | slice, scale: torch.Tensor | None = None) -> torch.Tensor:
    """Return these at most ROWS rows, each times its scale, as float32 [ROWS, F], filled up with zeros."""
    index = positions if isinstance(positions, slice) else torch.from_numpy(positions).to(embeddings.device)
    rows = embeddings[index].float()
    return fill(rows if scale is None else rows * scale[index, None], ROWS)


class Reference:
    """Hold m rows that others are compared with, in groups, at unit length.

    weights: float [m] in [0, 1], how much a similarity with each counts; None for all of it. group: rows in one
    product, a multiple of FEW; rows whose similarities must agree to the bit are compared in groups of one size.
    """

    def __init__(
        self, rows: Floats, kernel: Kernel, weights: Floats | None, device: torch.device, group: int = GROUP
    ) -> None:
        x = torch.tensor(rows, device=device)
        self.size, self.kernel, self.group = len(x), kernel, group
        whole = -(-self.size // self.group) * self.group
        scale = torch.ones(self.size, device=device) if weights is None else torch.tensor(weights, device=device)
        self.directions, self.scale = fill(x * inverse(lengths(x))[:, None], whole), fill(scale[:, None] * UNIT, whole)

    def similarities(self, block: torch.Tensor, some: torch.Tensor | None = None) -> Iterator[torch.Tensor]:
        """Yield for each group float32 [group, ROWS], whole numbers up to UNIT: the same buffer each time.

        block: float32 [ROWS, F] of unit length. some: positions in the reference int64 [c group], of which groups are
        made; None for all.
        """
        columns = block.T
        product = torch.empty(self.group, ROWS, device=block.device)
        for start in range(0, len(self.directions) if some is None else len(some), self.group):
            part = slice(start, start + self.group) if some is None else some[start : start + self.group]
            torch.mm(self.directions[part], columns, out=product)
            yield self.kernel(product, self.scale[part]).round_()

    def matrix(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the similarities with rows [p, F], float32 [m, p]."""
        out = torch.empty(len(self.directions), len(embeddings), device=embeddings.device)
        scale = inverse(lengths(embeddings))
        for start in range(0, len(embeddings), ROWS):
            part = slice(start, start + ROWS)
            width = len(embeddings[part])
            for number, tile in enumerate(self.similarities(block_of(embeddings, part, scale))):
                out[number * self.group : (number + 1) * self.group, part] = tile[:, :width]
        return out[: self.size]
