"""Run rounds: acquire, annotate, train, evaluate, commit; the one place that knows all five phases.

The same generator runs in the driver's process and on every rank of a Ray Train worker group; it knows neither Train
nor Tune, and whoever iterates decides after each commit whether there is another round. Rank 0 decides what is asked,
talks to the pool and the oracle, and writes; the other ranks wait on a broadcast. State is what is on disk: each phase
ends with a file, and a run that is taken up again starts at the first phase whose file is missing.
"""

import json
import logging
from collections.abc import Generator
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import has_checkpoint, trained_before
from distal.communicator import Communicator, on_first_rank
from distal.config import EVALUATION_CACHE
from distal.data.protocol import Rows
from distal.learning import begun, restore, train, training_rows
from distal.logs import label_records
from distal.metrics import DISTANCE, Evaluator, Score, find_score
from distal.models import Counting, Model
from distal.oracle import Classes, Oracle, annotate
from distal.oracle.decided import corrections
from distal.plan import NOBODY, Going, RunPlan, Shards, Work, eyes_of, moments_of
from distal.pool.found import least_recall
from distal.pool.scope import Scope
from distal.pool.sight import Sight
from distal.pool.synthesized import draw_to_ask, number_to_draw, what_became
from distal.progress import Clock, Event, Listener, ignore
from distal.query import Known, Strategy, select
from distal.query.view import PAST
from distal.report.grid import sample_grid
from distal.report.rows import REAL, SAMPLES_PER_CLASS, real_grid, row_names
from distal.run.directory import round_path
from distal.run.generated import of_pool
from distal.run.given import joined, labels_before
from distal.run.ledger import Labels, Ledger, Query
from distal.run.map import MAP
from distal.run.results import RoundResult, read_result
from distal.stopping import Outcome, Stop, decide_stop
from distal.train.latents import sample_latents

logger = logging.getLogger(__name__)


def run_rounds(
    plan: RunPlan, shards: Shards, oracle: Oracle, comm: Communicator, listen: Listener = ignore, going: Going = NOBODY
) -> Generator[RoundResult, None, Outcome]:
    """Yield each round once it is committed; return whether the goal, the budget or patience ended them, or a wait.

    The next round begins when it is asked for, so whoever leaves the loop ends the run there.

    Args:
        comm: connects the ranks. listen: hears progress on rank 0. going: see `Work`.

    Raises:
        DistalError: the same on every rank.
    """
    ledger = Ledger(plan.run, len(plan.classes))
    cache = plan.run.beside(EVALUATION_CACHE)
    reference: Rows = shards.rows if plan.reference is plan.images else plan.reference
    evaluator = Evaluator(plan.config, plan.reference, plan.reference_rows, plan.classes, cache, reference)
    listen = ignore if comm.rank else listen
    eyes = eyes_of(plan, shards)
    seen = eyes, moments_of(plan, shards), Scope(plan.config, plan.images.rows, eyes)
    work = Work(plan, shards, oracle, ledger, evaluator, reference, comm, listen, *seen, going)
    state = restore(plan, comm)
    while (stop := on_first_rank(comm, lambda: should_stop(work))) is None:
        done = run_round(work, state)
        if isinstance(done, str):
            return Outcome("waiting", "labels", done)
        state, result = done
        yield result
    return Outcome("stopped", stop.reason, stop.message)


def run_round(work: Work, state: Model) -> tuple[Model, RoundResult] | str:
    """Take the model through one round, or say which labels are awaited."""
    comm, clock = work.comm, Clock()
    round = on_first_rank(comm, lambda: len(work.plan.run.committed()) + 1)
    label_records(work.plan.config.name, round)
    with clock("acquire"):
        query = on_first_rank(comm, lambda: acquire(work, state, round))
    with clock("annotate"):
        waiting = on_first_rank(comm, lambda: annotate(work.ledger, work.oracle, query, work.listen))
    if waiting is not None:
        return waiting
    if on_first_rank(comm, lambda: trains(work, round)):
        with clock("reference"):
            prepare(work)
        with clock("train"):
            state, losses = train(work, state, round)
        with clock("evaluate"):
            scores = evaluate(work, state, round)
    else:
        with clock("evaluate"):
            losses, scores = {}, on_first_rank(comm, lambda: work.evaluator.of_probe(_probe(work, round)))
    result = on_first_rank(comm, lambda: commit(work, state, round, losses, scores, clock.seconds))
    work.listen(Event(round, "commit", round, work.plan.config.planned_rounds, result.headline()))
    return state, result


