"""State what gives the pixels of a pool's rows: the mapped table, or on a cluster the shards for one another."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


class Rows(Protocol):
    """Give images by row id: `data.table.ImageTable` in process, `pool.served.ServedRows` on a cluster."""

    def pixels(self, row_ids: Ids, /) -> Pixels:
        """Return uint8 [n, C, H, W] in the order of the ids, int64 [n]; repeats are allowed."""

    def request(self, row_ids: Ids, /) -> Callable[[], Pixels]:
        """Ask for rows ahead of need; the function that is returned gives them, and waits where they are on the way."""
