"""Give the pixels of pool rows on any node: from what this node has decoded, else from the shards that own the rows.

So a node decodes what its shards own and no more, and a training rank needs no copy of the pool. What a rank asks for
is a function of seed and step, known ahead: `request` sends the calls, and the answers travel while others are used.
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


class ServedRows:
    """Be `distal.data.protocol.Rows`, asking the shards where this node has not decoded the rows.

    Args:
        images: the pool. handles: the shard actors, in order. bounds: first and last block of each.
    """

    def __init__(self, images: ImageTable, handles: Sequence[Any], bounds: Sequence[tuple[int, int]]) -> None:
        self._images = images
        self._handles = list(handles)
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
        owners = np.searchsorted(self._first_rows, row_ids, side="right") - 1
        places = [np.flatnonzero(~here & (owners == owner)) for owner in np.unique(owners[~here]).tolist()]
        asked = [
            self._handles[owners[chosen[0]]].pixels.options(max_task_retries=-1).remote(row_ids[chosen])
            for chosen in places
        ]

        def wait() -> Pixels:
            own = self._images.pixels(row_ids[here])
            if not asked:
                return own
            gathered = np.empty((len(row_ids), *own.shape[1:]), dtype=np.uint8)
            gathered[here] = own
            for chosen, answer in zip(places, _answers(asked), strict=True):
                gathered[chosen] = answer
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
