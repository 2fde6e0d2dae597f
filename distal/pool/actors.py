"""Hold the pool's shards in Ray actors that score in parallel, restart on their own rows, and repeat what was lost."""

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distal.data.table import ImageTable
from distal.errors import ClusterError
from distal.pool.calls import Piece, ShardCalls
from distal.pool.held import LOOK, PREPARED, HeldShard
from distal.pool.moments import Moment
from distal.pool.placement import place_shards, usable_nodes
from distal.pool.served import ServedRows
from distal.pool.shard import Ready, Scored, divide_blocks
from distal.pool.sight import Frozen, Sight
from distal.pool.waiting import Waiting, free_now, without_place
from distal.query import Known, Strategy

logger = logging.getLogger(__name__)

SILENT_S = 600.0
"""Seconds without a sign of work after which a shard is hung, where nobody says otherwise."""

INLINE_BYTES = 100_000
"""An argument above it is stored once and copied to each node once, not pickled into every shard's call."""


class ShardActors:
    """Call every shard in parallel; `distal.pool.calls` sees to it that each call is made to all rows of the pool.

    Picklable: the handles travel to the training workers.

    Args:
        images: the pool. shards: actors at most. holdout: see `Shard`. cpus, gpus: reserved by each. name: the run's.
        wait_s: seconds that they, or one that was lost, may wait for a place. silent_s: seconds without a sign of work
            after which one is hung. placed: called when all have found their places.
    """

    def __init__(
        self,
        images: ImageTable,
        shards: int,
        holdout: float,
        seed: int,
        cpus: float,
        gpus: float,
        name: str,
        wait_s: float,
        network: Frozen | None = None,
        silent_s: float = SILENT_S,
        placed: Callable[[], None] | None = None,
    ) -> None:
        self.bounds = divide_blocks(images.blocks, shards)
        needs = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": 0}
        actor = ray.remote(concurrency_groups={"pulse": 1}, **needs)(HeldShard)
        device = "cuda" if gpus else "cpu"
        # It grows with the pool: a large one is not pickled into each actor's creation. Of a reference there Ray
        # says that it could be gone when the actor restarts; it is kept here, for as long as there are actors.
        self._images = images if len(cloudpickle.dumps(images)) < INLINE_BYTES else ray.put(images)
        places = place_shards(self.bounds, images.fingerprint, usable_nodes(ray.nodes()), gpus)
        self.handles = [
            actor.options(name=f"distal:{name}:shard-{i}:{uuid.uuid4().hex[:8]}", **_strategy(node)).remote(
                name, self._images, holdout, seed, network, device
            )
            for i, node in enumerate(places)
        ]
        pieces = [Piece(blocks, handle) for blocks, handle in zip(self.bounds, self.handles, strict=True)]
        self.rows = ServedRows(images, self.handles, self.bounds)
        self.calls = ShardCalls(pieces, silent_s, wait_s, self.rows.follow)
        self._wait_s = wait_s
        self._needs = {"CPU": cpus, "GPU": gpus}
        self._state = PREPARED
        self._gains = False
        self._placed = placed

    def prepare(self) -> list[Ready]:
        """Decode every shard's rows, once the actors have found a place; the weakest hardware decides the arithmetic.

        Raises:
            ClusterError: the cluster was busy all the time, or is too small.
        """
        self._await_start()
        self.calls.journal = []
        ready: list[Ready] = self._everywhere("prepare")
        self._gains = all(shard.gains for shard in ready)
        return ready

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
        """Send the scorer once, as one object reference, and score all shards in parallel."""
        self.calls.journal = [(PREPARED, "prepare", ())]
        self._state = f"{round}-{uuid.uuid4().hex}"
        arguments = (ray.put(strategy), None if scorer is None else ray.put(scorer), ray.put(asked), ray.put(known))
        looks = (
            None if sight is None else ray.put(sight),
            ray.put(moments) if moments else (),
            None if looked is None else ray.put(looked),
        )
        return self._everywhere("open_round", round, *arguments, self._gains, *looks)

    def call(self, method: str, *args: Any) -> list[Any]:
        """Invoke a method of the selection on every shard, results in shard order (`distal.query.ShardGroup`).

        Raises:
            StrategyError: the strategy's own code failed.
        """
        once = [ray.put(arg) if getattr(arg, "nbytes", 0) > INLINE_BYTES else arg for arg in args]
        return self._everywhere("select", method, *once)

    def look(self, method: str, *args: Any) -> list[Any]:
        """Call a method of every shard's eyes (`distal.pool.sight.ShardSight`), which builds on no call of a round."""
        return self.calls.everywhere((LOOK, method, args))

    def close(self) -> None:
        """End the actors and give their resources back."""
        for handle in self.handles:
            ray.kill(handle)

    def _await_start(self) -> None:
        up = {handle.ready.options(max_task_retries=-1).remote(): handle for handle in self.handles}
        missing = list(up)
        waiting = Waiting("shards")
        while missing:
            over = waiting.seconds >= self._wait_s
            if over or waiting.due():
                said = self._said(len(missing), min(waiting.seconds, self._wait_s))
                if over:
                    raise ClusterError(
                        f"{said}.\n"
                        "Wait until other work has ended (wait_s), or lower pool.cpus_per_shard or pool.shards."
                    )
                logger.warning("%s", said)
            _, missing = ray.wait(missing, num_returns=len(missing), timeout=min(1.0, self._wait_s - waiting.seconds))
        self.calls.places |= dict(zip(up.values(), ray.get(list(up)), strict=True))
        if self._placed is not None:
            self._placed()
            self._placed = None  # it does not travel

    def _said(self, missing: int, seconds: float) -> str:
        """Say how many shards are not there yet, and, where Ray tells, which of the two they wait for."""
        needs = " and ".join(f"{amount:g} {name}s" for name, amount in self._needs.items())
        which, unplaced = "", without_place(self._needs)
        if unplaced is not None:
            unplaced = min(missing, unplaced)
            which = f" ({unplaced} wait for a place, {missing - unplaced} have one and start)"
        said = f"{missing} of {len(self.handles)} shards of {needs} are not there after {seconds:.0f} s{which}"
        return f"{said}; free now: {free_now()}"

    def _everywhere(self, method: str, *args: Any) -> list[Any]:
        call = (self._state, method, args)
        results = self.calls.everywhere(call)
        self.calls.journal.append(call)
        return results


def _strategy(node: str | None) -> dict[str, Any]:
    """Return where Ray puts an actor: within the placement group of this process, if it has one, as a trial has."""
    if ray.util.get_current_placement_group() is not None:
        return {}  # naming a strategy would take the actor, and its CPUs, out of the group
    return {"scheduling_strategy": "SPREAD" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)}
