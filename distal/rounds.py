"""Run rounds: acquire, annotate, train, evaluate, commit; the one place that knows all five phases.

The same function runs in the driver's process and on every rank of a Ray Train worker group; it knows neither Train
nor Tune. Rank 0 decides, talks to the pool and the oracle, and writes; the other ranks wait on a broadcast. State is
what is on disk: each phase ends with a file, and a run that is taken up again starts at the first phase whose file is
missing.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import read_checkpoint, read_losses, write_checkpoint
from distal.communicator import Communicator, on_first_rank
from distal.config import EVALUATION_CACHE, Config
from distal.data.split import held_out
from distal.data.table import ImageTable
from distal.given import joined
from distal.ledger import Labels, Ledger, Query
from distal.logs import label_records
from distal.metrics import DISTANCE, Evaluator, Score, find_score
from distal.models import MODELS, Model
from distal.oracle import Oracle, annotate
from distal.pool.shard import Scored
from distal.progress import Event, Listener, ignore
from distal.query import ShardGroup, Strategy, select
from distal.report.grid import sample_grid
from distal.report.rows import REAL, SAMPLES_PER_CLASS, real_grid, row_names
from distal.results import RoundResult, read_result
from distal.rundir import RunDirectory, round_path
from distal.stopping import Outcome, Stop, decide_stop
from distal.train import TrainingRows, train_round
from distal.train.latents import sample_latents

logger = logging.getLogger(__name__)

Ids = npt.NDArray[np.int64]
T = TypeVar("T")


class Shards(ShardGroup, Protocol):
    """Score the pool, then answer the calls of a selection."""

    def open_round(
        self, round: int, strategy: Strategy, scorer: bytes | None, asked: Ids, labeled: Ids
    ) -> list[Scored]:
        """Score every row with the broadcast scorer."""


@dataclass(frozen=True)
class Setup:
    """Hold what a run is, resolved and checked, the same on every rank.

    images: the pool. reference, reference_rows: the held-out images. holdout: the fraction of the pool kept for
    evaluation, 0 where the reference is another set. skipped: sorted row ids that cannot be decoded. given: the labels
    that the run began with. available: rows that may be asked over the whole run. strategy, cold_start: looked up in
    the driver, where a script may have registered its own.
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


def run_rounds(
    setup: Setup,
    shards: Shards,
    oracle: Oracle,
    comm: Communicator,
    listen: Listener = ignore,
    on_commit: Callable[[RoundResult], bool] = lambda result: True,
) -> Outcome:
    """Run rounds until the goal, the budget or patience ends them, or until labels are awaited.

    Args:
        comm: connects the ranks. listen: hears progress on rank 0. on_commit: hears each committed round on rank 0;
            False ends the loop there.

    Raises:
        DistalError: the same on every rank.
    """
    if comm.rank > 0:
        listen = ignore
    ledger = Ledger(setup.run, len(setup.classes))
    cache = setup.run.beside(EVALUATION_CACHE)
    evaluator = Evaluator(setup.config, setup.reference, setup.reference_rows, setup.classes, cache)
    state = restore(setup, comm)
    while True:
        stop = on_first_rank(comm, partial(should_stop, setup, ledger))
        if stop is not None:
            return Outcome("stopped", stop.reason, stop.message)
        round = on_first_rank(comm, lambda: len(setup.run.committed()) + 1)
        label_records(setup.config.name, round)
        seconds: dict[str, float] = {}
        with_time = partial(_timed, seconds)
        choose = partial(acquire, setup, ledger, shards, state, round, listen)
        query = with_time("acquire", partial(on_first_rank, comm, choose))
        waiting = with_time("annotate", partial(on_first_rank, comm, partial(annotate, ledger, oracle, query, listen)))
        if waiting is not None:
            return Outcome("waiting", "labels", waiting)
        with_time("reference", partial(prepare, setup, evaluator, comm, listen))
        state, losses = with_time("train", partial(train, setup, ledger, state, comm, round, listen))
        scores = with_time("evaluate", partial(evaluate, setup, evaluator, state, comm, round, listen))
        result = on_first_rank(comm, partial(commit, setup, ledger, evaluator, state, round, losses, scores, seconds))
        listen(Event(round, "commit", round, setup.config.planned_rounds, result.headline()))
        if not on_first_rank(comm, partial(on_commit, result)):
            return Outcome("interrupted", "driver", f"stopped by the driver after round {round}")


