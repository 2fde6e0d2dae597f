"""Keep the training workers' part of each GPU free while the shards find theirs.

Ray puts a fraction where the least is left over: eight quarters fill two GPUs of eight, and of eight workers that take
three quarters two find none. So the workers' parts are taken first and given back when the shards sit beside them.
"""

import uuid
from collections.abc import Callable

from ray.util import placement_group, remove_placement_group

from distal.driver.resources import Resources
from distal.errors import ClusterError
from distal.pool.waiting import free_now


def hold_for_workers(name: str, resources: Resources, workers: int, wait_s: float) -> Callable[[], None]:
    """Take the workers' part of the GPUs, where shards use GPUs as well; return what gives it back, once or more.

    Args:
        name: the run's. workers: how many there are to be. wait_s: how long their places are waited for.

    Raises:
        ClusterError: there was no place for them.
    """
    if not (workers and resources.worker_gpus and resources.shard_gpus):
        return _nothing
    bundle = {"GPU": resources.worker_gpus, **({"CPU": resources.worker_cpus} if resources.worker_cpus else {})}
    held = [placement_group([bundle] * workers, name=f"distal-{name}-hold-{uuid.uuid4().hex[:8]}")]

    def release() -> None:
        while held:
            remove_placement_group(held.pop())

    if not held[0].wait(wait_s):
        release()
        raise ClusterError(
            f"{workers} training workers of {resources.worker_cpus:g} CPUs and {resources.worker_gpus:g} GPUs found no "
            f"place in {wait_s:g} s; free now: {free_now()}.\n"
            "Wait until other work has ended (wait_s), or lower train.workers or train.gpus_per_worker."
        )
    return release


def _nothing() -> None:
    """Give nothing back."""
