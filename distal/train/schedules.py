"""Say how large a step is at each update, by its number alone: schedules by name, and a warm-up."""

import math
from collections.abc import Callable

from distal.config import Config
from distal.registry import Registry

Schedule = Callable[[float], float]
"""From the share of the way that is done, in [0, 1], to a share of the learning rate, from 1 to 0."""


def cosine(done: float) -> float:
    """Return (1 + cos(pi t)) / 2: Loshchilov & Hutter 2017, eq. 5, of a rate that ends at zero."""
    return 0.5 * (1 + math.cos(math.pi * done))


SCHEDULES: Registry[Schedule] = Registry(
    "train.schedule",
    "schedule",
    "distal.schedules",
    {"constant": lambda done: 1.0, "linear": lambda done: 1.0 - done, "cosine": cosine},
)


def rate_factor(config: Config, step: int) -> float:
    """Return what every learning rate is multiplied by at update `step` (from 0); ConfigError for an unknown name.

    The warm-up rises by equal steps from the first update, whatever the schedule, which begins at the first as well.
    """
    train = config.train
    warm = min(1.0, (step + 1) / (train.warmup_steps + 1))
    if train.schedule_steps is None:
        done = step / (config.planned_trainings * train.steps)
    elif train.schedule_restarts:
        done = step % train.schedule_steps / train.schedule_steps
    else:
        done = step / train.schedule_steps
    shape = SCHEDULES.find(train.schedule)(min(1.0, done))
    return warm * (train.final_rate + (1 - train.final_rate) * shape)
