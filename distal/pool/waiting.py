"""Say what waits for a place on the cluster, since when, and what is free there."""

import logging
import time
from collections.abc import Mapping

import ray

logger = logging.getLogger(__name__)

NOTICE_S = 30.0
"""How often it is said."""


class Waiting:
    """Measure a wait, and tell of it every `NOTICE_S` seconds.

    Args:
        what: for people, such as "2 training workers of 1 CPUs and 0 GPUs".
        does: what they are known to do.
    """

    def __init__(self, what: str, does: str = "wait for a place") -> None:
        self.what, self.does = what, does
        self._began = time.monotonic()
        self._told = 0.0

    @property
    def seconds(self) -> float:
        """Return how long it has lasted."""
        return time.monotonic() - self._began

    def due(self) -> bool:
        """Say whether it should be told of now, and count it as told."""
        if self.seconds - self._told < NOTICE_S:
            return False
        self._told = self.seconds
        return True

    def tell(self) -> None:
        """Log what waits, if it was not told within the last `NOTICE_S` seconds."""
        if self.due():
            logger.warning("%s %s since %.0f s; free now: %s", self.what, self.does, self.seconds, free_now())


def free_now() -> str:
    """Return the cluster's CPUs and GPUs that nobody holds, for people."""
    free = ray.available_resources()
    return f"{free.get('CPU', 0.0):g} CPUs and {free.get('GPU', 0.0):g} GPUs"


def without_place(needs: Mapping[str, float]) -> int | None:
    """Return how many tasks and actors that reserve this wait for a node to have it free; those that start do not.

    needs: by Ray's names, "CPU" and "GPU". Ray counts the requests that no node has granted, as `ray status` shows
    them: a second ago at most, others' of the same size as well, but none in a placement group. None over Ray Client,
    whose processes do not reach the head.
    """
    if ray.util.client.ray.is_connected():
        return None
    from ray.autoscaler.v2 import sdk

    wanted = {name: round(amount, 4) for name, amount in needs.items() if amount}
    state = sdk.get_cluster_resource_state(sdk.GcsClient(address=ray.get_runtime_context().gcs_address))
    counts = (
        pending.count
        for pending in state.pending_resource_requests
        if {name: round(amount, 4) for name, amount in pending.request.resources_bundle.items()} == wanted
    )
    return sum(map(int, counts))
