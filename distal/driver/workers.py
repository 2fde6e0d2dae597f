"""Launch the training workers, and launch them again where they died or where more of them have found a place.

Ray Train has elastic groups of its own (ray 2.60, `ScalingConfig(num_workers=(min, max))`); they count CPUs that shard
actors hold as free and wait for ever. Here the scheduler itself is asked, with one placement group a worker: nothing
is counted twice, and an autoscaler sees what is still missing.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace

from ray.util import placement_group, placement_group_table, remove_placement_group

from distal.communicator import Communicator
from distal.driver.launch import MAX_FAILURES, ControllerLostError, PlaceLostError, WorkerGroup, launch
from distal.errors import TrainingError
from distal.pool.waiting import Waiting

logger = logging.getLogger(__name__)

CONTROLLERS_LOST = 3
"""How often in one round Train's controller may be lost: it may lie on a head node that is being restarted."""

SETTLE_S = 5.0
"""How long a group waits for all of its workers before it starts with fewer: placing one takes well under a second."""

POLL_S = 0.2


class PlaceRequest:
    """Ask the cluster for places for a number of workers; what is granted is held until `withdraw`."""

    def __init__(self, group: WorkerGroup, number: int) -> None:
        bundle = {"CPU": group.cpus, "GPU": group.gpus}
        bundle = {name: amount for name, amount in bundle.items() if amount}
        self._places = [
            placement_group([bundle], name=f"{group.name}-place-{uuid.uuid4().hex[:8]}") for _ in range(number)
        ]

    def granted(self) -> int:
        """Return how many are held now."""
        return sum(placement_group_table(place)["state"] == "CREATED" for place in self._places)

    def withdraw(self) -> None:
        """Give back what was granted, and ask for no more."""
        for place in self._places:
            remove_placement_group(place)
        self._places = []


def find_size(group: WorkerGroup, sizes: list[int], ended: threading.Event, settle_s: float = SETTLE_S) -> int | None:
    """Return the largest of the sizes for which there is a place now; wait while there is none for the smallest.

    None where the waiting was ended.
    """
    request = PlaceRequest(group, sizes[-1])
    waiting = Waiting(str(replace(group, workers=sizes[0])))
    try:
        while True:
            granted = request.granted()
            if granted == sizes[-1] or (granted >= sizes[0] and waiting.seconds >= settle_s):
                return max(size for size in sizes if size <= granted)
            waiting.tell()
            if ended.wait(POLL_S):
                return None
    finally:
        request.withdraw()


class Workers:
    """Run a job on the workers, from one thread, while the driver's thread tells what it hears of them.

    Args:
        committed: returns how many rounds are. sizes: of the group, ascending; several make it elastic: it begins with
            what finds a place, and at a commit it ends and begins again if a larger one does.
    """

    def __init__(
        self, job: Callable[[Communicator], None], group: WorkerGroup, sizes: list[int], committed: Callable[[], int]
    ) -> None:
        self._job = job
        self._group = group
        self._sizes = sizes
        self._committed = committed
        self._size = sizes[-1]
        self._request: PlaceRequest | None = None
        self._growing = False
        self._running = False
        self._ended = threading.Event()
        self._guard = threading.Lock()

    @property
    def elastic(self) -> bool:
        """Whether the group may begin smaller than it should be."""
        return len(self._sizes) > 1

    def run(self) -> None:
        """Launch the job until it ends by itself. A long run sees many deaths: only those without a commit count.

        Where a place was taken, by others or by the owner of its node, nothing has failed.

        Raises:
            TrainingError: the workers died too often between two commits.
        """
        failed = 0
        while True:
            before = self._committed()
            try:
                self._launch()
                if not self._growing:
                    return
                self._growing = False
            except PlaceLostError as error:
                logger.warning("launching the training workers again, on what is left: %s", str(error).splitlines()[0])
            except TrainingError as error:
                failed = failed + 1 if self._committed() == before else 0
                lost = isinstance(error, ControllerLostError)
                if failed > (CONTROLLERS_LOST if lost else MAX_FAILURES if self.elastic else 0):
                    raise
                logger.warning("launching the training workers again: %s", str(error).splitlines()[0])

    def _launch(self) -> None:
        if not self.elastic:
            return launch(self._job, self._group)
        size = find_size(self._group, self._sizes, self._ended)
        if size is None:
            return
        self._size = size
        logger.info("training with %d of %d workers", self._size, self._sizes[-1])
        self._running = True
        try:
            launch(self._job, replace(self._group, workers=self._size), restarts=0)
        finally:
            with self._guard:
                self._running = False
                if self._request is not None:
                    self._request.withdraw()
                    self._request = None

    def end(self) -> None:
        """Wait for places no more: nobody wants the workers."""
        self._ended.set()

    def up(self, size: int) -> None:
        """Ask for the places that are still missing, now that the workers of this launch hold theirs."""
        with self._guard:
            missing = self._sizes[-1] - self._size
            if self._running and missing and size == self._size and self._request is None:
                self._request = PlaceRequest(self._group, missing)

    def grow(self) -> bool:
        """Return whether the job should end now, to be launched again with more workers."""
        with self._guard:
            if self._request is None:
                return False
            room = self._size + self._request.granted()
            self._growing = any(self._size < size <= room for size in self._sizes)
            return self._growing
