"""Have the gate's classifiers trained: here, one after another, or as Ray tasks where that ends sooner.

A cluster that the run joins is used at once. Without one, the first trainings are made here and timed; what is left
goes to a local Ray with a task a core as soon as that saves more than Ray costs, by the cores that others leave idle.
Where a training is made changes no figure of it.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Protocol

from distal.driver.resources import joined_ray
from distal.errors import ClusterError
from distal.prove import Evidence
from distal.prove.trainings import Learner, Said, Training, carry_out, trainings

logger = logging.getLogger(__name__)

RAY_S = 30.0
"""What a local Ray is taken to cost, in seconds: its start, and torch imported in each of its processes. A guess on the
safe side."""

A_SEED = len(trainings(seeds=1))
"""How far it is, is said seed by seed."""


class Tasks(Protocol):
    """Run trainings on a cluster that was joined."""

    def __call__(
        self, evidence: Evidence, learner: Learner, trainings: Sequence[Training], tell: Callable[[int], None]
    ) -> list[Said]:
        """Return what each training came to, in their order; tell: hears how many are done."""


class Trainings:
    """Carry trainings out; a `with` block, at whose end a cluster that was joined for them is left.

    address: of a Ray cluster; None: the one this process is in, that of RAY_ADDRESS, or none. listen: hears how far it
    is, in words.
    """

    def __init__(self, address: str | None, listen: Callable[[str], None]) -> None:
        self._address, self._listen = address or os.environ.get("RAY_ADDRESS"), listen
        self._in_trial, self._cores = _in_actor(), len(os.sched_getaffinity(0))
        self._tasks: Tasks | None = None
        self._joined = ExitStack()

    def __enter__(self) -> "Trainings":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._joined.close()

    def carry(self, evidence: Evidence, learner: Learner, trainings: Sequence[Training]) -> list[Said]:
        """Return what each training came to, in their order: a `distal.prove.trainings.Carry`.

        Raises:
            ClusterError: the cluster cannot be joined, or was lost.
        """
        done: list[Said] = []
        total, began = len(trainings), time.monotonic()
        while len(done) < total:
            here = len(done)
            if self._elsewhere(time.monotonic() - began, here, total):
                tasks = self._join()
                if tasks is not None:
                    return done + tasks(evidence, learner, trainings[here:], partial(self._tell, total, here))
            done.append(carry_out(evidence, learner, trainings[here]))
            self._tell(total, here, 1)
        return done

    def _elsewhere(self, seconds: float, done: int, total: int) -> bool:
        """Say whether the trainings that are left belong on a cluster, after those done took so long."""
        if self._in_trial:
            return False
        if self._tasks is not None or self._address or joined_ray():
            return True
        idle = max(1.0, self._cores - max(0.0, os.getloadavg()[0] - 1.0))  # this process is one of those that run
        return done > 0 and seconds / done * (total - done) * (1 - 1 / idle) > RAY_S

    def _join(self) -> Tasks | None:
        """Be on the cluster; None where a local Ray, which nobody asked for by name, does not start."""
        if self._tasks is None:
            from distal.driver.training_tasks import training_tasks

            self._listen(f"joining the cluster at {self._address}" if self._address else "starting Ray")
            asked_for = self._address or joined_ray()
            try:
                self._tasks = self._joined.enter_context(training_tasks(self._address))
            except ClusterError as error:
                if asked_for:
                    raise
                logger.warning("all classifiers are trained in this process: %s", str(error).partition("\n")[0])
                self._cores = 1
        return self._tasks

    def _tell(self, total: int, before: int, done: int) -> None:
        if (before + done) % A_SEED == 0:
            self._listen(f"{before + done} of {total} sets trained")


def _in_actor() -> bool:
    """Say whether this process is an actor, a sweep's trial: tasks of its own would wait for CPUs that trials hold."""
    if not joined_ray():
        return False
    return sys.modules["ray"].get_runtime_context().get_actor_id() is not None