def trains(work: Work, round: int) -> bool:
    """Say whether a round whose answers are in trains: each `train.every`-th, and one after which the run ends."""
    plan, eyes = work.plan, work.eyes
    if round % plan.config.train.every == 0 or begun(plan.run, round):
        return True
    found = None
    if plan.config.stop.recall is not None and eyes is not None:
        eyes.open(work.listen, round)
        labels = joined(plan.given, work.ledger.labels())
        left = plan.available - len(of_pool(work.ledger.asked()))
        found = least_recall(work.scope.recall(round, labels, work.ledger, plan.classes, left))
    return stop_after(work, round, found) is not None


def prepare(work: Work) -> None:
    """Make what training and scoring need, once in a launch: extractor, features of the reference.

    Not before a round's question is answered: nobody who labels waits for it.
    """
    plan, comm = work.plan, work.comm
    if work.evaluator.prepared:
        return
    work.evaluator.prepare(comm, lambda phase, done, total: work.listen(Event(0, phase, done, total)))
    on_first_rank(comm, lambda: draw_real(plan, work.reference))


def draw_real(plan: RunPlan, reference: Rows) -> None:
    """Draw held-out images as the samples are drawn, once a run: its report then needs no pool to show them."""
    if plan.run.has(REAL):
        return
    images, rows = plan.reference, plan.reference_rows
    labels = images.labels(rows) if images.has_labels else np.full(len(rows), -1)
    plan.run.write(REAL, real_grid(lambda positions: reference.pixels(rows[positions]), labels, plan.classes))


def should_stop(work: Work) -> Stop | None:
    """Return why no further round begins, from what is committed; an open query is always finished first."""
    plan = work.plan
    rounds = plan.run.committed()
    if work.ledger.read_query(len(rounds) + 1) is not None:
        return None
    recall = least_recall(read_result(plan.run, rounds[-1]).metrics.get("recall")) if rounds else None
    return stop_after(work, len(rounds), recall)


def stop_after(work: Work, rounds: int, recall: float | None) -> Stop | None:
    """Return why the run ends with this many rounds, of which the last may not be committed yet.

    recall: the least of a rare class, as `decide_stop` takes it.
    """
    plan = work.plan
    every = work.ledger.asked()
    goal = plan.config.stop.followed
    metric = DISTANCE if goal is None else goal.metric
    results = (read_result(plan.run, r) for r in plan.run.committed())
    values = [result.value(metric) for result in results if result.trained]
    better = find_score(metric, plan.config.evaluate, "stop.goal.metric").better
    left = plan.available - len(of_pool(every))
    return decide_stop(plan.config, metric, better, values, rounds, len(every), left, recall)


def acquire(work: Work, state: Model, round: int) -> Query:
    """Choose the rows to ask next: score the shards, merge their candidates, write the query before it is asked."""
    plan, ledger, shards, listen = work.plan, work.ledger, work.shards, work.listen
    written = ledger.read_query(round)
    if written is not None:
        return written
    ledger.correct(round, corrections(plan.run, ledger, Classes(plan.classes, plan.config.oracle.cost)))
    config = plan.config
    asked = ledger.asked()
    batch = min(config.query.batch, config.label_budget - len(asked), plan.available - len(of_pool(asked)))
    listen(Event(round, "acquire", 0, batch))
    taken = np.union1d(asked, plan.given.row_ids)
    labels = joined(plan.given, ledger.labels())
    trainings = sum(1 for _ in trained_before(plan.run, round))
    strategy = plan.strategy_after(labels, len(asked), trainings)
    if trainings < strategy.rounds_before or (work.eyes is not None and work.eyes.blind(strategy, labels, round)):
        strategy = plan.cold_start
    sight = _look(work, strategy, labels, round, state)
    wanted = strategy.tensors - PAST if sight is None else sight.of_head(strategy.tensors)
    moments = work.moments.before(round, state) if PAST & strategy.tensors else ()
    scorer = state.scorer().to_bytes() if wanted else None
    costs = np.array([config.oracle.cost.get(name, 1.0) for name in plan.classes])
    known = Known(labels.row_ids, labels.labels, len(plan.classes), costs)
    looked = work.scope.rows(strategy, labels, round)
    scored = shards.open_round(round, strategy, scorer, taken, known, sight, moments, looked)
    own = number_to_draw(config, labels, batch, state.step)
    if looked is not None and sum(s.available for s in scored) < batch - own:
        logger.info("round %d looks at the whole pool: what it should look at was asked before", round)
        scored = shards.open_round(round, strategy, scorer, taken, known, sight, moments)
    selection = select(shards, strategy, batch - own, config.seed, round)
    left = plan.available - len(of_pool(asked))
    chosen = work.scope.scores(strategy, selection.scores, sum(s.available for s in scored), left)
    drawn, doubts = draw_to_ask(plan.run, config, state, labels, own, round)
    row_ids, scores = np.concatenate([selection.row_ids, drawn]), np.concatenate([chosen, doubts])
    query = Query(round, row_ids, scores, strategy.name)
    if work.eyes is not None and len(labels.row_ids):
        judges = trainings > 0 and {"probs", "embeddings"} <= state.gives
        work.eyes.predict(round, selection.row_ids, labels, state.scorer() if judges else None)
    ledger.write_query(query)
    if work.eyes is not None and plan.run.has(MAP):
        work.eyes.draw_map(plan.given.row_ids, of_pool(ledger.asked()))
    rows, slowest = sum(s.rows for s in scored), max(s.seconds for s in scored)
    facts: dict[str, float | str] = {"rows": rows, "seconds": slowest, "passes": selection.passes}
    facts |= {"strategy": strategy.name, "bytes": selection.bytes_moved, "scorer_bytes": len(scorer or b"")}
    listen(Event(round, "acquire", batch, batch, facts))
    return query


