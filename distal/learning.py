"""Take a model through a round's training: begin where the run stands, keep what would be lost, leave a checkpoint."""

import hashlib
import json
import logging
import time
from functools import partial

from distal.checkpoints import has_checkpoint, last_trained, read_checkpoint, read_losses, write_checkpoint
from distal.communicator import Communicator, on_first_rank
from distal.config import Config
from distal.errors import RunError
from distal.models import MODELS, Model
from distal.plan import NOBODY, Going, RunPlan, Work
from distal.pool.synthesized import answered_images
from distal.progress import Event
from distal.run.directory import RunDirectory, round_path
from distal.run.given import joined
from distal.train import TrainingRows, train_round
from distal.train.kept import Kept
from distal.train.variety import Variety

logger = logging.getLogger(__name__)

UNFINISHED = "training.safetensors"
"""What a round's training has come to, replaced as it goes on and gone once there is a checkpoint."""

FREE = {"workers", "min_workers", "cpus_per_worker", "gpus_per_worker", "threads"}
FREE |= {"checkpoint_s", "on_divergence", "explosion", "variety_steps", "every"}
"""Keys of `train` that may be others when a round goes on."""


class Unfinished:
    """Keep the training of one round in its folder, every `train.checkpoint_s` seconds; of one rank.

    What was kept for other labels or under another configuration is not gone on from.

    Args:
        going: counts the nodes that are about to be taken away; each is a reason to keep at once, in one round.
    """

    def __init__(
        self, run: RunDirectory, round: int, config: Config, rows: TrainingRows, going: Going = NOBODY
    ) -> None:
        self._going = going
        self._run, self._path, self._every_s = run, round_path(round, UNFINISHED), config.train.checkpoint_s
        own = b"" if rows.synthesized is None else rows.synthesized.pixels.tobytes() + rows.synthesized.labels.tobytes()
        labels = hashlib.sha256(rows.labeled_ids.tobytes() + rows.labels.tobytes() + own).hexdigest()
        shared = {"seed": True, "net": True, "model": True, "train": True}
        settings = config.model_dump(mode="json", include=set(shared), exclude={"train": FREE})
        made_of = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._facts = {"round": round, "labels": labels, "settings": made_of}
        self._last = time.monotonic()

    def due(self) -> bool:
        """Say whether the interval has passed, or a node is about to go."""
        passed = self._every_s is not None and time.monotonic() - self._last >= self._every_s
        return passed or self._going() > 0

    def keep(self, kept: Kept) -> None:
        """Write the file whole, in place of the one before."""
        self._going.kept()  # first: a node that is told to go while this is written is a reason of its own
        self._run.write(self._path, kept.to_bytes(self._facts))
        self._last = time.monotonic()

    def read(self) -> Kept | None:
        """Return what was kept last, None where there is nothing that this round can go on from."""
        if not self._run.has(self._path):
            return None
        try:
            return Kept.from_bytes(self._run.read(self._path), self._facts)
        except RunError as error:
            logger.warning("%s is left alone: %s; the round begins anew", self._run.place(self._path), error)
            return None

    def clear(self) -> None:
        """Remove what was kept."""
        if self._run.has(self._path):
            self._run.delete(self._path)


def restore(plan: RunPlan, comm: Communicator) -> Model:
    """Return the state after the last round that was trained, or a fresh one before the first."""
    last = on_first_rank(comm, lambda: last_trained(plan.run, len(plan.run.committed())))
    if last is not None:
        return _load(plan, comm, last)[0]
    return MODELS.find(plan.config.model.kind).create(plan.config, *_shape(plan), comm.device)


def begun(run: RunDirectory, round: int) -> bool:
    """Say whether a round's training has left anything: it is then brought to its end."""
    return has_checkpoint(run, round) or run.has(round_path(round, UNFINISHED))


def training_rows(work: Work) -> TrainingRows:
    """Return what the model learns from now: all rows that are not held out, with the labels so far."""
    plan, comm, config = work.plan, work.comm, work.plan.config
    asked, answers = on_first_rank(comm, lambda: (work.ledger.labels(), work.ledger.of_generated()))
    labels = joined(plan.given, asked)
    return TrainingRows(
        work.shards.rows,
        total_rows=plan.images.rows,
        excluded=plan.skipped,
        held_out=partial(plan.images.held_out, fraction=plan.holdout) if plan.holdout else None,
        labeled_ids=labels.row_ids,
        labels=labels.labels,
        seed=config.seed,
        balance=config.train.class_balance,
        synthesized=answered_images(plan.run, answers),
        run_length=config.train.run_length,
    )


def train(work: Work, state: Model, round: int) -> tuple[Model, dict[str, float]]:
    """Update the model for a round's steps on every rank, and leave a checkpoint; return it and the mean losses."""
    plan, comm, config = work.plan, work.comm, work.plan.config
    rows = training_rows(work)
    unfinished, steps = Unfinished(plan.run, round, config, rows, work.going), config.train.steps
    if on_first_rank(comm, lambda: has_checkpoint(plan.run, round)):
        on_first_rank(comm, unfinished.clear)
        return _load(plan, comm, round)
    kept = on_first_rank(comm, unfinished.read)
    if kept is not None:
        logger.info("round %d goes on from update %d of %d", round, kept.done, steps)
        state = MODELS.find(config.model.kind).from_files(config, kept.files, comm.device, _shape(plan))

    def on_progress(done: int, losses: dict[str, float]) -> None:
        work.listen(Event(round, "train", done, steps, dict(losses)))

    on_progress(0 if kept is None else kept.done, {})
    keeper = unfinished if comm.rank == 0 else None
    every, watched = config.train.variety_steps, None
    if every and comm.rank == 0:
        watched = Variety(rows, plan.classes, config.net.latent_dim, every)
    state, losses = train_round(state, rows, comm, steps, on_progress, keeper, kept, watched)
    on_first_rank(comm, partial(write_checkpoint, plan.run, round, state, losses))
    on_first_rank(comm, unfinished.clear)
    return state, losses


def _load(plan: RunPlan, comm: Communicator, round: int) -> tuple[Model, dict[str, float]]:
    files = on_first_rank(comm, partial(read_checkpoint, plan.run, round))
    state = MODELS.find(plan.config.model.kind).from_files(plan.config, files, comm.device, _shape(plan))
    return state, read_losses(plan.run, round, files)


def _shape(plan: RunPlan) -> tuple[int, int, int]:
    return plan.images.image_size, plan.images.channels, len(plan.classes)
