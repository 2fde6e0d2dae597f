"""Give the pixels of pool rows on any node: from what this node has decoded, else from the shards that own the rows.

So a node decodes what its shards own and no more, and a training rank needs no copy of the pool. What a rank asks for
is a function of seed and step, known ahead: `request` sends the calls, and the answers travel while others are used.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.exceptions import GetTimeoutError

from distal.data.table import ImageTable
from distal.errors import ClusterError

Ids = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

ANSWER_S = 600.0
"""How long a shard may take to answer: its node may have to be replaced first."""


class ServedRows:
    """Be an `ImageTable` whose pixels come from the shards where this node has not decoded them.

    Args:
        images: the pool. handles: the shard actors, in order. bounds: first and last block of each.
    """

    def __init__(self, images: ImageTable, handles: Sequence[Any], bounds: Sequence[tuple[int, int]]) -> None:
        self._images = images
        self._handles = list(handles)
        self._first_rows = np.array([first for first, _ in bounds], dtype=np.int64) * images.block_rows

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._images, name)

    def pixels(self, row_ids: Ids) -> Pixels:
        """Return uint8 [n, C, H, W] in the order of the ids, int64 [n]."""
        return self.request(row_ids)()

    def request(self, row_ids: Ids) -> Callable[[], Pixels]:
        """Ask for rows now; the function that is returned waits for them.

        Raises:
            ClusterError: from that function, where a shard does not answer.
        """
        here = self._images.decoded_here(row_ids)
        owners = np.searchsorted(self._first_rows, row_ids, side="right") - 1
        asked = [
            (chosen, self._handles[owner].pixels.options(max_task_retries=-1).remote(row_ids[chosen]))
            for owner in np.unique(owners[~here]).tolist()
            for chosen in [np.flatnonzero(~here & (owners == owner))]
        ]

        def wait() -> Pixels:
            own = self._images.pixels(row_ids[here])
            if not asked:
                return own
            gathered = np.empty((len(row_ids), *own.shape[1:]), dtype=np.uint8)
            gathered[here] = own
            try:
                answers = ray.get([reference for _, reference in asked], timeout=ANSWER_S)
            except GetTimeoutError:
                raise ClusterError(
                    f"shards have not sent pixels within {ANSWER_S:g} s: a node may be lost.\n"
                    "See 'ray status', then run distal resume."
                ) from None
            for (chosen, _), answer in zip(asked, answers, strict=True):
                gathered[chosen] = answer
            return gathered

        return wait
