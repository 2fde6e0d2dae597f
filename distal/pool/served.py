"""Give the pixels of pool rows on any node: from what this node has decoded, else from the shards that own the rows.

So a node decodes what its shards own and no more, and a training rank needs no copy of the pool. What a rank asks for
is a function of seed and step, known ahead: `request` sends the calls, and the answers travel while others are used.
Labeled rows are asked for every few steps; the rows that came last are kept, so that they travel once.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from distal.data.protocol import Ids, Pixels
from distal.data.table import ImageTable
from distal.errors import ClusterError, DistalError
from distal.pool.calls import Piece

logger = logging.getLogger(__name__)

ANSWER_S = 240.0
"""How long a shard may take to answer before another is asked: its node may have to be replaced first. Well below the
time for which other ranks wait with their gradients."""

KEPT_BYTES = 64 * 2**20
"""Pixels that came from other nodes and are kept: 5,461 rows of 64 x 64 x 3."""


class LastRows:
    """Keep the rows that were used last, within a limit of bytes; where it is sent to, it begins empty.

    Threads may share it: a step's batches are made ahead in one of their own.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._rows, self._turn = limit, dict[int, Pixels](), threading.Lock()

    def __reduce__(self) -> tuple[type["LastRows"], tuple[int]]:
        return LastRows, (self._limit,)

    def find(self, row_ids: Ids) -> dict[int, Pixels]:
        """Return those of these rows that are kept, uint8 [C, H, W] by id; they are the last used now."""
        with self._turn:
            found = {row: self._rows.pop(row) for row in set(row_ids.tolist()) if row in self._rows}
            self._rows |= found
            return found

    def keep(self, row_ids: Ids, pixels: Pixels) -> None:
        """Keep copies of rows, uint8 [n, C, H, W]; those unused for longest give way."""
        most = self._limit // max(1, pixels[:1].nbytes)
        with self._turn:
            for row, image in zip(row_ids.tolist(), pixels, strict=True):
                self._rows.pop(row, None)
                self._rows[row] = image.copy()
            for row in list(self._rows)[: max(0, len(self._rows) - most)]:
                del self._rows[row]


class ServedRows:
    """Be `distal.data.protocol.Rows`, asking the shards where this node has not decoded the rows.

    Args:
        images: the pool. handles: the shard actors, in order. bounds: first and last block of each.
    """

    def __init__(self, images: ImageTable, handles: Sequence[Any], bounds: Sequence[tuple[int, int]]) -> None:
        self._images = images
        self._last = LastRows(KEPT_BYTES)
        self._lost: dict[Any, Any] = {}  # whoever did not answer, and what it was asked then
        self.follow([Piece(blocks, handle) for blocks, handle in zip(bounds, handles, strict=True)])

    def follow(self, pieces: Sequence[Piece]) -> None:
        """Ask these from now on."""
        self._handles = [piece.actor for piece in pieces]
        self._first_rows = np.array([piece.blocks[0] for piece in pieces], dtype=np.int64) * self._images.block_rows

    def pixels(self, row_ids: Ids) -> Pixels:
        """Return uint8 [n, C, H, W] in the order of the ids, int64 [n]."""
        return self.request(row_ids)()

    def request(self, row_ids: Ids) -> Callable[[], Pixels]:
        """Ask for rows now; the function that is returned waits for them.

        A shard that dies before it has answered is asked again by Ray when it has been restarted. One that does not
        answer is asked no more until it has: any other can read its rows where the pool lies.

        Raises:
            DistalError: from that function, where a shard cannot read them or none answers.
        """
        here = self._images.decoded_here(row_ids)
        kept = self._last.find(row_ids[~here])
        away = ~here & ~np.isin(row_ids, np.fromiter(kept, dtype=np.int64))
        owners = np.searchsorted(self._first_rows, row_ids, side="right") - 1
        places = [np.flatnonzero(away & (owners == owner)) for owner in np.unique(owners[away]).tolist()]
        handles = [self._handles[owners[chosen[0]]] for chosen in places]
        asked = [self._ask(handle, row_ids[chosen]) for handle, chosen in zip(handles, places, strict=True)]

        def wait() -> Pixels:
            own = self._images.pixels(row_ids[here])
            if not asked and not kept:
                return own
            gathered = np.empty((len(row_ids), *own.shape[1:]), dtype=np.uint8)
            gathered[here] = own
            for place in np.flatnonzero(~here & ~away):
                gathered[place] = kept[int(row_ids[place])]
            # All are waited for together before any is asked anew: a lost node may have held many of them.
            until = time.monotonic() + ANSWER_S
            answers = [self._received(handle, answer, until) for handle, answer in zip(handles, asked, strict=True)]
            for handle, chosen, answer in zip(handles, places, answers, strict=True):
                while answer is None:
                    again = self._ask(handle, row_ids[chosen])
                    answer = self._received(handle, again, time.monotonic() + ANSWER_S)
                gathered[chosen] = answer
                self._last.keep(row_ids[chosen], answer)
            return gathered

        return wait

    def _ask(self, owner: Any, row_ids: Ids) -> tuple[Any, Any]:
        """Ask a shard, or another in its place: that one keeps nothing, for it would fill its node's disk.

        Return who was asked, and the reference to the answer.
        """
        if not self._is_lost(owner):
            return owner, owner.pixels.options(max_task_retries=-1).remote(row_ids)
        others = [each for each in dict.fromkeys(self._handles) if not self._is_lost(each)]
        if not others:
            raise ClusterError(
                f"no shard has sent pixels within {ANSWER_S:g} s: their nodes may be lost.\n"
                "See 'ray status', then run distal resume."
            )
        other = others[int(row_ids[0]) % len(others)]
        return other, other.pixels.options(max_task_retries=-1).remote(row_ids, False)

    def _received(self, owner: Any, asked: tuple[Any, Any], until: float) -> Pixels | None:
        """Return what was asked for; None where it did not come: who was asked is then asked no more."""
        who, reference = asked
        left = 0.0 if who in self._lost else max(0.0, until - time.monotonic())
        try:
            answer: Pixels = ray.get(reference, timeout=left)
        except RayTaskError as error:
            if isinstance(error.cause, DistalError):
                raise error.cause from None
            raise
        except (GetTimeoutError, RayActorError) as error:
            if who not in self._lost:
                reason = type(error).__name__
                logger.warning("a shard sent no pixels within %g s (%s); asking others", ANSWER_S, reason)
            # What died for good never answers; what comes back answers what Ray asks it again.
            self._lost.setdefault(who, None if isinstance(error, RayActorError) else reference)
            return None
        return answer

    def _is_lost(self, who: Any) -> bool:
        """Say whether a shard has still not answered what it was asked last; looking costs no call."""
        reference = self._lost.get(who)
        if who not in self._lost or reference is None:
            return who in self._lost
        if not ray.wait([reference], timeout=0)[0]:
            return True
        try:
            ray.get(reference, timeout=0)
        except (GetTimeoutError, RayActorError):
            self._lost[who] = None
            return True
        except RayTaskError as error:
            logger.info("a shard that sent no pixels answers again, by an error: %s", error)
        self._lost.pop(who, None)
        logger.info("a shard that sent no pixels answers again, and is asked again")
        return False