def prepare(setup: Setup, evaluator: Evaluator, comm: Communicator, listen: Listener) -> None:
    """Make what training and scoring need, once in a launch: decoded pixels, extractor, features of the reference.

    Not before a round's question is answered: nobody who labels waits for it.
    """
    if evaluator.prepared:
        return
    # Left to the training steps, each of a batch's random rows would decode the chunk around it.
    setup.images.decode(comm.rank, comm.size)
    evaluator.prepare(comm, lambda phase, done, total: listen(Event(0, phase, done, total)))
    on_first_rank(comm, lambda: draw_real(setup))


def draw_real(setup: Setup) -> None:
    """Draw held-out images as the samples are drawn, once a run: its report then needs no pool to show them."""
    if setup.run.has(REAL):
        return
    images, rows = setup.reference, setup.reference_rows
    labels = images.labels(rows) if images.has_labels else np.full(len(rows), -1)
    setup.run.write(REAL, real_grid(lambda positions: images.pixels(rows[positions]), labels, setup.classes))


def restore(setup: Setup, comm: Communicator) -> Model:
    """Return the state after the last committed round, or a fresh one before the first."""
    committed = on_first_rank(comm, lambda: setup.run.committed())
    if committed:
        return _load(setup, comm, committed[-1])[0]
    return MODELS.find(setup.config.model.kind).create(
        setup.config, setup.images.image_size, setup.images.channels, len(setup.classes), comm.device
    )


def should_stop(setup: Setup, ledger: Ledger) -> Stop | None:
    """Return why no further round begins, from what is committed; an open query is always finished first."""
    rounds = setup.run.committed()
    if ledger.read_query(len(rounds) + 1) is not None:
        return None
    asked = len(ledger.asked())
    goal = setup.config.stop.followed
    metric = DISTANCE if goal is None else goal.metric
    values = [read_result(setup.run, r).value(metric) for r in rounds]
    better = find_score(metric, setup.config.evaluate, "stop.goal.metric").better
    return decide_stop(setup.config, metric, better, values, asked, setup.available - asked)


def acquire(setup: Setup, ledger: Ledger, shards: Shards, state: Model, round: int, listen: Listener) -> Query:
    """Choose the rows to ask next: score the shards, merge their candidates, write the query before it is asked."""
    written = ledger.read_query(round)
    if written is not None:
        return written
    config = setup.config
    asked = ledger.asked()
    batch = min(config.query.batch, config.label_budget - len(asked), setup.available - len(asked))
    strategy = setup.strategy if round > 1 else setup.cold_start
    scorer = state.scorer().to_bytes() if strategy.needs else None
    listen(Event(round, "acquire", 0, batch))
    taken = np.union1d(asked, setup.given.row_ids)
    scored = shards.open_round(round, strategy, scorer, taken, joined(setup.given, ledger.labels()).row_ids)
    selection = select(shards, strategy, batch, config.seed, round)
    query = Query(round, selection.row_ids, selection.scores, strategy.name)
    ledger.write_query(query)
    rows, slowest = sum(s.rows for s in scored), max(s.seconds for s in scored)
    facts: dict[str, float | str] = {"rows": rows, "seconds": slowest, "passes": selection.passes}
    facts |= {"strategy": strategy.name, "bytes": selection.bytes_moved, "scorer_bytes": len(scorer or b"")}
    listen(Event(round, "acquire", batch, batch, facts))
    return query


