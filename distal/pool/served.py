"""Give the pixels of pool rows on any node: from what this node has decoded, else from the shards that own the rows.

So a node decodes what its shards own and no more, and a training rank needs no copy of the pool. What a rank asks for
is a function of seed and step, known ahead: `request` sends the calls, and the answers travel while others are used.
Labeled rows are asked for every few steps; the rows that came last are kept, so that they travel once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from distal.data.protocol import Ids, Pixels
from distal.data.table import ImageTable
from distal.errors import ClusterError, DistalError

ANSWER_S = 600.0
"""How long a shard may take to answer: its node may have to be replaced first."""

KEPT_BYTES = 64 * 2**20
"""Pixels that came from other nodes and are kept: 5,461 rows of 64 x 64 x 3."""


class LastRows:
    """Keep the rows that were used last, within a limit of bytes; where it is sent to, it begins empty."""

    def __init__(self, limit: int) -> None:
        self._limit, self._rows = limit, dict[int, Pixels]()

    def __reduce__(self) -> tuple[type["LastRows"], tuple[int]]:
        return LastRows, (self._limit,)

    def find(self, row_ids: Ids) -> dict[int, Pixels]:
        """Return those of these rows that are kept, uint8 [C, H, W] by id; they are the last used now."""
        found = {row: self._rows.pop(row) for row in set(row_ids.tolist()) if row in self._rows}
        self._rows |= found
        return found

    def keep(self, row_ids: Ids, pixels: Pixels) -> None:
        """Keep copies of rows, uint8 [n, C, H, W]; those unused for longest give way."""
        for row, image in zip(row_ids.tolist(), pixels, strict=True):
            self._rows.pop(row, None)
            self._rows[row] = image.copy()
        most = self._limit // max(1, pixels[:1].nbytes)
        for row in list(self._rows)[: max(0, len(self._rows) - most)]:
            del self._rows[row]


class ServedRows:
    """Be `distal.data.protocol.Rows`, asking the shards where this node has not decoded the rows.

    Args:
        images: the pool. handles: the shard actors, in order. bounds: first and last block of each.
    """

    def __init__(self, images: ImageTable, handles: Sequence[Any], bounds: Sequence[tuple[int, int]]) -> None:
        self._images = images
        self._handles = list(handles)
        self._last = LastRows(KEPT_BYTES)
        self._first_rows = np.array([first for first, _ in bounds], dtype=np.int64) * images.block_rows

    def pixels(self, row_ids: Ids) -> Pixels:
        """Return uint8 [n, C, H, W] in the order of the ids, int64 [n]."""
        return self.request(row_ids)()

    def request(self, row_ids: Ids) -> Callable[[], Pixels]:
        """Ask for rows now; the function that is returned waits for them.

        A shard that dies before it has answered is asked again by Ray when it has been restarted.

        Raises:
            DistalError: from that function, where a shard cannot read them or does not answer.
        """
        here = self._images.decoded_here(row_ids)
        kept = self._last.find(row_ids[~here])
        away = ~here & ~np.isin(row_ids, np.fromiter(kept, dtype=np.int64))
        owners = np.searchsorted(self._first_rows, row_ids, side="right") - 1
        places = [np.flatnonzero(away & (owners == owner)) for owner in np.unique(owners[away]).tolist()]
        asked = [
            self._handles[owners[chosen[0]]].pixels.options(max_task_retries=-1).remote(row_ids[chosen])
            for chosen in places
        ]

        def wait() -> Pixels:
            own = self._images.pixels(row_ids[here])
            if not asked and not kept:
                return own
            gathered = np.empty((len(row_ids), *own.shape[1:]), dtype=np.uint8)
            gathered[here] = own
            for place in np.flatnonzero(~here & ~away):
                gathered[place] = kept[int(row_ids[place])]
            for chosen, answer in zip(places, _answers(asked), strict=True):
                gathered[chosen] = answer
                self._last.keep(row_ids[chosen], answer)
            return gathered

        return wait


def _answers(asked: list[Any]) -> list[Pixels]:
    try:
        answers: list[Pixels] = ray.get(asked, timeout=ANSWER_S)
    except RayTaskError as error:
        if isinstance(error.cause, DistalError):
            raise error.cause from None
        raise
    except (GetTimeoutError, RayActorError) as error:
        raise ClusterError(
            f"shards have not sent pixels within {ANSWER_S:g} s ({type(error).__name__}): a node may be lost.\n"
            "See 'ray status', then run distal resume."
        ) from None
    return answers
