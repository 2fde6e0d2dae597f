"""Train any model for one round: update, watch, report, keep; go back to the last good state where that is asked."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import accumulate
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from distal.communicator import Communicator
from distal.config import Config
from distal.errors import ConfigError, TrainingError
from distal.nets.batchnorm import connect
from distal.nets.threads import one_thread
from distal.train.kept import Forgetful, Keeper, Kept
from distal.train.rows import TrainingRows
from distal.train.variety import Variety
from distal.train.watch import Watch

logger = logging.getLogger(__name__)

REPORT_STEPS = 20
"""Updates between two reports. There weights are checked as well: the last update spoils them, not the losses."""

GOOD_STEPS = 100
"""Updates between two states that a round may go back to; to keep one takes about as long as an update."""

RESTORES = 5
"""How often a round goes back before it gives up: steps are then a thirty-second of what was asked for."""

SMALLER = 0.5
"""What the steps shrink by each time."""

M = TypeVar("M", bound="Trainable")


class Trainable(Protocol):
    """Be a model as far as a round's updates go.

    step: updates done. pace: see `set_pace`. advice: what to do where its losses are not finite, in a line.
    """

    config: Config
    step: int
    pace: float
    advice: str
    device: torch.device

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Make one update on every rank; return the losses of the global batch by name, on the device."""

    def modules(self) -> Mapping[str, nn.Module]:
        """Return all networks by name."""

    def set_pace(self, pace: float) -> None:
        """Make all further steps this multiple of what the configuration asks for; `to_files` keeps it."""

    def to_files(self) -> dict[str, bytes]:
        """Return everything as files by name."""

    @classmethod
    def from_files(cls: type[M], config: Config, files: Mapping[str, bytes], device: torch.device | str = "cpu") -> M:
        """Restore `to_files` exactly."""


@runtime_checkable
class Settling(Protocol):
    """Be a model that takes more from the rows, once a round's updates are done, than they have taught it."""

    def settle(self, rows: TrainingRows, comm: Communicator) -> None:
        """Take it; every rank calls this, and comes to the same."""


@runtime_checkable
class Divided(Protocol):
    """Be a model of which a rank may train one part and the others other parts."""

    def gather(self, comm: Communicator) -> None:
        """Bring what each rank has trained to every rank; every rank calls this. Until then `to_files` is refused."""


def train_round(
    model: M,
    rows: TrainingRows,
    comm: Communicator,
    steps: int,
    on_progress: Callable[[int, dict[str, float]], None] = lambda done, losses: None,
    keeper: Keeper | None = None,
    kept: Kept | None = None,
    watched: Variety | None = None,
) -> tuple[M, dict[str, float]]:
    """Make a round's `steps` updates; return the model and the means of the losses over their last quarter.

    Every rank calls this with the same model and rows; on_progress(done, losses) hears of every REPORT_STEPS updates on
    every rank, with the means since it last heard. The model that is returned is the given one, unless a loss that was
    not finite or exploded made the round go back (train.on_divergence).

    Args:
        keeper: keeps the state whenever it says, on rank 0, that this is due; None keeps nothing.
        kept: what it kept last, where the round goes on from there; the model is that of its files.
        watched: looks at what the model draws, on rank 0; what it says stands beside the losses, the last of the
            round's in what is returned.

    Raises:
        TrainingError: a loss or a weight is not finite, or a loss exploded, once more than the round may go back.
    """
    if comm.size > model.config.train.global_batch // 2:
        raise ConfigError(
            f"train.batch_size: {model.config.train.global_batch} rows cannot be divided among {comm.size} workers; "
            f"expected at least {2 * comm.size}."
        )
    layers = [layer for module in model.modules().values() for layer in module.modules()]
    # A second thread gains dense networks nothing (measured at 8 px: 11 ms a step either way), and where another
    # process wants the core, waiting for it costs 30 times the step.
    with nullcontext() if any(isinstance(layer, _ConvNd) for layer in layers) else one_thread():
        return _Round(model, rows, comm, steps, keeper or Forgetful(), kept, watched).train(on_progress)


