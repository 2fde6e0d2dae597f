"""Take the labeled images of a run away, beside which generated ones are trained on."""

import numpy as np
import numpy.typing as npt

from distal.checkpoints import TrainedGenerator
from distal.driver.known import learned_from
from distal.driver.preparation import Preparation
from distal.run.directory import RunDirectory

Ints = npt.NDArray[np.int64]


def labeled_images(run: RunDirectory, generator: TrainedGenerator) -> tuple[npt.NDArray[np.uint8], Ints, Ints]:
    """Return the images that the generator was given labels of, at the run's size: uint8 [m, C, S, S].

    Returns:
        These, their labels and their row ids, int64 [m] each, class by class.

    Raises:
        RunError, PoolError: the pool is not there, or another one.
    """
    opened = Preparation(generator.saved.config, run)
    opened.require_same_images(run, generator.saved)
    pool = opened.images
    unread = np.array([each.row_id for each in pool.skipped(0, pool.blocks)], np.int64)
    row_ids, labels = learned_from(run, generator, opened.given, unread)
    order = np.lexsort((row_ids, labels))
    return pool.pixels(row_ids[order]), labels[order], row_ids[order]
