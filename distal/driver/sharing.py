"""Keep the training workers' part of each GPU free while the shards find theirs.

Ray puts a fraction where the least is left over: eight quarters fill two GPUs of eight, and of eight workers that take
three quarters two find none. So the workers' parts are taken first and given back when the shards sit beside them.
"""

import time
from collections.abc import Callable, Sequence

from distal.driver.launch import WorkerGroup
from distal.driver.workers import POLL_S, SETTLE_S, PlaceRequest
from distal.errors import ClusterError
from distal.pool.waiting import Waiting, free_now


def hold_for_workers(group: WorkerGroup, sizes: Sequence[int], wait_s: float) -> Callable[[], None]:
    """Take places for the workers; return what gives them back, which may be called more than once.

    Args:
        group: whose `workers` does not count. sizes: numbers of workers, ascending: the most are asked for, and the
            least are waited for. wait_s: how long.

    Raises:
        ClusterError: there was no place for the least of them.
    """
    request, waiting = PlaceRequest(group, sizes[-1]), Waiting(f"{sizes[0]} training workers, before shards begin,")
    try:
        while (granted := request.granted()) < sizes[-1]:
            if granted >= sizes[0] and waiting.seconds >= SETTLE_S:
                break
            if waiting.seconds >= wait_s:
                raise ClusterError(
                    f"{sizes[0]} training workers of {group.cpus:g} CPUs and {group.gpus:g} GPUs found no place in "
                    f"{wait_s:g} s; free now: {free_now()}.\n"
                    "Wait until other work has ended (wait_s), or lower train.workers or train.gpus_per_worker."
                )
            waiting.tell()
            time.sleep(POLL_S)
    except BaseException:  # Ctrl-C as well: in a notebook what is held would be held until its end
        request.withdraw()
        raise
    return request.withdraw
