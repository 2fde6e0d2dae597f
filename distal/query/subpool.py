"""Name the part of a large pool that a round looks at, so that its cost grows with the budget: hashed, or near labels.

Which rows these are is a function of row ids, round, labels and frozen features, the same however the pool is cut.

A neighbourhood (SEALS: Coleman, Chou, Katz-Samuels, Culatana, Bailis, Berg, Nowak, Sumbaly, Zaharia, Yalniz 2022,
Algorithm 1) is the union of the nearest rows of each labeled row. Features are frozen, so neighbours never change:
only rows labeled since the last round are looked up, and the union is kept from round to round.
"""

from dataclasses import dataclass
from math import ceil, log1p

import numpy as np
import torch

from distal.query.nearest import ROWS, Rows
from distal.query.reference import fill, inverse, lengths
from distal.query.view import Bools, Ints
from distal.streams import Name, row_uniforms

FINE = 2.0**22  # steps of (1 - cos) / 2: nearer than that two rows are as near, and the lower row id comes first
GROUP = 16  # queries in one product: a round asks few


def drawn_rows(rows: int, size: int, seed: int, *name: Name) -> Ints:
    """Draw about `size` of the row ids below `rows`, int64 ascending, at a cost that does not depend on `rows`.

    m hashed draws with repeats leave rows (1 - exp(-m / rows)) different ones, so m = -rows log(1 - size / rows).
    """
    if size >= rows:
        return np.arange(rows, dtype=np.int64)
    draws = np.arange(ceil(-rows * log1p(-size / rows)), dtype=np.int64)
    drawn: Ints = np.unique((row_uniforms(draws, seed, *name) * rows).astype(np.int64))
    return drawn


@dataclass(frozen=True)
class Near:
    """Carry the nearest rows of q rows, by (distance, row id): row_ids int64 [q, k], distances int64 [q, k] in FINE.

    Where there are fewer than k, row id -1 at a distance beyond any.
    """

    row_ids: Ints
    distances: Ints

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.row_ids.nbytes + self.distances.nbytes


def nearest_rows(x: torch.Tensor, first_row: int, usable: Bools, queries: Rows, count: int) -> Near:
    """Find the `count` nearest rows of a shard to each query, by cosine.

    x: float32 [n, F], of unit length or zero: the rows first_row to first_row + n - 1. usable: bool [n], those that may
    be found.
    """
    targets = torch.tensor(queries.factors[0], device=x.device)
    filled = fill(targets * inverse(lengths(targets))[:, None], -(-len(targets) // GROUP) * GROUP)
    groups = torch.split(filled, GROUP)
    kept = np.full((len(targets), count), _key(int(FINE) + 1, -1), dtype=np.int64)
    for start in range(0, len(x) if len(targets) else 0, ROWS):
        columns = fill(x[start : start + ROWS], ROWS).T  # products of one shape, as in `distal.query.nearest`
        cosines = torch.cat([torch.mm(group, columns) for group in groups])[: len(targets)]
        farthest = kept[:, -1] // 2**40 + 1  # rounding may bring a row nearer by half a step
        least = torch.from_numpy(1.0 - farthest * (2.0 / FINE)).float().to(x.device)
        query, place = torch.nonzero(cosines >= least[:, None], as_tuple=True)  # after the first rows, nearly none
        steps = ((1.0 - cosines[query, place]) * (FINE / 2.0)).round_().clamp_(0.0, FINE).long().cpu().numpy()
        of, at = query.cpu().numpy(), place.cpu().numpy()
        within = at < len(x) - start
        within[within] = usable[start + at[within]]
        found = steps * 2**40 + (first_row + start + at)
        for each in np.unique(of[within]).tolist():
            kept[each] = np.sort(np.concatenate([kept[each], found[within & (of == each)]]))[:count]
    return _near(kept)


def merge(parts: list[Near], count: int) -> Near:
    """Join what the shards found into the `count` nearest rows of the pool."""
    keys = np.concatenate([part.distances * 2**40 + part.row_ids for part in parts], axis=1)
    return _near(np.sort(keys, axis=1)[:, :count])


@dataclass(frozen=True)
class Neighbourhood:
    """Hold the rows that are near to what is labeled: row_ids int64 [p]; centers int64 [q], whose neighbours they are.

    Both ascend.
    """

    row_ids: Ints
    centers: Ints

    @classmethod
    def empty(cls) -> "Neighbourhood":
        """Return the neighbourhood of nothing."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    def missing(self, labeled: Ints) -> Ints:
        """Return those of the labeled row ids whose neighbours have still to be found."""
        return np.setdiff1d(labeled, self.centers)

    def grown(self, centers: Ints, near: Near) -> "Neighbourhood":
        """Take the neighbours of further rows."""
        found = near.row_ids[near.row_ids >= 0]
        return Neighbourhood(np.union1d(self.row_ids, found), np.union1d(self.centers, centers))


def _key(steps: int, row_id: int) -> int:
    return steps * 2**40 + row_id


def _near(keys: Ints) -> Near:
    """Take keys apart; row ids are below 2^40, and the row id -1 borrows one from the steps."""
    row_ids = (keys + 1) % 2**40 - 1
    return Near(row_ids, (keys - row_ids) // 2**40)
