"""Hear that nodes of the cluster are about to be taken away: spot machines, and those that an autoscaler gives back.

Whoever runs the nodes tells Ray (`ray drain-node`, the autoscaler, KubeRay), typically two minutes before. Ray Train
has a watcher, a process a launch, for what would be reported to it; here the rank that keeps a round's training looks.
"""

import logging
import time

from distal.driver.resources import joined_ray

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often it is looked, at most; a look takes a millisecond."""


class Drains:
    """Be `distal.plan.Going` from when this was made; no node goes outside a cluster. Picklable."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._kept = 0
        self._looked = float("-inf")

    def __call__(self) -> int:
        """Return how many nodes were told to go since what they would take along was kept last."""
        if joined_ray() and time.monotonic() - self._looked >= LOOK_S:
            import ray._private.state  # Ray 2.60 has no other name for it; Ray Train's watcher takes this one, too

            self._looked = time.monotonic()
            new = set(ray._private.state.state.get_draining_nodes()) - self._seen
            if new:
                logger.warning(
                    "%d nodes of the cluster are about to be taken away; keeping the round's training", len(new)
                )
            self._seen |= new
        return len(self._seen) - self._kept

    def kept(self) -> None:
        """Hear that what those that were seen would take along is being kept."""
        self._kept = len(self._seen)