def train(
    setup: Setup, ledger: Ledger, state: Model, comm: Communicator, round: int, listen: Listener
) -> tuple[Model, dict[str, float]]:
    """Update the model for a round's steps on every rank, and leave a checkpoint; return it and the mean losses."""
    if on_first_rank(comm, lambda: setup.run.has(round_path(round, "checkpoint", "manifest.json"))):
        return _load(setup, comm, round)
    labels = joined(setup.given, on_first_rank(comm, ledger.labels))
    rows = TrainingRows(
        setup.images,
        total_rows=setup.images.rows,
        excluded=setup.skipped,
        held_out=partial(held_out, fraction=setup.holdout) if setup.holdout else None,
        labeled_ids=labels.row_ids,
        labels=labels.labels,
        seed=setup.config.seed,
        balance=setup.config.train.class_balance,
    )
    steps = setup.config.train.steps

    def on_progress(done: int, losses: dict[str, float]) -> None:
        listen(Event(round, "train", done, steps, dict(losses)))

    on_progress(0, {})
    losses = train_round(state, rows, comm, steps, on_progress)
    on_first_rank(comm, partial(write_checkpoint, setup.run, round, state, losses))
    return state, losses


def evaluate(
    setup: Setup, evaluator: Evaluator, state: Model, comm: Communicator, round: int, listen: Listener
) -> list[Score]:
    """Score what is generated, and the classifier, against the held-out images on every rank; draw the sample grid."""

    def on_progress(done: int, total: int) -> None:
        listen(Event(round, "evaluate", done, total))

    on_progress(0, setup.config.evaluate.samples)
    scores = evaluator.evaluate(state.generate, state.scorer(), comm, on_progress)

    def draw() -> None:
        classes = len(setup.classes)
        latents = sample_latents(SAMPLES_PER_CLASS * classes, setup.config.net.latent_dim)
        labels = torch.arange(classes).repeat_interleave(SAMPLES_PER_CLASS)
        images = state.generate(latents, labels).cpu().numpy()
        grid = sample_grid(images, columns=SAMPLES_PER_CLASS, row_names=row_names(setup.classes))
        setup.run.write(round_path(round, "samples.png"), grid)

    on_first_rank(comm, draw)
    return scores


def commit(
    setup: Setup,
    ledger: Ledger,
    evaluator: Evaluator,
    state: Model,
    round: int,
    losses: dict[str, float],
    scores: list[Score],
    seconds: dict[str, float],
) -> RoundResult:
    """Write metrics.json, then COMMITTED, which seals the files of the round."""
    metrics = {
        "round": round,
        "labels": len(ledger.labels().row_ids),
        "asked": len(ledger.asked()),
        "given": len(setup.given.row_ids),
        "cost": ledger.cost(),
        "steps": state.step,
        "goal": evaluator.goal(scores).name,
        "scores": [score.to_json() for score in scores],
        "losses": losses,
        "seconds": {phase: round_seconds(s) for phase, s in seconds.items()},
    }
    setup.run.write(round_path(round, "metrics.json"), _json(metrics))
    setup.run.commit(round)
    result = RoundResult(round, metrics)
    logger.info("round %d committed: %s", round, result.headline())
    return result


def round_seconds(seconds: float) -> float:
    """Round a duration to milliseconds: more digits say nothing."""
    return float(f"{seconds:.3f}")


def _load(setup: Setup, comm: Communicator, round: int) -> tuple[Model, dict[str, float]]:
    files = on_first_rank(comm, partial(read_checkpoint, setup.run, round))
    shape = (setup.images.image_size, setup.images.channels, len(setup.classes))
    state = MODELS.find(setup.config.model.kind).from_files(setup.config, files, comm.device, shape)
    return state, read_losses(setup.run, round, files)


def _timed(seconds: dict[str, float], phase: str, action: Callable[[], T]) -> T:
    started = time.perf_counter()
    value = action()
    seconds[phase] = time.perf_counter() - started
    return value


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
