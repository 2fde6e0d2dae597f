"""Carry the rounds to the training workers: what one is given, and how it speaks with the driver."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.communicator import Communicator, on_first_rank
from distal.data.generated import RunImages
from distal.driver.mailbox import Collect, Interrupted, Link, WorkersUp
from distal.errors import DistalError, StorageError
from distal.models.memory import require_memory
from distal.oracle import Oracle, build_oracle
from distal.plan import Going, RunPlan, Shards
from distal.rounds import run_rounds
from distal.run.leases import STALE_S
from distal.run.ledger import Answer, Query
from distal.run.results import RoundResult
from distal.stopping import Outcome

WRITER_WAIT_S = 2 * STALE_S
"""How long rank 0 waits for a predecessor that is being killed to let go of the run directory."""

DRIVER_LOCK = ".lock-driver"


class DriverOracle:
    """Be, on rank 0, the oracle that lives in the driver's process."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def submit(self, query: Query) -> None:
        """Leave the query to `collect`: the driver submits it to the real oracle."""

    def collect(self, query: Query, pending: npt.NDArray[np.int64]) -> Iterator[list[Answer]]:
        """Yield answers that the driver has already made durable."""
        yield from self._link.ask(Collect(query, pending))

    def waiting(self, query: Query, pending: npt.NDArray[np.int64]) -> str:
        """Say what is missing."""
        return f"waiting for {len(pending)} labels: the driver's oracle has not answered; run again to ask for them"


@dataclass(frozen=True)
class RankJob:
    """Run the rounds on one rank: what travels to the training workers."""

    plan: RunPlan
    shards: Shards
    oracle_in_driver: bool
    call: Callable[..., Any]
    driver_lock: bytes
    going: Going

    def __call__(self, comm: Communicator) -> None:
        """Run the rounds; on rank 0, send the driver how they ended."""
        link = Link(self.call)
        if comm.broadcast(comm.rank == 0 and self.call("stopped")):
            self._finish(comm, Outcome("interrupted", "driver", "stopped by the driver"))
            return
        try:
            if comm.rank == 0:
                link.tell(WorkersUp(comm.size))
                with self.plan.run.lock("writer", wait_s=WRITER_WAIT_S):
                    end: Outcome | DistalError = self._run(comm, link)
            else:
                end = self._run(comm, link)
        except Interrupted:
            if comm.size > 1:
                raise
            end = Outcome("interrupted", "driver", "stopped by the driver")
        except DistalError as error:
            if comm.size > 1 and not error.on_every_rank:
                # The others are in an exchange that this rank will not join: say why, and let the group be ended.
                self.call("send", error)
                self.call("stop")
                raise
            end = error
        self._finish(comm, end)

    def _require_same_folder(self) -> None:
        """Refuse a local storage that is not the driver's: another node would begin an empty run of its own."""
        run = self.plan.run
        if run.local is not None and not (run.has(DRIVER_LOCK) and run.read(DRIVER_LOCK) == self.driver_lock):
            raise StorageError(
                f"storage: {run.uri} on {socket.gethostname()}, where training runs, is not the driver's folder.\n"
                "Use a folder that all nodes share, or a URI such as s3://bucket/runs."
            )

    def _run(self, comm: Communicator, link: Link) -> Outcome:
        plan = self.plan
        shape = (plan.images.image_size, plan.images.channels, len(plan.classes))
        require_memory(plan.config, *shape, comm.size, comm.device)
        on_first_rank(comm, self._require_same_folder)
        oracle: Oracle = (
            DriverOracle(link)
            if self.oracle_in_driver
            else build_oracle(plan.config, RunImages(plan.images, plan.run), plan.classes, plan.run, None)
        )
        rounds = run_rounds(plan, self.shards, oracle, comm, link.tell, self.going)
        while True:
            try:
                result = next(rounds)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if not on_first_rank(comm, partial(_goes_on, link, result)):
                rounds.close()
                return Outcome("interrupted", "driver", f"stopped by the driver after round {result.round}")

    def _finish(self, comm: Communicator, end: Outcome | DistalError) -> None:
        if comm.rank == 0:
            self.call("send", end)


def _goes_on(link: Link, result: RoundResult) -> bool:
    """Hand a committed round to the driver, who says whether there is to be another."""
    try:
        return all(link.ask(result))
    except Interrupted:
        return False
