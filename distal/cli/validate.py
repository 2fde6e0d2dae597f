"""Cross-validate a configuration over folds of its labels, without Ray: what other labels, as good, would give."""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import read_saved
from distal.communicator import Alone
from distal.config import EVALUATION_CACHE, Config
from distal.driver.preparation import Preparation
from distal.errors import ConfigError
from distal.metrics import Evaluator, Score
from distal.models import MODELS, Model
from distal.run.directory import RunDirectory
from distal.run.given import joined
from distal.run.ledger import Ledger
from distal.streams import stream
from distal.train import TrainingRows, train_round
from distal.train.folds import stratified

Ints = npt.NDArray[np.int64]
Values = dict[str, float | None]

FILE = "validate.json"
ROWS = 256
"""Left-out images that the classifier looks at together."""


def validate_config(config: Config, folds: int, steps: int | None, listen: Callable[[str], None]) -> str:
    """Train and score a model for each fold; write validate.json into the run's folder and return a table.

    Raises:
        ConfigError: too few labels. RunError: a run of this name is of other images. PoolError: the pool cannot be
            read. TrainingError: a model's losses are not finite.
    """
    run = RunDirectory.open(config.storage, config.name)
    opened = Preparation(config, run)
    opened.require_memory()
    if run.exists():
        opened.require_same_images(run, read_saved(run))
    listen("reading the pool")
    work = Validation.of(opened, run, folds, steps or config.train.steps * config.planned_trainings)
    found = []
    for fold in range(folds):
        listen(f"fold {fold + 1} of {folds}: {work.steps} updates with {int((work.folds != fold).sum())} labels")
        found.append(work.values(fold))
    table = summary(found)
    facts = {"folds": folds, "labels": len(work.labels), "steps": work.steps, "model": config.model.kind}
    scores = {name: asdict(spread) for name, spread in table.items()}
    run.write(FILE, (json.dumps(facts | {"scores": scores}, indent=1) + "\n").encode())
    title = (
        f"{folds} folds of {len(work.labels)} labels, model.kind={config.model.kind}, {work.steps} updates each;\n"
        f"accuracy on the labels left out, all else against {len(work.evaluator.split)} held-out images"
    )
    return f"{title}\n\n{describe(table)}\n\nall figures: {run.place(FILE)}"


