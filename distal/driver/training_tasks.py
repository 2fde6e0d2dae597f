"""Train the gate's classifiers as Ray tasks, a core each; a task whose node dies is run again by Ray."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ray
from ray.exceptions import RayError

from distal.driver.cluster import cluster
from distal.driver.node import watched
from distal.driver.trainings import Tasks
from distal.errors import ClusterError
from distal.pool.waiting import free_now
from distal.prove import Evidence
from distal.prove.trainings import Learner, Said, Training, carry_out

logger = logging.getLogger(__name__)

NOTICE_S = 60.0
"""After how long without a training that ends it is said what is free."""


@contextmanager
def training_tasks(address: str | None) -> Iterator[Tasks]:
    """Join or start a cluster, and give what runs trainings there, until the block ends.

    Raises:
        ClusterError: it cannot be joined, or is lost.
    """
    with cluster(address), watched():
        yield carry_out_as_tasks


def carry_out_as_tasks(
    evidence: Evidence, learner: Learner, trainings: Sequence[Training], tell: Callable[[int], None]
) -> list[Said]:
    """Return what each training came to, in their order; the evidence travels once.

    Raises:
        ClusterError: a task was lost for good.
    """
    task = ray.remote(num_cpus=1)(carry_out)
    held, how = ray.put(evidence), ray.put(learner)
    asked = [task.remote(held, how, training) for training in trainings]
    left = asked
    try:
        while left:
            done, left = ray.wait(left, timeout=NOTICE_S)
            if done:
                tell(len(asked) - len(left))
            else:
                logger.warning("no classifier was trained for %.0f s; free now: %s", NOTICE_S, free_now())
        said: list[Said] = ray.get(asked)
    except RayError as error:
        raise ClusterError(
            f"a classifier of the gate was lost with its process ({str(error).splitlines()[0][:150]}).\n"
            "Nothing of the run was touched: ask again. Where memory ran out, leave the address out: it then needs one "
            "process."
        ) from error
    return said
