"""Say what is known of a run up to a round: its labels, its held-out images with theirs, and a sample of the rest."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import TrainedGenerator
from distal.data.table import ImageTable
from distal.driver.preparation import Preparation
from distal.features.projection import sampled_rows
from distal.metrics.copies import Seen
from distal.pool.eyes import PROJECTION
from distal.prove.gate import require_evidence
from distal.prove.look import Look
from distal.run.directory import RunDirectory
from distal.run.given import joined, labels_before
from distal.run.ledger import Labels, Ledger

Ints = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]

NONE = np.zeros(0, np.int64)


def learned_from(
    run: RunDirectory, generator: TrainedGenerator, given: Labels, unread: Ints = NONE
) -> tuple[Ints, Ints]:
    """Return the rows whose labels a generator has learned from, and their labels, int64 [m] each.

    given: those that the run began with. unread: rows that cannot be read.
    """
    every = joined(given, Ledger(run, len(generator.saved.classes)).labels())
    learned = labels_before(every, generator.round + 1)
    read = ~np.isin(learned.row_ids, unread)
    return learned.row_ids[read], learned.labels[read]


@dataclass(frozen=True)
class Known:
    """Hold what is known of a run up to a round: labels, held-out images with theirs, and a sample of the rest.

    row_ids, labels: int64 [m] of the pool. tested, truths: int64 [n] of the reference. unlabeled: int64 [u] of the
    pool, neither labeled nor held out.
    """

    row_ids: Ints
    labels: Ints
    tested: Ints
    truths: Ints
    unlabeled: Ints
    look: Look
    opened: Preparation
    generator: TrainedGenerator

    @classmethod
    def of(cls, run: RunDirectory, opened: Preparation, generator: TrainedGenerator, tested: bool = True) -> "Known":
        """Read the labels up to the generator's round, and look through the run's eyes.

        tested: a classifier is to be tested, so only held-out images with labels are of use.

        Raises:
            EvaluationError: fewer than two classes have labels, or no held-out image has one. PoolError: it cannot be
                read.
        """
        pool, config, seed = opened.images, opened.config, opened.config.seed
        skipped = pool.skipped(0, pool.blocks)
        unread = np.array([each.row_id for each in skipped], np.int64)
        row_ids, labels = learned_from(run, generator, opened.given, unread)
        held_out = opened.reference_rows(skipped)
        truths = opened.reference.labels(held_out) if opened.reference.has_labels else np.full(len(held_out), -1)
        known = (truths >= 0) if tested else np.ones(len(truths), np.bool_)
        require_evidence(labels, truths[known])
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        kept = run.read(PROJECTION) if run.has(PROJECTION) else None
        look = Look.at(pool, opened.eyes()(device), device, kept, config.features.components, seed)
        sample = sampled_rows(np.arange(pool.first_rows, dtype=np.int64), seed)
        rest = np.setdiff1d(sample, np.concatenate([row_ids, unread]))
        rest = rest[~pool.held_out(rest, opened.holdout)]
        return cls(row_ids, labels, held_out[known], truths[known], rest, look, opened, generator)

    @cached_property
    def training(self) -> Seen:
        """Return the images that the generator was trained on: those with labels, then the sample of the others."""
        return self.seen(self.opened.images, np.concatenate([self.row_ids, self.unlabeled]))

    @cached_property
    def held_out(self) -> Seen:
        """Return the held-out images."""
        return self.seen(self.opened.reference, self.tested)

    def seen(self, images: ImageTable, row_ids: Ints) -> Seen:
        """Look at rows of a table, and take their pixels at the run's size."""
        return Seen(self.look.rows(images, row_ids), torch.from_numpy(images.pixels(row_ids)))

    def look_at(self, images: Images) -> Seen:
        """Look at generated images uint8 [n, C, S, S] as they are."""
        return Seen(self.look.pixels(images), torch.from_numpy(images))
