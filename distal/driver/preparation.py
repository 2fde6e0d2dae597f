"""Prepare a run: open its images, check what only the data can tell, and write or compare its run directory."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import BATCH, SavedRun, read_saved
from distal.config import EVALUATION_CACHE, Config
from distal.data.chunks import Skipped
from distal.data.protocol import Rows
from distal.data.references import FILE as REFERENCES
from distal.data.references import References
from distal.data.split import held_out_ids, holdout_fraction
from distal.data.tables import write_tables
from distal.driver.changes import batch_as_given, refuse_another, settle_batch
from distal.driver.environment import environment
from distal.driver.opening import labels_at_first, open_pool, open_reference, require_classes
from distal.driver.resources import choose_shards
from distal.errors import ConfigError, PoolError, RunError, UntrainedError
from distal.features import check_network
from distal.metrics import Evaluator
from distal.metrics.reference import at_most
from distal.models.memory import require_memory
from distal.oracle import Classes
from distal.oracle.given import GivenRow, names_of, read_table
from distal.places import with_absolute_places
from distal.plan import RunPlan
from distal.pool.sight import Frozen
from distal.query import STRATEGIES, Strategy
from distal.resolve import print_config
from distal.run.artefacts import Folder, Store
from distal.run.directory import RunDirectory
from distal.run.given import GIVEN, facts_of, keep, read_given, to_parquet
from distal.run.ledger import Ledger
from distal.version import __version__

Ids = npt.NDArray[np.int64]


class Preparation:
    """Hold a configuration whose images are open: sizes, channels and classes are known, nothing is started yet.

    Args:
        run: the run that this is of. Once it has asked for labels, those that it began with are read there.
        address: of a Ray cluster to join, where it is not the configuration's.

    Attributes:
        config: with what its nulls come to for these images.

    Raises:
        ConfigError, PoolError: what the data shows to be wrong, before any process starts.
    """

    def __init__(self, config: Config, run: RunDirectory | None = None, address: str | None = None) -> None:
        config = with_absolute_places(config)
        self._run = run
        saved = read_saved(run) if run is not None and run.list("rounds") else None
        self.images, self.tables, self.references = open_pool(config, run, saved is not None)
        table = [] if saved or config.query.labels is None else read_table(config.query.labels)
        self.classes = require_classes(self.images.classes or _named(saved, self.references, table))
        shape = {"image_size": self.images.image_size, "channels": self.images.channels, "classes": list(self.classes)}
        self._as_given = {"pool": {"shards": config.pool.shards}, "train": batch_as_given(config.train, saved)}
        placed = {"shards": choose_shards(config, self.images.rows, address)}
        pool, train = config.pool.model_copy(update=shape | placed), settle_batch(config.train, saved)
        self.config = config.model_copy(update={"pool": pool, "train": train})
        self.holdout = holdout_fraction(config.evaluate, self.images.first_rows)
        self.reference = self.images if config.evaluate.path is None else open_reference(self.config)
        if run and saved:
            self.given = read_given(run, saved.resolved.get("given"))
        else:
            classes = Classes(self.classes, {})
            self.given = labels_at_first(table, self.images, self.references, classes, self.holdout)
        self._check()

    def _check(self) -> None:
        config, images = self.config, self.images
        if config.oracle.kind == "dataset" and not images.any_label():
            raise ConfigError(
                f"oracle.kind: 'dataset' needs labels; the pool has none in a column '{config.pool.label_column}'.\n"
                f"Name the column in pool.label_column, or label by hand with oracle.kind=files."
            )
        held = held_out_ids(images.rows, self.holdout)
        askable = images.rows - int(images.held_out(held, self.holdout).sum()) - len(self.given.row_ids)
        if config.label_budget > askable:
            outside = " outside the held-out part" if self.holdout else ""
            unlabeled = " without a given label" if len(self.given.row_ids) else ""
            raise ConfigError(
                f"rounds x query.batch: a budget of {config.label_budget} labels is more than the pool's {askable} rows"
                f"{outside}{unlabeled}.\nLower rounds, query.batch or stop.labels."
            )
        check_network(config.evaluate.extractor, config.evaluate.extractor_path)
        own = self.reference is images
        possible = len(held_out_ids(images.first_rows, self.holdout)) if own else self.reference.rows
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
            "shards": self.config.pool.shards,
            BATCH: self.config.train.batch_size,
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
        refuse_another(run.uri, saved.config, self.config)
        self.require_same_images(run, saved)
        run.committed()
        Ledger(run, len(self.classes)).labels()  # damage there shows now, not when the actors are up

    def require_same_images(self, run: RunDirectory, saved: SavedRun, reference: bool = True) -> None:
        """Require the pool to be the one that the run began with, and the held-out images if `reference` says so.

        Raises:
            RunError: they are others.
        """
        self.tables.require_current(run)
        for what in ("fingerprint", "reference_fingerprint")[: 1 + reference]:
            if saved.resolved[what] != self.record()[what]:
                raise RunError(
                    f"{run.uri}: the {'pool' if what == 'fingerprint' else 'evaluation images'} changed since this "
                    f"run began, so its row ids name other images.\nRestore the files, give the place where they are "
                    f"({'pool' if what == 'fingerprint' else 'evaluate'}.path=...), or start under another name."
                )

    def network(self, store: Store | None = None) -> Frozen | None:
        """Return the frozen network that looks at the pool; None where the model's own classifier is all there is.

        store: where files that cost time are kept; None: beside the run.
        """
        return None if self.config.classifier == "head" else self.eyes(store)

    def eyes(self, store: Store | None = None) -> Frozen:
        """Return the frozen network of `features.network`, whether or not the run looks through it."""
        if store is None:
            store = self._run.beside(EVALUATION_CACHE) if self._run is not None else Folder(self.images.cache_folder)
        return Frozen.of(self.config, self.images, self.holdout, store)

    def require_network(self) -> None:
        """Make the frozen network once, so that what it lacks is said before any process starts.

        Raises:
            ConfigError, EvaluationError: a package, a file or weights that it needs cannot be had.
        """
        network = self.network()
        if network is None:
            return
        check_network(network.name, self.config.evaluate.extractor_path, "features.network")
        with suppress(UntrainedError):  # one that learns from the pool, which is not decoded yet
            network(torch.device("cpu"))

    def require_memory(self) -> None:
        """Refuse a model that this process is to train and this machine has no memory for.

        Raises:
            ConfigError: with the estimate.
        """
        if self.config.train.workers == 0:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            require_memory(self.config, self.images.image_size, self.images.channels, len(self.classes), 1, device)

    def write(self, run: RunDirectory) -> None:
        """Write what is written once, tables.json, config.yaml and environment.json: from here on the run exists."""
        if not run.list("rounds"):
            run.delete(GIVEN)
            if len(self.given.row_ids):
                run.write(GIVEN, to_parquet(self.given))
        self.write_tables(run)
        given = {name: getattr(self.config, name).model_copy(update=own) for name, own in self._as_given.items()}
        config = self.config.model_copy(update=given)  # for the next launch may have another place
        run.write("config.yaml", print_config(config, self.record()).encode())
        run.write("environment.json", _json(environment()))

    def write_tables(self, run: RunDirectory, closed: bool = False) -> None:
        """Write which files the rows are of, and before that, at the beginning, the references among them.

        closed: none may come, now or later.
        """
        if not run.list("rounds"):
            if self.references is None:
                run.delete(REFERENCES)
            else:
                run.write(REFERENCES, self.references.data)
        write_tables(run, replace(self.tables, closed=closed or self.tables.closed))

    def plan(self, run: RunDirectory, skipped: list[Skipped], available: int, strategy: Strategy | None) -> RunPlan:
        """Complete the plan once the shards have read every row; leave skipped.json.

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
        return RunPlan(
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
            network=self.network(),
        )

    def reference_rows(self, skipped: list[Skipped]) -> Ids:
        """Choose the held-out rows that are compared with, given what was skipped of the pool.

        Raises:
            PoolError: fewer than two can be read.
        """
        if self.reference is self.images:
            # No more as the pool grows: scores of one run stay comparable.
            rows = held_out_ids(self.images.first_rows, self.holdout)
        else:
            rows = np.arange(self.reference.rows, dtype=np.int64)
            skipped = self.reference.skipped(0, self.reference.blocks)
        rows = rows[~np.isin(rows, [s.row_id for s in skipped])]
        if len(rows) < 2:
            raise _too_few_to_evaluate(len(rows))
        return at_most(rows, self.config.evaluate.reference)  # here, so that no more ids travel to the ranks

    def evaluator(
        self, cache: RunDirectory, skipped: list[Skipped] | None = None, pool_rows: Rows | None = None
    ) -> Evaluator:
        """Return what scores against the held-out images; reading those decodes the pool where they are a part of it.

        cache: the folder of trained extractors and reference statistics. skipped, pool_rows: what shards have found in
            the pool, and what gives its pixels; None: this process decodes it.

        Raises:
            PoolError: too few can be read.
        """
        if skipped is None:
            blocks = -(-self.images.first_rows // self.images.block_rows)
            skipped = self.images.skipped(0, blocks) if self.holdout else []
        rows = pool_rows if self.reference is self.images else None
        return Evaluator(self.config, self.reference, self.reference_rows(skipped), self.classes, cache, rows)


def _too_few_to_evaluate(rows: int) -> PoolError:
    return PoolError(
        f"only {rows} evaluation images can be read; a distance needs at least 2.\n"
        f"Give more images in evaluate.path, or raise evaluate.holdout."
    )


def _named(saved: SavedRun | None, references: References | None, table: Sequence[GivenRow]) -> tuple[str, ...] | None:
    """Return the classes of a pool that names none: a begun run's, else what examples and labels say."""
    if saved is not None:
        return saved.classes
    first = () if references is None else references.classes
    return (*first, *(name for name in names_of(table) or () if name not in first))


def _json(value: list[Any] | Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
