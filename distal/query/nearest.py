"""Keep the squared distance of each row to its nearest center, and bring it up to date only where it is asked for.

Distances only fall when centers are added, so an old one is an upper bound of the true one, and a row whose old
distance cannot win need not be looked at: most rows never are. Rows are products of factors, x = f_1 (x) f_2 (x) ...,
for which

    |x - c|^2 = |x|^2 + |c|^2 - 2 prod_f (x_f . c_f),    |x|^2 = prod_f |x_f|^2,

so that an outer product is never formed.

Same bits however the pool is cut: every matrix product has one shape, [GROUP, F] by [F, ROWS]; short ones are filled
up. A row's distance then depends on the row and the list of centers alone (tests/query/test_nearest.py holds it, with
1 and 2 threads), and the minimum over centers may be taken repeatedly. Free shapes would not do: products with few
centers take another kernel, whose bits were seen to change with the number of threads.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.query.view import Ints

GROUP = 64  # centers in one product
ROWS = 1024  # rows in one product: 64 x 1024 float32 is 256 KiB, which stays in L2 until its minimum is taken
# Rounding leaves exact duplicates at up to a quarter of this share of |x|^2; below it a distance is noise: zero.
ROUNDING = 2.0**-18

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Carry rows between shards and coordinator: row_ids int64 [p], factors float32 [p, F_f] each."""

    row_ids: Ints
    factors: tuple[Floats, ...]

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.row_ids.nbytes + sum(factor.nbytes for factor in self.factors)

    def take(self, positions: Ints) -> "Rows":
        """Return the rows at these positions."""
        return Rows(self.row_ids[positions], tuple(f[positions] for f in self.factors))

    @staticmethod
    def concatenate(parts: "list[Rows]") -> "Rows":
        """Join parts, in ascending order of row id."""
        row_ids = np.concatenate([part.row_ids for part in parts])
        factors = tuple(np.concatenate(columns) for columns in zip(*(part.factors for part in parts), strict=True))
        return Rows(row_ids, factors).take(np.argsort(row_ids, kind="stable"))

    def squared_distances(self) -> Floats:
        """Return the squared distances among the rows, float32 [p, p], duplicates at exactly zero."""
        squared = self.factors[0] @ self.factors[0].T
        for factor in self.factors[1:]:
            squared *= factor @ factor.T
        norms = squared.diagonal().copy()
        squared *= np.float32(-2.0)
        squared += norms[:, None]
        squared += norms
        squared[squared <= np.float32(ROUNDING) * norms[:, None]] = 0.0
        return squared


