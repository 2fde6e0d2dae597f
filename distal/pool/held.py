"""Hold parts of the pool in an actor's process: know which calls each has seen, and tell whether they go on."""

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import ray

from distal.data.few import FewRows
from distal.data.table import ImageTable
from distal.logs import label_records
from distal.pool.allocator import keep_freed_memory
from distal.pool.shard import Shard
from distal.pool.sight import Frozen

logger = logging.getLogger(__name__)

Blocks = tuple[int, int]
"""First block, and the one after the last."""

PREPARED = "prepared"
LOOK = "look"


class ForgottenError(Exception):
    """Refuse a call that builds on earlier ones which this process has not seen: its predecessor did, and died."""


@dataclass(frozen=True)
class Place:
    """Say where an actor's process is, for people. node: its address. process: its id there."""

    node: str = "an unknown node"
    process: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.node}"


class HeldShard:
    """Keep one shard in an actor's process, or several where it took over the rows of one that was lost.

    Ray restarts a dead actor at once, possibly between two calls, when no caller notices: the new process would then
    choose among rows it has not checked, or select without scores. So each call names the state it leads to, and is
    refused where what it builds on is missing; calls left behind by a caller that died are refused likewise.
    """

    def __init__(
        self, run: str, images: ImageTable, holdout: float, seed: int, network: Frozen | None, device: str
    ) -> None:
        keep_freed_memory()
        label_records(run)
        self._run, self._images = run, images
        self._made_with = (holdout, seed, network, device)
        self._shards: dict[Blocks, Shard] = {}
        self._states: dict[Blocks, str] = {}
        self._begun, self._thread = 0, 0

    def __repr__(self) -> str:
        parts = ", ".join(f"{first} to {last - 1}" for first, last in self._shards) or "none yet"
        return f"Shard(blocks {parts})"

    def ready(self) -> Place:
        """Return where this is, when the process is up."""
        return Place(ray.util.get_node_ip_address(), os.getpid())

    @ray.method(concurrency_group="pulse")  # type: ignore[untyped-decorator]
    def pulse(self) -> tuple[int, float]:
        """Return, beside a call that is under way, what grows while calls go on.

        The calls begun, and the CPU seconds of the thread that makes them: scoring, decoding, choosing and waiting for
        a GPU all take some; a process that is stopped does not answer, and one that waits for ever takes none.
        """
        thread = self._thread
        return self._begun, time.clock_gettime(time.pthread_getcpuclockid(thread)) if thread else 0.0

    def pixels(self, row_ids: npt.NDArray[np.int64], own: bool = True) -> npt.NDArray[np.uint8]:
        """Return uint8 [n, C, H, W] of any rows, whatever the state; its own it decodes once and keeps on this node."""
        self._begin()
        return (self._images if own else FewRows(self._images)).pixels(row_ids)

    def invoke(self, blocks: Blocks, state: str, method: str, *args: Any) -> Any:
        """Call a method of the shard of these blocks.

        state: PREPARED for `prepare`, a name of the round for all of its calls; LOOK for its eyes, which need rows that
        are checked and no more.

        Raises:
            ForgottenError: the calls before this one were made to another process.
        """
        self._begin()
        before = self._states.get(blocks)
        known = before is not None if state == LOOK or method == "open_round" else before == state
        if not known and method != "prepare":
            raise ForgottenError(method)
        shard = self._shard(blocks)
        if state == LOOK:
            return getattr(shard.sight, method)(*args)
        if method == "open_round":
            label_records(self._run, args[0])
        value = getattr(shard, method)(*args)
        self._states[blocks] = state
        if method == "open_round":
            logger.info("scored %d rows in %.3f s", value.rows, value.seconds)
        return value

    def _begin(self) -> None:
        self._begun += 1
        self._thread = threading.get_ident()

    def _shard(self, blocks: Blocks) -> Shard:
        if blocks not in self._shards:
            first, last = blocks
            self._shards[blocks] = Shard(self._images, first, last, *self._made_with)
        return self._shards[blocks]
