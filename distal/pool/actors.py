"""Hold the pool's shards in Ray actors that score in parallel, restart on their own rows, and repeat what was lost."""

import logging
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError

from distal.data.table import ImageTable
from distal.errors import ClusterError, DistalError
from distal.pool.shard import Ready, Scored, Shard, divide_blocks
from distal.query import Strategy

logger = logging.getLogger(__name__)

RESTART_TRIES = 5
"""Restarts of one shard within one call before the run gives up: a shard that dies each time has a cause."""


class ShardActors:
    """Call every shard in parallel; each actor's death is repaired by replaying its calls of the round.

    A shard's state is a function of the calls that made it (decode, score, selection updates), all deterministic, so
    a restarted actor that repeats them gives the same query. Picklable: the handles travel to the training workers.
    """

    def __init__(
        self, images: ImageTable, shards: int, holdout: float, seed: int, cpus: float, gpus: float, name: str
    ) -> None:
        self.bounds = divide_blocks(images.blocks, shards)
        actor = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=0)(Shard)
        device = "cuda" if gpus else "cpu"
        self.handles = [
            actor.options(name=f"distal:{name}:shard-{i}").remote(images, first, last, holdout, seed, device)
            for i, (first, last) in enumerate(self.bounds)
        ]
        self.journal: list[tuple[str, tuple[Any, ...]]] = []

    def prepare(self) -> list[Ready]:
        """Decode every shard's rows; this is also the first call, so it waits for the actors to start."""
        return self._everywhere("prepare")

    def open_round(
        self,
        round: int,
        strategy: Strategy,
        scorer: bytes | None,
        asked: npt.NDArray[np.int64],
        labeled: npt.NDArray[np.int64],
    ) -> list[Scored]:
        """Send the scorer once, as one object reference, and score all shards in parallel."""
        self.journal = [("prepare", ())]
        arguments = (round, ray.put(strategy), None if scorer is None else ray.put(scorer), asked, labeled)
        return self._everywhere("open_round", *arguments)

    def call(self, method: str, *args: Any) -> list[Any]:
        """Invoke a method of the selection on every shard, results in shard order (`distal.query.ShardGroup`)."""
        return self._everywhere("select", method, *args)

    def close(self) -> None:
        """End the actors and give their resources back."""
        for handle in self.handles:
            ray.kill(handle)

    def _everywhere(self, method: str, *args: Any) -> list[Any]:
        pending = [getattr(handle, method).remote(*args) for handle in self.handles]
        results = [self._result(i, reference, method, args) for i, reference in enumerate(pending)]
        self.journal.append((method, args))
        return results

    def _result(self, shard: int, reference: Any, method: str, args: tuple[Any, ...]) -> Any:
        for attempt in range(RESTART_TRIES):
            try:
                if attempt:
                    self._replay(shard)
                    reference = getattr(self.handles[shard], method).remote(*args)
                return ray.get(reference)
            except RayTaskError as error:
                if isinstance(error.cause, DistalError):
                    raise error.cause from None
                raise
            except (ActorDiedError, ActorUnavailableError, RayActorError) as error:
                logger.warning(
                    "shard %d died in %s; restarting it on its rows (%s)", shard, method, type(error).__name__
                )
                time.sleep(0.2 * 2**attempt)
        raise ClusterError(
            f"shard {shard} of {len(self.handles)} died {RESTART_TRIES} times in '{method}'.\n"
            f"Its node may lack memory: raise pool.shards or lower pool.block_rows, then run distal resume."
        )

    def _replay(self, shard: int) -> None:
        for method, args in self.journal:
            ray.get(getattr(self.handles[shard], method).remote(*args))
