"""Make a call to every shard at once, and have it made to all of them whatever dies, hangs or is lost meanwhile.

A shard's state is a function of the calls that made it (decode, score, selection updates), all deterministic, and what
is chosen does not depend on how the pool is cut. So an actor that was restarted repeats the calls of the round, all
that died side by side; one that hangs is killed first; and the rows of one that finds no place go to the others.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from distal.errors import ClusterError, DistalError
from distal.pool.held import Blocks, ForgottenError, Place
from distal.pool.pulses import Pulses
from distal.pool.shard import divide_blocks, strategy_failed

logger = logging.getLogger(__name__)

Call = tuple[str, str, tuple[Any, ...]]
"""State, method and arguments of `HeldShard.invoke`."""

RESTART_TRIES = 5
"""Deaths of one shard within one call before the run gives up: a shard that dies each time has a cause."""

HANGS = 3
"""Hangs of one shard within one call: it is restarted after the first, cut onto others after the second."""

LOOK_S = 5.0
"""How long a call is waited for as if nothing could happen."""

POLL_S = 0.3


@dataclass(frozen=True)
class Piece:
    """Name a run of blocks, and the actor that holds them."""

    blocks: Blocks
    actor: Any

    def __str__(self) -> str:
        return f"the shard of blocks {self.blocks[0]} to {self.blocks[1] - 1}"


@dataclass(eq=False)
class Task:
    """Follow one call to one piece until it has been answered.

    answer: reference to what is awaited: while `starting`, that the restarted actor is up; else the result.
    repeated: references to the calls that were repeated before it. since: monotonic time of the start.
    """

    piece: Piece
    answer: Any
    starting: bool = False
    since: float = 0.0
    deaths: int = 0
    hangs: int = 0
    repeated: list[Any] = field(default_factory=list)
    value: Any = None


class ShardCalls:
    """Hold which actor has which blocks, and the calls of the round so far.

    Args:
        pieces: in the order of their blocks. places: where the actors are, as far as that is known.
        silent_s: see `Pulses`. place_s: how long a restart may wait for a place before others take the rows over.
        moved: called when they did.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        silent_s: float,
        place_s: float,
        moved: Callable[[Sequence[Piece]], None] = lambda pieces: None,
    ) -> None:
        self.pieces = list(pieces)
        self.places: dict[Any, Place] = {}
        self.journal: list[Call] = []
        self._silent_s, self._place_s, self._moved = silent_s, place_s, moved

    def everywhere(self, call: Call) -> list[Any]:
        """Return the results in the order of the blocks.

        Raises:
            DistalError: a shard's own. StrategyError: the strategy's own code failed. ClusterError: a shard died or
                hung too often, or its node is lost and no other can take its rows.
        """
        answers = [_submit(piece, call) for piece in self.pieces]
        try:
            results: list[Any] = ray.get(answers, timeout=LOOK_S)
        except (GetTimeoutError, RayError):  # of one shard or more: look at each
            tasks = [Task(piece, answer) for piece, answer in zip(self.pieces, answers, strict=True)]
            results = self._follow(tasks, call)
        return results

    def _follow(self, tasks: list[Task], call: Call) -> list[Any]:
        pulses = Pulses(self._silent_s)
        while left := [task for task in tasks if task.answer is not None]:
            answered = set(ray.wait([t.answer for t in left], num_returns=len(left), timeout=POLL_S)[0])
            for task in left:
                if task.answer in answered:
                    self._settle(task, call)
            awaited = [t for t in tasks if t.answer is not None]
            hung = set(pulses.hung(list({t.piece.actor: None for t in awaited if not t.starting})))
            for task in awaited:
                if task not in tasks:
                    continue  # its rows were cut with those of another shard of its actor
                if task.piece.actor in hung and not task.starting:
                    hung.remove(task.piece.actor)
                    tasks = self._hung(tasks, task, call)
                elif task.starting and time.monotonic() - task.since > self._place_s:
                    tasks = self._cut(tasks, task, call)
        return [task.value for task in sorted(tasks, key=lambda task: task.piece.blocks)]

    def _settle(self, task: Task, call: Call) -> None:
        """Take an answer: a result, or that the actor is up again, or what went wrong."""
        try:
            said = ray.get(task.answer)
        except RayTaskError as error:
            cause = self._cause(task, error)
            if not isinstance(cause.cause, ForgottenError):
                raise _own_error(cause, cause.cause, call[1]) from None
            logger.warning("%s was restarted before %s; repeating its calls of the round", task.piece, call[1])
            self._died(task, call)
        except RayActorError as error:
            if task.starting:
                task.since = (
                    -math.inf
                )  # it was ended for good, by who cut its rows before: there is nothing to wait for
                return
            logger.warning("%s died in %s; restarting it (%s)", task.piece, call[1], type(error).__name__)
            self._died(task, call)
        else:
            if task.starting:
                self.places[task.piece.actor] = said
                self._repeat(task, call)
            else:
                task.value, task.answer = said, None

    def _cause(self, task: Task, error: RayTaskError) -> RayTaskError:
        """Return why a repeated call failed, where the call after it says no more than that it did."""
        for repeated in task.repeated:
            try:
                ray.get(repeated)
            except RayTaskError as earlier:
                return earlier
            except RayError:
                break
        return error

    def _died(self, task: Task, call: Call) -> None:
        task.deaths += 1
        if task.deaths >= RESTART_TRIES:
            raise ClusterError(
                f"{task.piece} died {RESTART_TRIES} times in '{call[1]}', last as {self._place(task)}.\n"
                "Its node may lack memory: raise pool.shards or lower pool.block_rows, then run distal resume."
            )
        task.answer = task.piece.actor.ready.options(max_task_retries=-1).remote()
        task.starting, task.since, task.repeated = True, time.monotonic(), []

    def _repeat(self, task: Task, call: Call) -> None:
        """Send the calls of the round again, one behind the other, and this one last."""
        task.repeated = [_submit(task.piece, earlier) for earlier in self.journal]
        task.answer, task.starting = _submit(task.piece, call), False

    def _hung(self, tasks: list[Task], task: Task, call: Call) -> list[Task]:
        """Kill the process, so that Ray starts another; where that hangs as well, let others take the rows over."""
        task.hangs += 1
        what = f"{task.piece}, {self._place(task)}, has neither worked nor answered for {self._silent_s:g} s"
        if task.hangs >= HANGS:
            raise ClusterError(
                f"{what} in '{call[1]}', and so did those that were to repeat it.\nLook at that node: its disk or the "
                "pool's storage may hang. Mend it, or raise pool.silent_s where it only waits, then run distal resume."
            )
        if task.hangs > 1 and len({each.piece.actor for each in tasks}) > 1:
            return self._cut(tasks, task, call)
        logger.warning("%s in %s; starting another in its place", what, call[1])
        ray.kill(task.piece.actor, no_restart=False)
        return tasks

    def _cut(self, tasks: list[Task], task: Task, call: Call) -> list[Task]:
        """Let the actors that are up take over the rows of one that is not, a part each; it is wanted no more."""
        lost = task.piece.actor
        up = {t.piece.actor: None for t in tasks if not t.starting and t.piece.actor is not lost}
        if not up:
            raise ClusterError(
                f"{task.piece} was lost, and no other is up to take its rows over within {self._place_s:g} s.\n"
                "The cluster may have lost its nodes: see 'ray status', then run distal resume."
            )
        ray.kill(lost)
        orphans = [t for t in tasks if t.piece.actor is lost]
        made: list[Task] = []
        for orphan in orphans:
            first, last = orphan.piece.blocks
            parts = [(first + a, first + b) for a, b in divide_blocks(last - first, len(up))]
            logger.warning("%s found no place; %d others take its rows over", orphan.piece, len(parts))
            heirs = [Piece(part, actor) for part, actor in zip(parts, up, strict=False)]
            at = self.pieces.index(orphan.piece)
            self.pieces[at : at + 1] = heirs
            for heir in heirs if orphan.answer is not None else []:
                made.append(Task(heir, None, hangs=orphan.hangs))
                self._repeat(made[-1], call)
        self._moved(self.pieces)
        return [t for t in tasks if t.answer is None or t.piece.actor is not lost] + made

    def _place(self, task: Task) -> Place:
        return self.places.get(task.piece.actor, Place())


def _submit(piece: Piece, call: Call) -> Any:
    state, method, args = call
    return piece.actor.invoke.remote(piece.blocks, state, method, *args)


def _own_error(error: Exception, cause: Exception, method: str) -> Exception:
    """Return what to raise for an exception in a shard's own code: distal's errors as they are, a strategy's named."""
    if isinstance(cause, DistalError):
        return cause
    if method != "select":
        return error
    places = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', str(error))
    place = "in {}, line {}, {}()".format(*places[-1]) if places else "in its own code"
    return strategy_failed(cause, place)
