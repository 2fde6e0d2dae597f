"""Prepare a run: open its images, check what only the data can tell, and write or compare its run directory."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import SavedRun, read_saved
from distal.config import Config
from distal.data.chunks import Skipped
from distal.data.split import held_out, holdout_fraction
from distal.data.table import ImageTable, open_images
from distal.errors import ConfigError, PoolError, RunError
from distal.given import GIVEN, facts_of, keep, read_given, to_parquet
from distal.ledger import Ledger
from distal.metrics import Evaluator, check_extractor
from distal.metrics.reference import at_most
from distal.oracle import Classes
from distal.oracle.given import match, names_of, read_table
from distal.places import with_absolute_places
from distal.query import STRATEGIES, Strategy
from distal.resolve import differing_keys, print_config
from distal.rounds import Setup
from distal.rundir import RunDirectory
from distal.train.memory import require_memory
from distal.version import __version__

Ids = npt.NDArray[np.int64]

MAY_CHANGE = (
    "address",
    "autoscaling",
    "wait_s",
    "driver_cpus",
    "storage",
    "name",
    "rounds",
    "stop.",
    "pool.path",
    "pool.shards",
    "pool.cache",
    "pool.cpus_per_shard",
    "pool.gpus_per_shard",
    "train.workers",
    "train.min_workers",
    "train.threads",
    "train.cpus_per_worker",
    "train.gpus_per_worker",
    "evaluate.path",
)
"""Keys that a run may change when it is taken up again; the paths only to the same images (same fingerprint)."""

PIECE_ROWS = 2**20


class Opened:
    """Hold a configuration whose images are open: sizes, channels and classes are known, nothing is started yet.

    Args:
        run: the run that this is of. Once it has asked for labels, those that it began with are read there.

    Raises:
        ConfigError, PoolError: what the data shows to be wrong, before any process starts.
    """

    def __init__(self, config: Config, run: RunDirectory | None = None) -> None:
        config = with_absolute_places(config)
        self.images = open_images(config.pool)
        begun = run is not None and bool(run.list("rounds"))
        table = [] if begun or config.query.labels is None else read_table(config.query.labels)
        self.classes = _classes(self.images.classes or names_of(table))
        shape = {"image_size": self.images.image_size, "channels": self.images.channels, "classes": list(self.classes)}
        self.config = config.model_copy(update={"pool": config.pool.model_copy(update=shape)})
        self.holdout = holdout_fraction(config.evaluate, self.images.rows)
        self.reference = self.images if config.evaluate.path is None else _open_reference(self.config)
        if run is not None and begun:
            self.given = read_given(run, read_saved(run).resolved.get("given"))
        else:
            given = match(table, self.images, Classes(self.classes, {}))
            self.given = keep(given, ~held_out(given.row_ids, self.holdout), "held out for evaluation")
        self._check()

    def _check(self) -> None:
        config, images = self.config, self.images
        if config.oracle.kind == "dataset" and not images.any_label():
            raise ConfigError(
                f"oracle.kind: 'dataset' needs labels; the pool has none in a column '{config.pool.label_column}'.\n"
                f"Name the column in pool.label_column, or label by hand with oracle.kind=files."
            )
        kept = _held_out_ids(images.rows, self.holdout)
        askable = images.rows - len(kept) - len(self.given.row_ids)
        if config.label_budget > askable:
            outside = " outside the held-out part" if self.holdout else ""
            unlabeled = " without a given label" if len(self.given.row_ids) else ""
            raise ConfigError(
                f"rounds x query.batch: a budget of {config.label_budget} labels is more than the pool's {askable} rows"
                f"{outside}{unlabeled}.\nLower rounds, query.batch or stop.labels."
            )
        check_extractor(config.evaluate.extractor, config.evaluate.extractor_path)
        possible = len(kept) if self.reference is images else self.reference.rows
        if possible < 2:
            raise _too_few_to_evaluate(possible)
        same = self.reference is not images and self.reference.fingerprint == images.fingerprint
        if same and not config.evaluate.allow_overlap:
            raise ConfigError(
                "evaluate.path: the evaluation images are the pool itself, so scores would flatter the generator.\n"
                "Give held-out images, leave evaluate.path out, or set evaluate.allow_overlap=true."
            )

    def record(self) -> dict[str, Any]:
        """Return what config.yaml keeps under `resolved`."""
        return {
            "distal": __version__,
            "fingerprint": self.images.fingerprint,
            "reference_fingerprint": self.reference.fingerprint,
            "rows": self.images.rows,
            "holdout": self.holdout,
            "image_size": self.images.image_size,
            "channels": self.images.channels,
            "classes": list(self.classes),
            "given": facts_of(self.given),
        }

    def compare(self, run: RunDirectory) -> None:
        """Refuse to continue another run under this one's name; one that has asked nothing yet may be replaced.

        Raises:
            RunError: the directory holds a run whose configuration or images differ, or lacks a round. StorageError:
                its labels cannot be read.
        """
        if not run.list("rounds"):
            return
        saved = read_saved(run)
        changed = [k for k in differing_keys(saved.config, self.config) if not k.startswith(MAY_CHANGE)]
        if changed:
            raise RunError(
                f"{run.uri}: holds a run with another configuration; it differs in {', '.join(changed[:5])}.\n"
                f"Give this one another name=..., or continue that one with: distal resume {run.uri}"
            )
        self.require_same_images(run, saved)
        run.committed()
        Ledger(run, len(self.classes)).labels()  # damage there shows now, not when the actors are up

    def require_same_images(self, run: RunDirectory, saved: SavedRun, reference: bool = True) -> None:
        """Require the pool to be the one that the run began with, and the held-out images if `reference` says so.

        Raises:
            RunError: they are others.
        """
        for what in ("fingerprint", "reference_fingerprint")[: 1 + reference]:
            if saved.resolved[what] != self.record()[what]:
                raise RunError(
                    f"{run.uri}: the {'pool' if what == 'fingerprint' else 'evaluation images'} changed since this "
                    f"run began, so its row ids name other images.\nRestore the files, give the place where they are "
                    f"({'pool' if what == 'fingerprint' else 'evaluate'}.path=...), or start under another name."
                )

    def require_memory(self) -> None:
        """Refuse a model that this process is to train and this machine has no memory for.

        Raises:
            ConfigError: with the estimate.
        """
        if self.config.train.workers == 0:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            require_memory(self.config, self.images.image_size, self.images.channels, len(self.classes), 1, device)

    def write(self, run: RunDirectory) -> None:
        """Write given.parquet once, config.yaml and environment.json: from here on the run exists."""
        if not run.list("rounds"):
            run.delete(GIVEN)
            if len(self.given.row_ids):
                run.write(GIVEN, to_parquet(self.given))
        run.write("config.yaml", print_config(self.config, self.record()).encode())
        run.write("environment.json", _json(environment()))

    def setup(self, run: RunDirectory, skipped: list[Skipped], available: int, strategy: Strategy | None) -> Setup:
        """Complete the setup once the shards have read every row; leave skipped.json.

        Raises:
            PoolError: too few rows are left.
        """
        run.write("skipped.json", _json([{"row_id": s.row_id, "path": s.path, "reason": s.reason} for s in skipped]))
        skipped_ids = np.array(sorted(s.row_id for s in skipped), dtype=np.int64)
        given = keep(self.given, ~np.isin(self.given.row_ids, skipped_ids), "no image that can be read")
        available -= len(given.row_ids)
        if self.config.label_budget > available:
            raise PoolError(
                f"{available} rows of the pool can be asked ({len(skipped)} of {self.images.rows} were skipped), less "
                f"than the budget of {self.config.label_budget} labels.\n"
                f"See {run.uri}/skipped.json, or lower rounds, query.batch or stop.labels."
            )
        return Setup(
            config=self.config,
            run=run,
            images=self.images,
            reference=self.reference,
            reference_rows=self.reference_rows(skipped),
            classes=self.classes,
            holdout=self.holdout,
            skipped=skipped_ids,
            given=given,
            available=available,
            strategy=strategy or STRATEGIES.find(self.config.query.strategy),
            cold_start=STRATEGIES.find(self.config.query.cold_start),
        )

    def reference_rows(self, skipped: list[Skipped]) -> Ids:
        """Choose the held-out rows that are compared with, given what was skipped of the pool.

        Raises:
            PoolError: fewer than two can be read.
        """
        if self.reference is self.images:
            rows = _held_out_ids(self.images.rows, self.holdout)
        else:
            rows = np.arange(self.reference.rows, dtype=np.int64)
            skipped = self.reference.skipped(0, self.reference.blocks)
        rows = rows[~np.isin(rows, [s.row_id for s in skipped])]
        if len(rows) < 2:
            raise _too_few_to_evaluate(len(rows))
        return at_most(rows, self.config.evaluate.reference)  # here, so that no more ids travel to the ranks

    def evaluator(self, cache: RunDirectory) -> Evaluator:
        """Return what scores against the held-out images; reading those decodes the pool where they are a part of it.

        cache: the folder of trained extractors and reference statistics.

        Raises:
            PoolError: too few can be read.
        """
        skipped = self.images.skipped(0, self.images.blocks) if self.holdout else []
        return Evaluator(self.config, self.reference, self.reference_rows(skipped), self.classes, cache)


class SavedImages:
    """Give the images of an existing run's rows, from its pool as it lies now.

    saved: of the run. config: the same with the pool's place as it is now.
    """

    def __init__(self, saved: SavedRun, config: Config) -> None:
        self._saved = saved
        self._config = config

    def pixels(self, row_ids: Ids) -> npt.NDArray[np.uint8]:
        """Return uint8 [n, C, H, W]. Raises PoolError where the pool is gone, or its files are others than then."""
        images = open_images(self._config.pool)
        if images.fingerprint != self._saved.resolved["fingerprint"]:
            raise PoolError(
                f"{self._config.pool.path}: its files changed since this run began, so row ids name other images.\n"
                "Give the place of the old files: distal report RUN pool.path=..."
            )
        return images.pixels(row_ids)


def environment() -> dict[str, Any]:
    """Describe where a run ran, for the report."""
    packages = ("distal", "ray", "torch", "pyarrow", "numpy")
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in packages},
    }


def _open_reference(config: Config) -> ImageTable:
    evaluate = config.evaluate
    assert evaluate.path is not None
    pool = config.pool.model_copy(update={"path": evaluate.path, "label_column": evaluate.label_column})
    try:
        return open_images(pool)
    except PoolError as error:
        message = str(error).replace("pool.label_column", "evaluate.label_column").replace("pool.path", "evaluate.path")
        raise PoolError(message if "evaluate.path" in message else f"evaluate.path: {message}") from None


def _held_out_ids(rows: int, fraction: float) -> Ids:
    """Find the held-out rows piece by piece: a driver's memory must not grow with the pool."""
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, rows if fraction else 0, PIECE_ROWS):
        ids = np.arange(start, min(start + PIECE_ROWS, rows), dtype=np.int64)
        found.append(ids[held_out(ids, fraction)])
    return np.concatenate(found)


def _too_few_to_evaluate(rows: int) -> PoolError:
    return PoolError(
        f"only {rows} evaluation images can be read; a distance needs at least 2.\n"
        f"Give more images in evaluate.path, or raise evaluate.holdout."
    )


def _classes(classes: tuple[str, ...] | None) -> tuple[str, ...]:
    if classes is None:
        raise ConfigError(
            "pool.classes: the pool has neither labels nor class names, so the generator's classes are unknown.\n"
            "Name them, for example: pool.classes=[good, scratch, dent]"
        )
    if len(classes) < 2:
        raise ConfigError(
            f"pool.classes: only one class is known ({', '.join(classes)}); a class-conditional generator needs two.\n"
            f"Name all classes in pool.classes, or check pool.label_column."
        )
    return classes


def _json(value: list[Any] | Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