class Nearest:
    """Be the lazy squared distances of n rows, given as factors float32 [n, F_f] on one device."""

    def __init__(self, factors: tuple[torch.Tensor, ...]) -> None:
        # Kernels may choose their order of summation by alignment: what does not start at 64 bytes is copied.
        whole = (f.float().contiguous() for f in factors)
        self.factors = tuple(f if f.data_ptr() % 64 == 0 else f.clone() for f in whole)
        self.n = len(factors[0])
        self.device = factors[0].device
        self.norms = torch.empty(self.n, device=self.device)
        for positions in self._chunks(None):
            norms = torch.ones(ROWS, device=self.device)
            for block in self._gather(positions):
                norms *= block.square().sum(1)
            self._put(self.norms, positions, norms)
        self.squared = torch.full((self.n,), torch.inf, device=self.device)
        self.seen = np.zeros(self.n, dtype=np.int64)  # centers that `squared` of a row knows of
        self.count = 0
        self.centers = tuple(torch.empty(0, f.shape[1], device=self.device) for f in factors)

    def bound(self) -> Floats:
        """Return float32 [n], never below the true squared distance; the squared norm while there is no center."""
        values = self.squared if self.count else self.norms
        bound: Floats = values.cpu().numpy()
        return bound

    def stale(self, positions: Ints) -> Ints:
        """Return those of the positions whose bound may be above the true distance."""
        return positions[self.seen[positions] < self.count]

    def add(self, rows: Rows) -> None:
        """Take more centers. The first ones are applied to every row at once, as there is no bound before."""
        if not len(rows):
            return
        first = self.count == 0
        self.append(rows)
        if first:
            self.refresh(None)

    def append(self, rows: Rows) -> None:
        """Take more centers, and leave every row as it is; the bound of a row that no center was applied to is inf."""
        fresh = tuple(torch.tensor(f, device=self.device) for f in rows.factors)  # copies: Ray's arrays are read-only
        self.centers = tuple(torch.cat([old, new]) for old, new in zip(self.centers, fresh, strict=True))
        self.count += len(rows)

    def refresh(self, positions: Ints | None) -> None:
        """Bring the rows at these ascending positions (None: all) up to date with every center."""
        groups = self._groups()
        product = torch.empty(GROUP, ROWS, device=self.device)
        factor = torch.empty_like(product)
        for chunk in self._chunks(positions):
            blocks = [block.T for block in self._gather(chunk)]
            best = torch.full((ROWS,), torch.inf, device=self.device)
            for scaled, norms in groups[int(self.seen[chunk].min()) // GROUP :]:
                torch.mm(scaled[0], blocks[0], out=product)
                for centers, block in zip(scaled[1:], blocks[1:], strict=True):
                    product *= torch.mm(centers, block, out=factor)
                torch.minimum(best, product.add_(norms).amin(0), out=best)
            self._lower(chunk, best)
            self.seen[chunk] = self.count

    def rows(self, positions: Ints, row_ids: Ints) -> Rows:
        """Copy the rows at these positions to the host; row_ids int64 [n] are those of the shard."""
        where = torch.from_numpy(positions).to(self.device)
        return Rows(row_ids[positions], tuple(f[where].cpu().numpy() for f in self.factors))

    def _groups(self) -> list[tuple[list[torch.Tensor], torch.Tensor]]:
        """Cut the centers into groups of GROUP, the last one filled up by repeats, the first factor times -2."""
        index = torch.arange(-(-self.count // GROUP) * GROUP, device=self.device).clamp_(max=self.count - 1)
        padded = [centers[index] for centers in self.centers]
        norms = torch.ones(len(index), 1, device=self.device)
        for centers in padded:
            norms *= centers.square().sum(1, keepdim=True)
        padded[0] = padded[0] * -2.0
        cuts = range(0, len(index), GROUP)
        return [([c[start : start + GROUP] for c in padded], norms[start : start + GROUP]) for start in cuts]

    def _lower(self, chunk: Ints | slice, best: torch.Tensor) -> None:
        rows = self._index(chunk)
        norms, old = self.norms[rows], self.squared[rows]
        new = norms + best[: len(norms)]
        new[new <= ROUNDING * norms] = 0.0
        self.squared[rows] = torch.minimum(old, new)

    def _chunks(self, positions: Ints | None) -> list[Ints | slice]:
        if positions is None:
            return [slice(start, min(start + ROWS, self.n)) for start in range(0, self.n, ROWS)]
        return [positions[start : start + ROWS] for start in range(0, len(positions), ROWS)]

    def _index(self, chunk: Ints | slice) -> torch.Tensor | slice:
        return chunk if isinstance(chunk, slice) else torch.from_numpy(chunk).to(self.device)

    def _gather(self, chunk: Ints | slice) -> list[torch.Tensor]:
        """Return the factors of a chunk as [ROWS, F_f], filled up with zero rows."""
        blocks = [factor[self._index(chunk)] for factor in self.factors]
        missing = ROWS - len(blocks[0])
        return blocks if not missing else [torch.nn.functional.pad(block, (0, 0, 0, missing)) for block in blocks]

    def _put(self, target: torch.Tensor, chunk: Ints | slice, values: torch.Tensor) -> None:
        place = target[self._index(chunk)]
        target[self._index(chunk)] = values[: len(place)]
