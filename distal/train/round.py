"""Train any model for one round: update, check, report."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from distal.communicator import Communicator
from distal.config import Config
from distal.errors import ConfigError, TrainingError
from distal.nets.batchnorm import connect
from distal.nets.threads import one_thread
from distal.train.rows import TrainingRows

logger = logging.getLogger(__name__)

REPORT_STEPS = 20
"""Updates between two reports: fetching losses from a GPU waits for it, so not at every update."""


class Trainable(Protocol):
    """Be a model as far as a round's updates go. advice: what to do where its losses are not finite, in a line."""

    config: Config
    step: int
    advice: str

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Make one update on every rank; return the losses of the global batch by name, on the device."""

    def modules(self) -> Mapping[str, nn.Module]:
        """Return all networks by name."""


def train_round(
    model: Trainable,
    rows: TrainingRows,
    comm: Communicator,
    steps: int,
    on_progress: Callable[[int, dict[str, float]], None] = lambda done, losses: None,
) -> dict[str, float]:
    """Make `steps` updates and return the means of the losses over their last quarter.

    Every rank calls this with the same model and rows; on_progress(done, losses) hears of every REPORT_STEPS updates on
    every rank, with the means since it last heard. TrainingError when a loss is not finite.
    """
    if comm.size > model.config.train.batch_size // 2:
        raise ConfigError(
            f"train.batch_size: {model.config.train.batch_size} rows cannot be divided among {comm.size} workers; "
            f"expected at least {2 * comm.size}."
        )
    for module in model.modules().values():
        connect(module, comm)
    layers = [layer for module in model.modules().values() for layer in module.modules()]
    # A second thread gains dense networks nothing (measured at 8 px: 11 ms a step either way), and where another
    # process wants the core, waiting for it costs 30 times the step.
    with nullcontext() if any(isinstance(layer, _ConvNd) for layer in layers) else one_thread():
        return _train(model, rows, comm, steps, on_progress)


def _train(
    model: Trainable,
    rows: TrainingRows,
    comm: Communicator,
    steps: int,
    on_progress: Callable[[int, dict[str, float]], None],
) -> dict[str, float]:
    started = time.monotonic()
    recent: dict[str, list[Tensor]] = defaultdict(list)
    last: dict[str, list[Tensor]] = defaultdict(list)
    for done in range(1, steps + 1):
        for name, value in model.advance(rows, comm).items():
            recent[name].append(value)
            if done > steps - max(steps // 4, 1):
                last[name].append(value)
        if done % REPORT_STEPS == 0 or done == steps:
            means = _means(recent)
            require_finite(model, means, f"{done} of this round's {steps}")
            on_progress(done, means)
            recent.clear()
    seconds = time.monotonic() - started
    logger.info("%d updates in %.1f s, labels %d", steps, seconds, len(rows.labels))
    return _means(last)


def require_finite(model: Trainable, losses: Mapping[str, float], round_steps: str) -> None:
    """Raise TrainingError unless every loss and weight is finite: the last update spoils weights, not losses."""
    bad = [f"{name}={value:.3g}" for name, value in losses.items() if not abs(value) < float("inf")]
    for name, module in model.modules().items():
        if not all(bool(t.isfinite().all()) for t in module.state_dict().values()):
            bad.append(f"weights of {name.replace('_', ' ')}")
    if bad:
        raise TrainingError(
            f"training: not finite by update {model.step} ({round_steps}): {', '.join(bad)}.\n{model.advice};\n"
            "if precision is bf16, try train.precision=fp32. The last committed round is intact: distal resume."
        )


def _means(losses: dict[str, list[Tensor]]) -> dict[str, float]:
    return {name: float(torch.stack(values).float().mean()) for name, values in losses.items()}