def _look(work: Work, strategy: Strategy, labels: Labels, round: int, state: Model) -> Sight | None:
    """Open the eyes where a strategy uses them, or there is what the probe learns from; nobody waits for them else."""
    eyes = work.eyes
    if eyes is None or not (strategy.tensors or len(labels.row_ids)):
        return None
    eyes.open(work.listen, round)
    return eyes.sight(strategy, labels, round, state.generate, work.listen)


def evaluate(work: Work, state: Model, round: int) -> list[Score]:
    """Score what is generated, and the classifier, against the held-out images on every rank; draw the sample grid."""
    plan = work.plan

    def on_progress(done: int, total: int) -> None:
        work.listen(Event(round, "evaluate", done, total))

    probe = on_first_rank(work.comm, lambda: _probe(work, round))
    on_progress(0, plan.config.evaluate.samples)
    training = training_rows(work) if work.evaluator.asks_for_training else None
    scores = work.evaluator.evaluate(state.generate, state.scorer(), work.comm, on_progress, probe, training)

    def draw() -> None:
        classes = len(plan.classes)
        latents = sample_latents(SAMPLES_PER_CLASS * classes, plan.config.net.latent_dim)
        labels = torch.arange(classes).repeat_interleave(SAMPLES_PER_CLASS)
        images = state.generate(latents, labels).cpu().numpy()
        grid = sample_grid(images, columns=SAMPLES_PER_CLASS, row_names=row_names(plan.classes))
        plan.run.write(round_path(round, "samples.png"), grid)
        if work.eyes is not None and len(work.ledger.labels().row_ids):
            work.eyes.draw_map(plan.given.row_ids, of_pool(work.ledger.asked()))

    on_first_rank(work.comm, draw)
    return scores


def _probe(work: Work, round: int) -> npt.NDArray[np.float32] | None:
    """Return what the probe of all labels so far says of the held-out images, float32 [n, K]; None without eyes."""
    if work.eyes is None:
        return None
    work.eyes.open(work.listen, round)
    return work.eyes.held_out_probs(joined(work.plan.given, work.ledger.labels()))


def commit(
    work: Work, state: Model, round: int, losses: dict[str, float], scores: list[Score], seconds: dict[str, float]
) -> RoundResult:
    """Write metrics.json, then COMMITTED, which seals the files of the round."""
    plan, ledger = work.plan, work.ledger
    labels, query = joined(plan.given, ledger.labels()), ledger.read_query(round)
    asked = ledger.asked()
    before, asked_before = labels_before(labels, round), len(asked) - (0 if query is None else len(query.row_ids))
    phase, eyes = plan.phase(before, asked_before), work.eyes
    metrics = {
        "round": round,
        "labels": len(ledger.labels().row_ids),
        "asked": len(asked),
        "given": len(plan.given.row_ids),
        "generated": what_became(plan.run, ledger),
        "cost": ledger.cost(),
        "steps": state.step,
        "trained": has_checkpoint(plan.run, round),
        "phase": None if phase is None or not len(before.row_ids) else asdict(phase),
        "classifier": None if eyes is None else asdict(eyes.verdict(round + 1, labels)),
        "recall": None
        if eyes is None
        else work.scope.recall(round, labels, ledger, plan.classes, plan.available - len(of_pool(asked))),
        "goal": work.evaluator.goal_name,
        "scores": [score.to_json() for score in scores],
        "losses": losses,
        "seconds": seconds,
    }
    spent = state.spent() if isinstance(state, Counting) else None
    metrics |= {} if spent is None else {"privacy": spent}
    plan.run.write(round_path(round, "metrics.json"), _json(metrics))
    plan.run.commit(round)
    result = RoundResult(round, metrics)
    logger.info("round %d committed: %s", round, result.headline())
    return result


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