class _Round:
    """Own a round under training: the model, how many updates are done, its losses, and the state to go back to."""

    def __init__(
        self,
        model: Any,
        rows: TrainingRows,
        comm: Communicator,
        steps: int,
        keeper: Keeper,
        kept: Kept | None,
        watched: Variety | None,
    ) -> None:
        self.rows, self.comm, self.steps, self.keeper, self.watched = rows, comm, steps, keeper, watched
        train = model.config.train
        self.goes_back, self.explosion = train.on_divergence == "restore", train.explosion
        self._begin(model, kept)
        self.good = self._state() if self.goes_back else None

    def _begin(self, model: Any, kept: Kept | None) -> None:
        self.model = model
        for module in model.modules().values():
            connect(module, self.comm)
        averaged_from = self.steps - max(self.steps // 4, 1) + 1
        self.done, self.restored = (0, 0) if kept is None else (kept.done, kept.restored)
        losses = {"recent": {}, "last": {}, "usual": {}} if kept is None else kept.losses
        self.watch = Watch.from_json(self.explosion, averaged_from, losses)

    def _state(self) -> Kept:
        return Kept(self.done, self.restored, self.model.to_files(), self.watch.to_json())

    def train(self, on_progress: Callable[[int, dict[str, float]], None]) -> tuple[Any, dict[str, float]]:
        started, seen = time.monotonic(), dict[str, float]()
        while self.done < self.steps:
            wrong = self.watch.see(self.done + 1, self.model.advance(self.rows, self.comm))
            self.done += 1
            reports = self.done % REPORT_STEPS == 0 or self.done == self.steps
            # Updates may take so long that the next report is late; several ranks would have to agree at each.
            keeps = not reports and self.comm.size == 1 and not self.goes_back and self.keeper.due()
            if (reports or keeps) and not wrong:
                wrong = self.watch.settle() or spoiled(self.model, self.comm)
            if wrong:
                self._go_back(wrong)
            elif reports:
                seen = self._report(on_progress)
            elif keeps:
                self.keeper.keep(self._state())
        seconds = time.monotonic() - started
        logger.info("%d updates in %.1f s, labels %d", self.steps, seconds, len(self.rows.labels))
        return self.model, self.watch.means() | seen

    def _report(self, on_progress: Callable[[int, dict[str, float]], None]) -> dict[str, float]:
        """Say how it goes, and keep a state that is known to be good; return what was seen of the images drawn.

        A round that may go back is kept where it would go back to.
        """
        last = self.done == self.steps
        if last and isinstance(self.model, Settling):
            self.model.settle(self.rows, self.comm)
        good = self.goes_back and not last and self.done % GOOD_STEPS == 0
        keeps = not last and (good or not self.goes_back) and self.keeper.due()
        looks = self.watched is not None and self.watched.due(self.done, last)
        # Rank 0 alone keeps and looks, but where the ranks have to be gathered for it, they all are.
        keeps, looks = on_any_rank(torch.tensor([keeps, looks], device=self.model.device), self.comm)
        if (good or keeps or looks) and isinstance(self.model, Divided):
            self.model.gather(self.comm)
        seen = {} if self.watched is None else self.watched.look(self.model, self.done, last)
        on_progress(self.done, self.watch.report() | seen)
        if good:
            self.good = self._state()
        if keeps and self.comm.rank == 0:
            self.keeper.keep(self.good or self._state())
        return seen

    def _go_back(self, wrong: list[str]) -> None:
        where, good = f"{self.done} of this round's {self.steps}", self.good
        if good is None or self.restored == RESTORES:
            raise diverged(self.model, wrong, where, self.restored)
        model, restored = self.model, self.restored + 1
        logger.warning(
            "update %d (%s): %s; back to update %d of the round with steps of %g",
            *(model.step, where, ", ".join(wrong), good.done, SMALLER**restored),
        )
        # What is good has the steps of its time, which may have been smaller than the first already.
        model = type(model).from_files(model.config, good.files, model.device)
        model.set_pace(model.pace * SMALLER ** (restored - good.restored))
        self._begin(model, good)
        self.restored = restored


def spoiled(model: Trainable, comm: Communicator) -> list[str]:
    """Name the networks of which a weight or a buffer is not finite, on any rank: each may have trained its own."""
    states = {name: list(module.state_dict().values()) for name, module in model.modules().items()}
    flags = [~t.isfinite().all() for state in states.values() for t in state]
    # One answer for all, for a GPU is waited for at each.
    wrong = on_any_rank(torch.stack(flags), comm) if flags else []
    ends = accumulate(len(state) for state in states.values())
    found = {name: any(wrong[end - len(states[name]) : end]) for name, end in zip(states, ends, strict=True)}
    return [f"weights of {name.replace('_', ' ')}" for name in states if found[name]]


def on_any_rank(flags: Tensor, comm: Communicator) -> list[bool]:
    """Return which of these flags, bool [n], are up on any rank, on every rank.

    As a sum: a rank that hangs is waited for as long as for gradients then, not for the week of what is broadcast.
    """
    told = flags.float()
    comm.sum_([told])
    return [value > 0 for value in told.tolist()]


def diverged(model: Trainable, wrong: list[str], where: str, restored: int) -> TrainingError:
    """Return the error that says which losses or weights went wrong, when, and what to do."""
    tried = f" {restored} times smaller steps did not help;" if restored else ""
    return TrainingError(
        f"training: not finite, or exploded, by update {model.step} ({where}): {'; '.join(wrong)}.\n"
        f"{model.advice};{tried}\nif precision is bf16, try train.precision=fp32. The last committed round is intact: "
        "distal resume, with train.on_divergence=restore to go back and on with smaller steps."
    )
