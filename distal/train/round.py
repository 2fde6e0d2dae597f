"""Train for one round: draw, update, average, report."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.errors import ConfigError
from distal.nets.batchnorm import connect
from distal.train.augment import draws
from distal.train.batch import draw_batch
from distal.train.ema import average_, decay
from distal.train.rows import TrainingRows
from distal.train.state import TrainState
from distal.train.step import update

logger = logging.getLogger(__name__)

REPORT_STEPS = 20
"""Updates between two reports: fetching losses from a GPU waits for it, so not at every update."""


def advance(state: TrainState, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
    """Make one update of G and D and of their averages; return the losses of the global batch, on the device."""
    train = state.config.train
    batch = draw_batch(
        rows,
        state.step,
        train.batch_size,
        train.labeled_fraction,
        state.config.net.latent_dim,
        draws(state.objective.augmentations),
        comm.rank,
        comm.size,
        state.device,
        state.layout,
    )
    networks = (state.G, state.D, state.averaged_D, state.optimizers)
    losses = update(*networks, batch, state.objective, state.step, comm, state.regularizers)
    state.step += 1
    beta = decay(state.step, train.ema_half_life)
    average_(state.averaged_G, state.G, beta)
    average_(state.averaged_D, state.D, beta)
    return losses


def train_round(
    state: TrainState,
    rows: TrainingRows,
    comm: Communicator,
    steps: int,
    on_progress: Callable[[int, dict[str, float]], None] = lambda done, losses: None,
) -> dict[str, float]:
    """Make `steps` updates and return the means of the losses over their last quarter.

    Every rank calls this with the same state and rows; on_progress(done, losses) hears of every REPORT_STEPS updates on
    every rank, with the means since it last heard. TrainingError when a loss is not finite.
    """
    if comm.size > state.config.train.batch_size // 2:
        raise ConfigError(
            f"train.batch_size: {state.config.train.batch_size} rows cannot be divided among {comm.size} workers; "
            f"expected at least {2 * comm.size}."
        )
    connect(state.G, comm)
    connect(state.D, comm)
    with _threads(state):
        return _train(state, rows, comm, steps, on_progress)


def _train(
    state: TrainState,
    rows: TrainingRows,
    comm: Communicator,
    steps: int,
    on_progress: Callable[[int, dict[str, float]], None],
) -> dict[str, float]:
    started = time.monotonic()
    recent: dict[str, list[Tensor]] = defaultdict(list)
    last: dict[str, list[Tensor]] = defaultdict(list)
    for done in range(1, steps + 1):
        for name, value in advance(state, rows, comm).items():
            recent[name].append(value)
            if done > steps - max(steps // 4, 1):
                last[name].append(value)
        if done % REPORT_STEPS == 0 or done == steps:
            means = _means(recent)
            state.require_finite(means, f"{done} of this round's {steps}")
            on_progress(done, means)
            recent.clear()
    seconds = time.monotonic() - started
    logger.info("%d updates in %.1f s, labels %d", steps, seconds, len(rows.labels))
    return _means(last)


@contextmanager
def _threads(state: TrainState) -> Iterator[None]:
    """Train dense networks on one CPU thread: a second one gains nothing on products this small (measured at 8 px:
    11 ms a step either way), and where another process wants the core, waiting for it costs 30 times the step."""
    threads = torch.get_num_threads()
    if state.layout != torch.channels_last:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _means(losses: dict[str, list[Tensor]]) -> dict[str, float]:
    return {name: float(torch.stack(values).float().mean()) for name, values in losses.items()}
