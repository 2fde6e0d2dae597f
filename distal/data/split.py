"""Split rows into those trained on and those held out, by a hash of the row id alone."""

import numpy as np
import numpy.typing as npt

from distal.config import EvaluateConfig
from distal.streams import row_uniforms

SPLIT_SEED = 0
"""The same for every run: runs of other seeds over one pool are scored against the same held-out images."""

ENOUGH_ROWS = 10_000
"""Held-out rows of a large pool; a constant, so that scoring again with other settings finds the same split."""
_PIECE_ROWS = 2**20
LARGEST_FRACTION = 0.3
"""Held out of a small pool: with fewer images to compare with, the bias of the distance hides what was learned."""


def holdout_fraction(evaluate: EvaluateConfig, rows: int) -> float:
    """Return the fraction of the pool's rows that is held out, 0 where the evaluation has images of its own."""
    if evaluate.path is not None:
        return 0.0
    return min(LARGEST_FRACTION, ENOUGH_ROWS / max(rows, 1)) if evaluate.holdout is None else evaluate.holdout


def held_out(row_ids: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.bool_]:
    """Return for each row id, int64 [n], whether it is held out for evaluation: bool [n].

    A row is held out when its own uniform number is below `fraction`, in [0, 1]; the split of a row depends neither on
    the other rows nor on the run's seed nor on who asks.
    """
    return row_uniforms(row_ids, SPLIT_SEED, "holdout") < fraction


def held_out_ids(rows: int, fraction: float) -> npt.NDArray[np.int64]:
    """Return the held-out of the first `rows` rows, found piece by piece: memory must not grow with the pool."""
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, rows if fraction else 0, _PIECE_ROWS):
        ids = np.arange(start, min(start + _PIECE_ROWS, rows), dtype=np.int64)
        found.append(ids[held_out(ids, fraction)])
    return np.concatenate(found)
