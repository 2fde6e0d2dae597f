"""Hold the pool's shards in Ray actors that score in parallel, restart on their own rows, and repeat what was lost."""

import logging
import re
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distal.data.table import ImageTable
from distal.errors import ClusterError, DistalError
from distal.logs import label_records
from distal.pool.allocator import keep_freed_memory
from distal.pool.moments import Moment
from distal.pool.placement import place_shards, usable_nodes
from distal.pool.served import ServedRows
from distal.pool.shard import Ready, Scored, Shard, divide_blocks, strategy_failed
from distal.pool.sight import Frozen, Sight
from distal.pool.waiting import Waiting, free_now
from distal.query import Known, Strategy

logger = logging.getLogger(__name__)

RESTART_TRIES = 5
"""Deaths of one shard within one call before the run gives up: a shard that dies each time has a cause."""

RESTART_WAIT_S = 600.0
"""How long a dead shard's restart may take: its node may have to be replaced first."""

INLINE_BYTES = 100_000
"""An argument above it is stored once and copied to each node once, not pickled into every shard's call."""

PREPARED = "prepared"
LOOK = "look"


class ForgottenError(Exception):
    """Refuse a call that builds on earlier ones which this process has not seen: its predecessor did, and died."""


class HeldShard:
    """Keep one shard in an actor's process, and know which calls it has seen.

    Ray restarts a dead actor at once, possibly between two calls, when no caller notices: the new process would then
    choose among rows it has not checked, or select without scores. So each call names the state it leads to, and is
    refused where what it builds on is missing; calls left behind by a caller that died are refused likewise.
    """

    def __init__(self, run: str, *arguments: Any) -> None:
        keep_freed_memory()
        label_records(run)
        self._run = run
        self._shard = Shard(*arguments)
        self._state: str | None = None

    def __repr__(self) -> str:
        blocks = self._shard.blocks
        return f"Shard(blocks {blocks.start} to {blocks.stop - 1}, {len(self._shard.row_ids)} rows)"

    def ready(self) -> None:
        """Return when the process is up."""

    def pixels(self, row_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return uint8 [n, C, H, W] of rows of this shard; in any state, for they lie in this node's cache."""
        return self._shard.images.pixels(row_ids)

    def invoke(self, state: str, method: str, *args: Any) -> Any:
        """Call a method of the shard. state: PREPARED for `prepare`, a name of the round for all of its calls.

        Raises:
            ForgottenError: the calls before this one were made to another process.
        """
        if state == LOOK:  # builds on no call before it
            return getattr(self._shard.sight, method)(*args)
        lost = {"prepare": False, "open_round": self._state is None}.get(method, self._state != state)
        if lost:
            raise ForgottenError(method)
        if method == "open_round":
            label_records(self._run, args[0])
        value = getattr(self._shard, method)(*args)
        self._state = state
        if method == "open_round":
            logger.info("scored %d rows in %.3f s", value.rows, value.seconds)
        return value


class ShardActors:
    """Call every shard in parallel; each actor's death is repaired by replaying its calls of the round.

    A shard's state is a function of the calls that made it (decode, score, selection updates), all deterministic, so
    a restarted actor that repeats them gives the same query. Picklable: the handles travel to the training workers.
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
    ) -> None:
        self.bounds = divide_blocks(images.blocks, shards)
        actor = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=0)(HeldShard)
        device = "cuda" if gpus else "cpu"
        # It grows with the pool: a large one is not pickled into each actor's creation. Of a reference there Ray
        # says that it could be gone when the actor restarts; it is kept here, for as long as there are actors.
        self._images = images if len(cloudpickle.dumps(images)) < INLINE_BYTES else ray.put(images)
        places = place_shards(self.bounds, images.fingerprint, usable_nodes(ray.nodes()), gpus)
        self.handles = [
            actor.options(name=f"distal:{name}:shard-{i}:{uuid.uuid4().hex[:8]}", **_strategy(node)).remote(
                name, self._images, first, last, holdout, seed, network, device
            )
            for i, ((first, last), node) in enumerate(zip(self.bounds, places, strict=True))
        ]
        self.rows = ServedRows(images, self.handles, self.bounds)
        self._wait_s = wait_s
        self._needs = f"{len(self.handles)} shards of {cpus:g} CPUs and {gpus:g} GPUs"
        self.journal: list[tuple[str, str, tuple[Any, ...]]] = []
        self._state = PREPARED
        self._gains = False

    def prepare(self) -> list[Ready]:
        """Decode every shard's rows, once the actors have found a place; the weakest hardware decides the arithmetic.

        Raises:
            ClusterError: the cluster was busy all the time, or is too small.
        """
        self._await_start()
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
        self.journal = [(PREPARED, "prepare", ())]
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
        call = (LOOK, method, args)
        pending = [self._submit(shard, call) for shard in range(len(self.handles))]
        return [self._result(shard, reference, call) for shard, reference in enumerate(pending)]

    def close(self) -> None:
        """End the actors and give their resources back."""
        for handle in self.handles:
            ray.kill(handle)

    def _await_start(self) -> None:
        missing = [handle.ready.options(max_task_retries=-1).remote() for handle in self.handles]
        waiting = Waiting(self._needs)
        while missing:
            waiting.what = f"{len(missing)} of {self._needs}"
            if waiting.seconds >= self._wait_s:
                raise ClusterError(
                    f"{waiting.what} found no place in {self._wait_s:g} s; free now: {free_now()}.\n"
                    "Wait until other work has ended (wait_s), or lower pool.cpus_per_shard or pool.shards."
                )
            waiting.tell()
            _, missing = ray.wait(missing, num_returns=len(missing), timeout=min(1.0, self._wait_s - waiting.seconds))

    def _everywhere(self, method: str, *args: Any) -> list[Any]:
        call = (self._state, method, args)
        pending = [self._submit(shard, call) for shard in range(len(self.handles))]
        try:
            results: list[Any] = ray.get(pending)
        except RayError:  # of one shard or more: look at each
            results = [self._result(shard, reference, call) for shard, reference in enumerate(pending)]
        self.journal.append(call)
        return results

    def _submit(self, shard: int, call: tuple[str, str, tuple[Any, ...]]) -> Any:
        state, method, args = call
        return self.handles[shard].invoke.remote(state, method, *args)

    def _result(self, shard: int, reference: Any, call: tuple[str, str, tuple[Any, ...]]) -> Any:
        method = call[1]
        for attempt in range(RESTART_TRIES):
            try:
                if attempt:
                    self._replay(shard)
                    reference = self._submit(shard, call)
                return ray.get(reference)
            except RayTaskError as error:
                if not isinstance(error.cause, ForgottenError):
                    raise _own_error(error, error.cause, method) from None
                logger.warning("shard %d was restarted before %s; repeating its calls of the round", shard, method)
            except RayActorError as error:
                logger.warning("shard %d died in %s; restarting it (%s)", shard, method, type(error).__name__)
        raise ClusterError(
            f"shard {shard} of {len(self.handles)} died {RESTART_TRIES} times in '{method}'.\n"
            f"Its node may lack memory: raise pool.shards or lower pool.block_rows, then run distal resume."
        )

    def _replay(self, shard: int) -> None:
        """Wait for the restarted actor, however long its start takes, and repeat the calls of the round."""
        try:
            ray.get(self.handles[shard].ready.options(max_task_retries=-1).remote(), timeout=RESTART_WAIT_S)
        except GetTimeoutError:
            raise ClusterError(
                f"shard {shard} of {len(self.handles)} died and did not come back within {RESTART_WAIT_S:g} s.\n"
                f"The cluster may have lost a node: see 'ray status', then run distal resume."
            ) from None
        for call in self.journal:
            ray.get(self._submit(shard, call))


def _strategy(node: str | None) -> dict[str, Any]:
    """Return where Ray puts an actor: within the placement group of this process, if it has one, as a trial has."""
    if ray.util.get_current_placement_group() is not None:
        return {}  # naming a strategy would take the actor, and its CPUs, out of the group
    return {"scheduling_strategy": "SPREAD" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)}


def _own_error(error: Exception, cause: Exception, method: str) -> Exception:
    """Return what to raise for an exception in a shard's own code: distal's errors as they are, a strategy's named."""
    if isinstance(cause, DistalError):
        return cause
    if method != "select":
        return error
    places = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', str(error))
    place = "in {}, line {}, {}()".format(*places[-1]) if places else "in its own code"
    return strategy_failed(cause, place)
