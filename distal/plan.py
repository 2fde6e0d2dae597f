"""Say what a run is, resolved and checked, and what all phases of its rounds share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from distal.communicator import Communicator
from distal.config import Config
from distal.data.protocol import Rows
from distal.data.table import ImageTable
from distal.metrics import Evaluator
from distal.oracle import Oracle
from distal.pool.eyes import Eyes, HeldOut
from distal.pool.moments import Moment, Moments
from distal.pool.scope import Scope
from distal.pool.shard import Scored
from distal.pool.sight import Frozen, Sight
from distal.progress import Listener
from distal.query import STRATEGIES, Known, Phase, ShardGroup, Strategy
from distal.run.directory import RunDirectory
from distal.run.ledger import Labels, Ledger

Ids = npt.NDArray[np.int64]


class Going(Protocol):
    """Count the nodes of the cluster that were told that they are about to be taken away."""

    def __call__(self) -> int:
        """Return for how many of them nothing has been kept yet."""

    def kept(self) -> None:
        """Hear that what they would take along is being kept: from here on they count no more, in any round."""


class Shards(ShardGroup, Protocol):
    """Score the pool, then answer the calls of a selection; give the pixels of the pool's rows on any node."""

    @property
    def rows(self) -> Rows:
        """Return what gives them."""

    def open_round(
        self,
        round: int,
        strategy: Strategy,
        scorer: bytes | None,
        asked: Ids,
        known: Known,
        sight: Sight | None = None,
        moments: Sequence[Moment] = (),
        looked: Ids | None = None,
    ) -> list[Scored]:
        """Score rows with the broadcast scorer, by their features, and with the scorers of the last rounds.

        looked: row ids, ascending, that alone the round looks at; None for all.
        """

    def look(self, method: str, *args: Any) -> list[Any]:
        """Call a method of every shard's eyes."""


@dataclass(frozen=True)
class RunPlan:
    """Hold what a run is, resolved and checked, the same on every rank.

    images: the pool. reference, reference_rows: the held-out images. holdout: the fraction of the pool kept for
    evaluation, 0 where the reference is another set. skipped: sorted row ids that cannot be decoded. given: the labels
    that the run began with. available: rows that may be asked over the whole run. strategy, cold_start: looked up in
    the driver, where a script may have registered its own. network: makes the frozen features, None where the model's
    own classifier is all there is.
    """

    config: Config
    run: RunDirectory
    images: ImageTable
    reference: ImageTable
    reference_rows: Ids
    classes: tuple[str, ...]
    holdout: float
    skipped: Ids
    given: Labels
    available: int
    strategy: Strategy
    cold_start: Strategy
    network: Frozen | None

    def first_images(self) -> Ids:
        """Return the rows of the pool as first found that are images, int64 ascending."""
        return np.setdiff1d(np.arange(self.images.first_rows, dtype=np.int64), self.skipped)

    def phase(self, labels: Labels, asked: int) -> Phase | None:
        """Return the phase of the round after these labels and rows asked; None where a strategy is named as such."""
        if self.strategy.kind != "phased":
            return None
        counts = np.bincount(labels.labels, minlength=len(self.classes))
        phase: Phase = self.strategy.make(counts, asked, self.config.label_budget)
        return phase

    def strategy_after(self, labels: Labels, asked: int, trainings: int) -> Strategy:
        """Return what chooses next: `query.cold_start` while nothing has learned from a label, then `query.strategy`.

        The probe learns from labels as they come, a model's own classifier in the rounds that train.
        """
        if not (len(labels.row_ids) if self.network is not None else trainings):
            return self.cold_start
        phase = self.phase(labels, asked)
        return self.strategy if phase is None else STRATEGIES.find(phase.strategy)


class Nobody:
    """Be `Going` where there is no cluster."""

    def __call__(self) -> int:
        """Return that no node is going."""
        return 0

    def kept(self) -> None:
        """Hear what is no news."""


NOBODY = Nobody()


@dataclass(frozen=True)
class Work:
    """Hold what all phases of all rounds share. reference: gives held-out pixels. listen: hears on rank 0.

    eyes: rank 0 looks through them. moments: rank 0 keeps the scorers of the last rounds there. scope: which rows a
    round looks at, on rank 0. going: counts the nodes that were told to go, on rank 0.
    """

    plan: RunPlan
    shards: Shards
    oracle: Oracle
    ledger: Ledger
    evaluator: Evaluator
    reference: Rows
    comm: Communicator
    listen: Listener
    eyes: Eyes | None
    moments: Moments
    scope: Scope
    going: Going = NOBODY


def eyes_of(plan: RunPlan, shards: Shards) -> Eyes | None:
    """Return what looks at the pool through the run's frozen network, None where it has none."""
    if plan.network is None:
        return None
    held_out = HeldOut(plan.reference, plan.reference_rows, plan.reference is plan.images, plan.holdout)
    return Eyes(plan.config, plan.run, plan.images, held_out, shards, plan.network, len(plan.classes), plan.skipped)


def moments_of(plan: RunPlan, shards: Shards) -> Moments:
    """Return what keeps the scorers of the last rounds, and their zero over a sample of the pool."""
    shape = plan.images.image_size, plan.images.channels, len(plan.classes)
    return Moments(plan.config, plan.run, shards.rows, plan.first_images, shape)
