"""Say what waits for a place on the cluster, since when, and what is free there."""

import logging
import time

import ray

logger = logging.getLogger(__name__)

NOTICE_S = 30.0
"""How often it is said."""


class Waiting:
    """Measure a wait, and tell of it every `NOTICE_S` seconds.

    Args:
        what: for people, such as "2 training workers of 1 CPUs and 0 GPUs".
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._began = time.monotonic()
        self._told = 0.0

    @property
    def seconds(self) -> float:
        """Return how long it has lasted."""
        return time.monotonic() - self._began

    def tell(self) -> None:
        """Log what waits, if it was not told within the last `NOTICE_S` seconds."""
        if self.seconds - self._told >= NOTICE_S:
            self._told = self.seconds
            logger.warning("%s wait for a place since %.0f s; free now: %s", self.what, self.seconds, free_now())


def free_now() -> str:
    """Return the cluster's CPUs and GPUs that nobody holds, for people."""
    free = ray.available_resources()
    return f"{free.get('CPU', 0.0):g} CPUs and {free.get('GPU', 0.0):g} GPUs"
