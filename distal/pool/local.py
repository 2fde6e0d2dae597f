"""Hold the whole pool in this process, for runs that share a machine with others: no actor to start, none to leave."""

import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distal.data.table import ImageTable
from distal.errors import DistalError
from distal.nets.threads import one_thread
from distal.pool.moments import Moment
from distal.pool.shard import Ready, Scored, Shard, strategy_failed
from distal.pool.sight import Frozen, Sight
from distal.query import Known, Strategy


class LocalShard:
    """Answer as `ShardActors` does, with one shard in this process: the same scores, the same picks.

    It scores with one thread, as every shard does, so that not a bit depends on where the shard is.
    """

    def __init__(self, images: ImageTable, holdout: float, seed: int, network: Frozen | None = None) -> None:
        self.rows = images
        device = "cuda" if torch.cuda.is_available() else "cpu"  # where training in this process is, too
        with one_thread():
            self._shard = Shard(images, 0, images.blocks, holdout, seed, network, device)

    def prepare(self) -> list[Ready]:
        """Decode the rows into the cache, where they are not there yet."""
        return [self._shard.prepare()]

    def open_round(
        self,
        round: int,
        strategy: Strategy,
        scorer: bytes | None,
        asked: npt.NDArray[np.int64],
        known: Known,
        sight: Sight | None = None,
        moments: Sequence[Moment] = (),
        looked: npt.NDArray[np.int64] | None = None,
    ) -> list[Scored]:
        """Score all rows, or those that the round looks at."""
        with one_thread():
            return [self._shard.open_round(round, strategy, scorer, asked, known, None, sight, moments, looked)]

    def look(self, method: str, *args: Any) -> list[Any]:
        """Call a method of the shard's eyes (`distal.pool.sight.ShardSight`)."""
        with one_thread():
            return [getattr(self._shard.sight, method)(*args)]

    def call(self, method: str, *args: Any) -> list[Any]:
        """Invoke a method of the selection (`distal.query.ShardGroup`).

        Raises:
            StrategyError: the strategy's own code failed.
        """
        try:
            with one_thread():
                return [self._shard.select(method, *args)]
        except DistalError:
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise strategy_failed(error, f"in {last.filename}, line {last.lineno}, {last.name}()") from error
