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
from distal.driver.choosing import filtered
from distal.driver.known import NONE, Known
from distal.driver.preparation import Preparation
from distal.errors import ConfigError, PoolError
from distal.metrics.copies import Seen
from distal.places import absolute
from distal.prove import Evidence, Examples
from distal.prove.arms import limited, wanted
from distal.run.directory import RunDirectory
from distal.streams import stream

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Given:
    """Hold another tool's images: the table, which of its rows can be used, and the class of each."""

    table: ImageTable
    rows: Ints
    labels: Ints


@dataclass(frozen=True)
class Gathered:
    """Hold what is judged, as frozen features and as pixels, and what the search for copies compares.

    images: as they came, before any was left out. notes: what the filter left out, class by class, and why.
    """

    features: Evidence
    pixels: Evidence
    images: Seen
    held_out: Seen
    training: Seen
    notes: tuple[str, ...]


def gather(
    run: RunDirectory,
    opened: Preparation,
    generator: TrainedGenerator,
    images: str | None,
    per_class: int | None,
    price: int,
    listen: Callable[[str], None],
) -> Gathered:
    """Look at all that the gate judges; images: another tool's, in place of generated ones.

    Generated ones are judged as `distal generate --balance --filter` gives them away.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = None if images is None else _open_given(images, opened, generator, Path(folder))
        listen("looking at the pool")
        known = Known.of(run, opened, generator)
        want = wanted(known.labels, len(generator.saved.classes), per_class)
        listen(f"looking at {int(want.sum())} images to add, and as many variants of the labeled ones")
        notes: tuple[str, ...] = ()
        if given is None:
            there = np.where(np.isin(np.arange(len(want)), known.labels), want, 0)  # of others G knows nothing
            seen = known.look_at(generator.images(np.repeat(np.arange(len(there)), there), opened.config.seed))
            passed = filtered(known, there, opened.config.seed, None, listen, seen)
            assert passed.features is not None
            added = Seen(passed.features, torch.from_numpy(passed.images))
            asked, notes = passed.labels, passed.notes
        else:
            seen, asked = _chosen(known, given, want)
            added = seen
    training, held_out = known.training, known.held_out
    count, config = len(known.labels), opened.config
    varied = _augmented(known, want, "flip" in config.train.augment)
    empty = Examples(training.pixels[:0], NONE)

    def evidence(of: Callable[[Seen], Tensor], augmented: Examples) -> Evidence:
        return Evidence(
            classes=generator.saved.classes,
            labeled=Examples(of(training)[:count], known.labels),
            held_out=Examples(of(held_out), known.truths),
            augmented=augmented,
            images=Examples(of(added), asked),
            pool=of(training)[count:],
            wanted=want,
            price=price,
            seed=config.seed,
        )

    features = evidence(lambda images: images.features, varied)
    return Gathered(features, evidence(lambda images: images.pixels, empty), seen, held_out, training, notes)


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


def _chosen(known: Known, given: Given, want: Ints) -> tuple[Seen, Ints]:
    rows = limited(given.labels, want, stream(known.opened.config.seed, "prove", "given"))
    return known.seen(given.table, given.rows[rows]), given.labels[rows]
