"""Gather what the gate judges of a run: images with their classes, as features and as pixels."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal.checkpoints import TrainedGenerator
from distal.data.importers import import_images
from distal.data.table import ImageTable, open_images
from distal.driver.preparation import Preparation
from distal.errors import ConfigError, PoolError
from distal.features.projection import sampled_rows
from distal.metrics.copies import Seen
from distal.places import absolute
from distal.pool.eyes import PROJECTION
from distal.prove import Evidence, Examples
from distal.prove.arms import limited, wanted
from distal.prove.gate import require_evidence
from distal.prove.look import Look
from distal.run.directory import RunDirectory
from distal.run.given import joined, labels_before
from distal.run.ledger import Labels, Ledger
from distal.streams import stream

Ints = npt.NDArray[np.int64]

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

    def training(self) -> Seen:
        """Return the images that the generator was trained on: those with labels, then the sample of the others."""
        return self.seen(self.opened.images, np.concatenate([self.row_ids, self.unlabeled]))

    def held_out(self) -> Seen:
        """Return the held-out images."""
        return self.seen(self.opened.reference, self.tested)

    def seen(self, images: ImageTable, row_ids: Ints) -> Seen:
        """Look at rows of a table, and take their pixels at the run's size."""
        return Seen(self.look.rows(images, row_ids), torch.from_numpy(images.pixels(row_ids)))


@dataclass(frozen=True)
class Given:
    """Hold another tool's images: the table, which of its rows can be used, and the class of each."""

    table: ImageTable
    rows: Ints
    labels: Ints


@dataclass(frozen=True)
class Gathered:
    """Hold what is judged, as frozen features and as pixels, and the same images for the search for copies."""

    features: Evidence
    pixels: Evidence
    images: Seen
    held_out: Seen
    training: Seen


def gather(
    run: RunDirectory,
    opened: Preparation,
    generator: TrainedGenerator,
    images: str | None,
    per_class: int | None,
    price: int,
    listen: Callable[[str], None],
) -> Gathered:
    """Look at all that the gate judges; images: another tool's, in place of generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        given = None if images is None else _open_given(images, opened, generator, Path(folder))
        listen("looking at the pool")
        known = Known.of(run, opened, generator)
        want = wanted(known.labels, len(generator.saved.classes), per_class)
        listen(f"looking at {int(want.sum())} images to add, and as many variants of the labeled ones")
        seen, asked = _generated(known, want) if given is None else _chosen(known, given, want)
    training, held_out = known.training(), known.held_out()
    count, config = len(known.labels), opened.config
    varied = _augmented(known, want, "flip" in config.train.augment)
    empty = Examples(training.pixels[:0], NONE)

    def evidence(of: Callable[[Seen], Tensor], augmented: Examples) -> Evidence:
        return Evidence(
            classes=generator.saved.classes,
            labeled=Examples(of(training)[:count], known.labels),
            held_out=Examples(of(held_out), known.truths),
            augmented=augmented,
            images=Examples(of(seen), asked),
            pool=of(training)[count:],
            wanted=want,
            price=price,
            seed=config.seed,
        )

    features = evidence(lambda images: images.features, varied)
    return Gathered(features, evidence(lambda images: images.pixels, empty), seen, held_out, training)


def _open_given(place: str, opened: Preparation, generator: TrainedGenerator, folder: Path) -> Given:
    """Open a folder with a subfolder a class, or Parquet with an image and a label column. ConfigError in words."""
    path = Path(place).expanduser()
    own: dict[str, Any] = {"image_column": "image", "label_column": "label", "classes": None, "cache": str(folder)}
    pool = opened.config.pool
    try:
        if path.is_dir() and not any(path.rglob("*.parquet")):
            import_images(str(path), folder / "images.parquet", "folder", max_pixels=pool.max_pixels)
            path = folder / "images.parquet"
        source = place if "://" in place else absolute(str(path))
        table = open_images(pool.model_copy(update={"path": source, **own}))
        labels = table.labels(np.arange(table.rows, dtype=np.int64))
        labels[[each.row_id for each in table.skipped(0, table.blocks)]] = -1
    except PoolError as error:
        raise ConfigError(f"--images: {str(error).replace('pool.path', '--images')}") from None
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise ConfigError(
            f"--images: {place} holds no image of a class.\n"
            "Give a folder with a subfolder for each class, or Parquet with the columns image and label."
        )
    present = {name: generator.class_index(name) for name in np.array(table.classes)[np.unique(labels[rows])].tolist()}
    names = [present.get(name, -1) for name in table.classes or ()]
    return Given(table, rows, np.array(names, np.int64)[labels[rows]])


def _augmented(known: Known, want: Ints, flips: bool) -> Examples:
    """Vary each label's image as often as any other of its class."""
    seed = known.opened.config.seed
    draw = stream(seed, "prove", "sources")
    there = np.unique(known.labels)
    by_class = [np.resize(draw.permutation(known.row_ids[known.labels == c]), want[c]) for c in there]
    return Examples(known.look.augmented(np.concatenate(by_class), flips, seed), np.repeat(there, want[there]))


def _generated(known: Known, want: Ints) -> tuple[Seen, Ints]:
    """Generate what is wanted of the classes that have labels; of others the generator knows nothing."""
    there = np.unique(known.labels)
    labels = np.repeat(there, want[there])
    pixels = known.generator.images(labels, known.opened.config.seed)
    return Seen(known.look.pixels(pixels), torch.from_numpy(pixels)), labels


def _chosen(known: Known, given: Given, want: Ints) -> tuple[Seen, Ints]:
    rows = limited(given.labels, want, stream(known.opened.config.seed, "prove", "given"))
    return known.seen(given.table, given.rows[rows]), given.labels[rows]
