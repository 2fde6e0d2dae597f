"""Show a query strategy one shard of the pool: who may be asked, and what the current model thinks of each row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.errors import nearest_name

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
TENSORS = ("probs", "embeddings", "realism")


@dataclass(frozen=True)
class View:
    """Hold the rows of one shard, in ascending order of row id.

    row_ids: int64 [n], ascending; whole blocks of `block_rows`, so that row_ids[0] is a multiple of it.
    available: bool [n], rows that may be asked. labeled: bool [n], rows that carry a label. Rows that are neither
    (skipped, held out, declined) stay in the arrays, so that sharding cannot change a row's place in its block.
    seed, round: name the random streams of this acquisition.
    probs: float32 [n, K], the model's class probabilities. embeddings: float32 [n, F]. realism: float32 [n].
    Tensors lie on the shard's device and are None where the strategy does not need them.
    """

    row_ids: Ints
    available: Bools
    labeled: Bools
    block_rows: int
    seed: int
    round: int
    probs: torch.Tensor | None = None
    embeddings: torch.Tensor | None = None
    realism: torch.Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.row_ids)
        for name in ("available", "labeled", *TENSORS):
            array = getattr(self, name)
            if array is not None and len(array) != n:
                raise ValueError(f"view: {name} has {len(array)} rows, row_ids has {n}")
        if n and self.row_ids[0] % self.block_rows:
            raise ValueError(f"view: row {self.row_ids[0]} does not start a block of {self.block_rows} rows")
        if n > 1 and not bool((np.diff(self.row_ids) > 0).all()):
            raise ValueError("view: row_ids must ascend without repeats")

    def need(self, name: str) -> torch.Tensor:
        """Return probs, embeddings or realism; raise ValueError where the shard has none."""
        if name not in TENSORS:
            hint = nearest_name(name, TENSORS)
            raise ValueError(f"view: there is no '{name}'; {hint or 'known: ' + ', '.join(TENSORS)}")
        tensor = getattr(self, name)
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"view: {name} was not computed; name it in the strategy's needs")
        return tensor

    def finite(self, position: int) -> bool:
        """Say whether all that the model gave for the row at this position is finite."""
        given = (getattr(self, name) for name in TENSORS)
        return all(bool(torch.isfinite(tensor[position]).all()) for tensor in given if tensor is not None)