@dataclass(frozen=True)
class Spread:
    """Hold a score's values over the folds, their mean and the deviation of a sample; None where one is missing."""

    mean: float | None
    deviation: float | None
    values: list[float | None]

    @classmethod
    def of(cls, values: list[float | None]) -> "Spread":
        """Compute both."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return cls(None, None, values)
        return cls(statistics.fmean(known), statistics.stdev(known), values)


@dataclass(frozen=True)
class Validation:
    """Hold what the folds share. row_ids, labels, folds: int64 [n], the labeled rows and the fold of each."""

    opened: Preparation
    evaluator: Evaluator
    excluded: Ints
    row_ids: Ints
    labels: Ints
    folds: Ints
    steps: int
    comm: Alone

    @classmethod
    def of(cls, opened: Preparation, run: RunDirectory, folds: int, steps: int) -> "Validation":
        """Gather the labels and cut them into folds."""
        pool = opened.images
        skipped = pool.skipped(0, pool.blocks)
        unread = np.array(sorted(each.row_id for each in skipped), np.int64)
        row_ids, labels = labeled_rows(opened, run, unread)
        cut = stratified(labels, folds, opened.config.seed)
        comm = Alone("cuda" if torch.cuda.is_available() else "cpu")
        evaluator = opened.evaluator(run.beside(EVALUATION_CACHE), skipped)
        evaluator.prepare(comm)
        return cls(opened, evaluator, unread, row_ids, labels, cut, steps, comm)

    def values(self, fold: int) -> Values:
        """Train without a fold, and return the scores over all images by name, and the accuracy on the fold."""
        opened, config = self.opened, self.opened.config
        left_out = self.folds == fold
        rows = TrainingRows(
            opened.images,
            total_rows=opened.images.rows,
            excluded=np.union1d(self.excluded, self.row_ids[left_out]),
            held_out=partial(opened.images.held_out, fraction=opened.holdout) if opened.holdout else None,
            labeled_ids=self.row_ids[~left_out],
            labels=self.labels[~left_out],
            seed=config.seed,
            balance=config.train.class_balance,
            run_length=config.train.run_length,
        )
        shape = opened.images.image_size, opened.images.channels, len(opened.classes)
        fresh = MODELS.find(config.model.kind).create(config, *shape, self.comm.device)
        model, _ = train_round(fresh, rows, self.comm, self.steps)
        scores = self.evaluator.evaluate(model.generate, model.scorer(), self.comm)
        return self._on_fold(model, left_out) | named(scores, self.evaluator.goal(scores))

    def _on_fold(self, model: Model, left_out: npt.NDArray[np.bool_]) -> Values:
        """Return how often the model's classifier is right on the labels left out, and the mean over their classes."""
        rows, labels, scorer = self.row_ids[left_out], self.labels[left_out], model.scorer()
        guesses = []
        for start in range(0, len(rows), ROWS):
            pixels = torch.from_numpy(np.array(self.opened.images.pixels(rows[start : start + ROWS])))
            guesses.append(scorer(pixels)["probs"].argmax(1).cpu().numpy())
        right = np.concatenate(guesses) == labels
        balanced = [right[labels == c].mean() for c in np.unique(labels)]
        return {"accuracy_left_out": float(right.mean()), "accuracy_left_out_balanced": float(np.mean(balanced))}


def labeled_rows(opened: Preparation, run: RunDirectory, unread: Ints) -> tuple[Ints, Ints]:
    """Return row ids and labels, int64 [n] each: what is known, else what the dataset oracle would be asked for."""
    images, config = opened.images, opened.config
    known = joined(opened.given, Ledger(run, len(opened.classes)).labels()) if run.exists() else opened.given
    row_ids, labels = known.row_ids, known.labels
    if not len(row_ids) and config.oracle.kind == "dataset":
        row_ids = np.arange(images.rows, dtype=np.int64)
        row_ids = row_ids[~images.held_out(row_ids, opened.holdout)]
        labels = images.labels(row_ids)
        usable = np.flatnonzero((labels >= 0) & ~np.isin(row_ids, unread))
        drawn = np.sort(stream(config.seed, "validate").permutation(usable)[: config.label_budget])
        row_ids, labels = row_ids[drawn], labels[drawn]
    if not len(row_ids):
        raise ConfigError(
            f"{run.uri}: there is no label to validate with.\nLabel first (distal run), or give labels in query.labels."
        )
    read = ~np.isin(row_ids, unread)
    return row_ids[read], labels[read]


def named(scores: list[Score], goal: Score) -> Values:
    """Return the scores over all images by name, the distance that a run follows first."""
    rest = {score.name: score.value for score in scores if score.class_name is None}
    return {goal.name: goal.value} | rest


def summary(found: list[Values]) -> dict[str, Spread]:
    """Return how each score spreads over the folds."""
    return {name: Spread.of([fold.get(name) for fold in found]) for name in found[0]}


def describe(table: dict[str, Spread]) -> str:
    """Return a line a score."""
    width = max(map(len, table))
    lines = [f"{'':{width}}  {'mean':>9}  {'deviation':>9}  each fold"]
    for name, row in table.items():
        mean, deviation = ("-" if x is None else f"{x:.4g}" for x in (row.mean, row.deviation))
        each = "  ".join("-" if value is None else f"{value:.4g}" for value in row.values)
        lines.append(f"{name:{width}}  {mean:>9}  {deviation:>9}  {each}")
    return "\n".join(lines)
