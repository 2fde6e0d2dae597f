"""Let a round look at part of a large pool, so that its cost grows with the budget: hashed sub-pools, neighbourhoods.

Both leave every strategy as it is and restrict which rows may be asked: `View.available`. Which rows these are is a
function of row ids, round and embeddings, the same however the pool is cut.

A neighbourhood (SEALS: Coleman, Chou, Katz-Samuels, Culatana, Bailis, Berg, Nowak, Sumbaly, Zaharia, Yalniz 2022,
Algorithm 1) is the union of the nearest rows of each labeled row. Features are frozen, so neighbours never change:
only rows labeled since the last round are looked up, and the union is kept from round to round.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from distal.query.nearest import Rows
from distal.query.reference import GROUP, ROWS, block_of, fill, inverse, lengths
from distal.query.view import Ints, View
from distal.streams import row_uniforms

FINE = 2.0**22  # steps of (1 - cos) / 2: nearer than that two rows are as near, and the lower row id comes first
SPAN = 64 * ROWS  # rows between two selections of the nearest


def hashed(view: View, size: int, total: int) -> View:
    """Leave about `size` of the `total` rows of all shards that may be asked, others in each round."""
    drawn = row_uniforms(view.row_ids, view.seed, "query", "subpool", view.round) < size / max(total, 1)
    return replace(view, available=view.available & drawn)


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


def nearest_rows(view: View, queries: Rows, count: int) -> Near:
    """Find the `count` nearest rows of this shard to each query, at unit length, among those that may ever be asked."""
    x = view.need("embeddings")
    scale = inverse(lengths(x))
    targets = torch.tensor(queries.factors[0], device=x.device)
    whole = -(-len(targets) // GROUP) * GROUP
    filled = fill(targets * inverse(lengths(targets))[:, None], whole)
    groups = [filled[start : start + GROUP] for start in range(0, whole, GROUP)]
    used = np.flatnonzero(view.available | view.labeled)
    keys = torch.full((len(targets), count), _key(int(FINE) + 1, -1), dtype=torch.int64)
    for first in range(0, len(used), SPAN):
        span = used[first : first + SPAN]
        cosines = torch.empty(whole, len(span), device=x.device)
        for start in range(0, len(span), ROWS):
            columns = block_of(x, span[start : start + ROWS], scale).T
            for number, group in enumerate(groups):
                tile = torch.mm(group, columns)[:, : len(span) - start]
                cosines[number * GROUP : (number + 1) * GROUP, start : start + ROWS] = tile
        steps = ((1.0 - cosines[: len(targets)]).mul_(FINE / 2.0)).round_().clamp_(0.0, FINE).long().cpu()
        found = steps * 2**40 + torch.from_numpy(view.row_ids[span])
        keys = torch.cat([keys, found], 1).topk(count, dim=1, largest=False).values
    return _near(keys.sort(1).values.numpy())


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

    def restrict(self, view: View) -> View:
        """Leave the rows of the neighbourhood; all of a pool in which nothing is labeled."""
        if not len(self.centers):
            return view
        return replace(view, available=view.available & np.isin(view.row_ids, self.row_ids))


def _key(steps: int, row_id: int) -> int:
    return steps * 2**40 + row_id


def _near(keys: Ints) -> Near:
    """Take keys apart; row ids are below 2^40, and the row id -1 borrows one from the steps."""
    row_ids = (keys + 1) % 2**40 - 1
    return Near(row_ids, (keys - row_ids) // 2**40)
